"""Kinds of windows that are read and written through here, and their gradients, derived by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from draw.attention.cauchy import CauchySampler, cauchy_filterbank
from draw.attention.grid import GaussianSampler
from draw.attention.laplace import LaplaceSampler, laplace_filterbank
from draw.attention.rotated import (
    RotatedSampler,
    read_turned_patch,
    turned_window,
    write_turned_patch,
)
from draw.attention.window import (
    Filterbank,
    Window,
    filterbank,
    read_patch,
    window_parameters,
    write_patch,
)
from draw.kernels.turned_backward import read_turned_backward, write_turned_backward
from draw.kernels.upright_backward import read_patch_backward, write_patch_backward


@dataclass(frozen=True)
class WindowKind:
    """Functions of a kind of window, N filters a side, on images of B x A pixels."""

    controls: int
    """Numbers that place a window."""
    window: Callable[[Tensor, int, int, int], Window]
    """Window of controls, [batch, controls], B, A and N."""
    read: Callable[[Tensor, Any], Tensor]
    """Patch of images, [batch, channels, B, A], and a window."""
    write: Callable[[Tensor, Any, int, int], Tensor]
    """Image of a patch w, [batch, channels, N, N], a window, B and A."""
    read_backward: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    """Gradients of images and controls, of controls, images and the patch's gradient."""
    write_backward: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    """Gradients of w and controls, of controls, w and the image's gradient."""


def _upright(controls: int, filters: Filterbank) -> WindowKind:
    return WindowKind(
        controls,
        window_parameters,
        partial(read_patch, filters=filters),
        partial(write_patch, filters=filters),
        partial(read_patch_backward, filters=filters),
        partial(write_patch_backward, filters=filters),
    )


WINDOWS = {
    "gaussian": _upright(GaussianSampler.controls, filterbank),
    "cauchy": _upright(CauchySampler.controls, cauchy_filterbank),
    "laplace": _upright(LaplaceSampler.controls, laplace_filterbank),
    "rotated": WindowKind(
        RotatedSampler.controls,
        turned_window,
        read_turned_patch,
        write_turned_patch,
        read_turned_backward,
        write_turned_backward,
    ),
}
"""The kinds of windows by the name of their attention."""
