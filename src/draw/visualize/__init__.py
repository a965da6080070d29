"""Pictures of drawings: grids, steps with their windows, animations and training curves.

>>> from draw.visualize import animate, generation_strip, sample_grid
>>> drawings = model.generate(16, seed=1)
>>> sample_grid(drawings.images[-1], "samples.png")
>>> generation_strip(drawings, "generation.png")
>>> animate(drawings, "generation.gif")

Pixels are enlarged by whole numbers and never interpolated. Every function writes its file
whole or not at all, and returns its path.
"""

from draw.visualize.animation import animate
from draw.visualize.curves import classification_curves, training_curves
from draw.visualize.geometry import window_geometry
from draw.visualize.glimpses import glimpse_strip
from draw.visualize.grids import last_column, reconstruction_grid, sample_grid
from draw.visualize.outlines import Outline, window_outlines
from draw.visualize.strips import generation_strip, reconstruction_strip

__all__ = [
    "Outline",
    "animate",
    "classification_curves",
    "generation_strip",
    "glimpse_strip",
    "last_column",
    "reconstruction_grid",
    "reconstruction_strip",
    "sample_grid",
    "training_curves",
    "window_geometry",
    "window_outlines",
]
