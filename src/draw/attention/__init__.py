"""Where to read and where to write: eqs 17-29 of the paper, in plain PyTorch.

The window is a building block of its own. To let a network of yours look at part of an image:

    >>> import torch
    >>> from draw.attention import read_patch, window_parameters
    >>> images = torch.rand(8, 3, 48, 64)  # [batch, channels, rows, columns]
    >>> controls = torch.nn.Linear(100, 5)(torch.randn(8, 100))  # from your own features
    >>> window = window_parameters(controls, rows=48, columns=64, size=12)
    >>> read_patch(images, window, size=12).shape  # differentiable in both arguments
    torch.Size([8, 3, 12, 12])

`write_patch` is its counterpart, and `GaussianAttention` the pair as DRAW uses it. Pixels are
counted from 1, as in the paper: the centre of the first pixel is at 1, that of the last at A or B.
"""

from draw.attention.gaussian import GaussianAttention, start_window
from draw.attention.whole import NoAttention
from draw.attention.window import (
    Window,
    filterbank,
    filterbanks,
    read_patch,
    window_parameters,
    write_patch,
)

__all__ = [
    "GaussianAttention",
    "NoAttention",
    "Window",
    "filterbank",
    "filterbanks",
    "read_patch",
    "start_window",
    "window_parameters",
    "write_patch",
]
