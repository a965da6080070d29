"""One file per question: `python -m benchmarks.train_step`; all: `python -m benchmarks`."""
