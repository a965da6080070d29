"""Measurements on models: bounds, errors, nearest images and the order of drawing."""
