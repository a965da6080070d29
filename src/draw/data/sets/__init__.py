"""The data sets that are known by name, and the sources of two of them."""
