"""Images decoded once, and kept."""
