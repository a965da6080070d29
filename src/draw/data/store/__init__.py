"""The store of images: pictures are decoded once, split, and kept in a cache."""
