"""Run folders: their files, checkpoints, metrics, provenance and lock."""
