"""The training loop, and how a run starts and goes on."""
