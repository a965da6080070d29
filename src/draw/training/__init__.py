"""Training: the loop, how a run starts, and how it goes on."""
