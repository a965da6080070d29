"""Kinds of models; loading, exporting and describing them."""
