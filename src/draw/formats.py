"""Suffixes of the files that pictures, figures and animations can be written as."""

PICTURES = (".png", ".webp")
"""Pictures of whole pixels, without loss."""
FIGURES = (".png", ".svg", ".pdf")
"""Drawings of lines and letters by matplotlib."""
ANIMATIONS = (".gif", ".webp", ".mp4")
"""Pictures that move."""
