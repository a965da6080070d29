"""Where images come from, as they lie on disk or on the Hub."""
