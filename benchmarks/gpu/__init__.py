"""Everything that needs a GPU, in six minutes: `python -m benchmarks.gpu`."""
