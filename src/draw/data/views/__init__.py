"""Views: how images are made for a model out of the stored ones."""
