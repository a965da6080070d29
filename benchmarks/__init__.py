"""One file per question; `python -m benchmarks.train_step` and the like. Results are ratios."""
