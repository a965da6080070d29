"""The compiled backend for CPUs, in C++."""
