"""The kinds of models: making, loading, exporting and describing them."""
