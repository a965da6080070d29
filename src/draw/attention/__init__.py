"""Attention of DRAW, reading and writing through windows: eqs 17-29 of the paper, in plain PyTorch.

The window is a building block of its own. To let a network of yours look at part of an image:

    >>> import torch
    >>> from draw.attention import read_patch, window_parameters
    >>> images = torch.rand(8, 3, 48, 64)  # [batch, channels, rows, columns]
    >>> controls = torch.nn.Linear(100, 5)(torch.randn(8, 100))  # from your own features
    >>> window = window_parameters(controls, rows=48, columns=64, size=12)
    >>> read_patch(images, window).shape  # differentiable in both arguments
    torch.Size([8, 3, 12, 12])

To give DRAW and the classifier another window, write a `Sampler` in a file of its own and name it
in `SAMPLERS`. Where its windows are no grid of filters, write an `AbstractWindow` of your own:
pictures, animations, the studio and ONNX files show what it says of itself. An attention without
windows is a module with the methods of `Attention`, named in `ATTENTIONS`.

`write_patch` is its counterpart, and `GaussianAttention` the pair as DRAW uses it. Pixels are
counted from 1, as in the paper: the centre of the first pixel is at 1, that of the last at A or B.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from draw.attention.abstract import AbstractWindow
from draw.attention.affine import AffineSampler
from draw.attention.cauchy import CauchySampler
from draw.attention.gaussian import GaussianAttention
from draw.attention.grid import GaussianSampler
from draw.attention.laplace import LaplaceSampler
from draw.attention.lattice import LatticeSampler
from draw.attention.movable import SamplerKind, WindowAttention
from draw.attention.rotated import RotatedSampler
from draw.attention.sampler import Sampler
from draw.attention.several import SeveralWindows
from draw.attention.whole import NoAttention
from draw.attention.window import (
    Window,
    filterbank,
    filterbanks,
    read_patch,
    window_parameters,
    write_patch,
)
from draw.config.model import ClassifierConfig, DRAWConfig
from draw.fields import part_of


@runtime_checkable
class Attention(Protocol):
    """A module that reads images and writes on the canvas where the decoder places its windows."""

    description: ClassVar[str]
    """How the attention reads and writes, in words for model cards."""
    features: int
    """Length of the vector that `read` returns for each image."""

    def read(
        self,
        x: Float[Tensor, "batch channels rows columns"],
        x_hat: Float[Tensor, "batch channels rows columns"],
        h_dec: Float[Tensor, "batch hidden"],
    ) -> tuple[Float[Tensor, "batch features"], AbstractWindow | None]:
        """Read images and error images, and return the features and the window read through (eq 4).

        Args:
            x: images, [batch, channels, rows, columns], in [0, 1].
            x_hat: error images x - sigmoid(c_{t-1}) (eq 3), of the same shape.
            h_dec: decoder output h_dec_{t-1}, [batch, hidden].
        """

    def write(
        self, h_dec: Float[Tensor, "batch hidden"]
    ) -> tuple[Float[Tensor, "batch channels rows columns"], AbstractWindow | None]:
        """Return what the decoder adds to the canvas, in logits, and its write window (eq 8).

        Args:
            h_dec: decoder output h_dec_t, [batch, hidden].
        """


SAMPLERS: dict[str, SamplerKind] = {
    "gaussian": GaussianSampler,
    "cauchy": CauchySampler,
    "laplace": LaplaceSampler,
    "lattice": LatticeSampler,
    "rotated": RotatedSampler,
    "affine": AffineSampler,
}
"""The kinds of windows by their names in `attention` of a DRAW's and a classifier's config."""


def through(sampler: SamplerKind) -> Callable[[DRAWConfig], nn.Module]:
    """The attention through windows of a kind, made from a model's config."""
    return partial(WindowAttention.from_config, sampler=sampler)


ATTENTIONS: dict[str, Callable[[DRAWConfig], nn.Module]] = {
    **{name: through(sampler) for name, sampler in SAMPLERS.items()},
    "gaussian": GaussianAttention.from_config,
    "none": NoAttention.from_config,
}
"""The kinds of attention by their names in `DRAWConfig.attention`; one that is in `SAMPLERS` alone
counts too."""


def make_attention(config: DRAWConfig) -> Any:
    """Build the attention module that a config names."""
    windows = {name: through(sampler) for name, sampler in SAMPLERS.items()}
    return part_of({**windows, **ATTENTIONS}, "attention", config.attention)(config)


def make_sampler(config: ClassifierConfig) -> Sampler:
    """How a classifier with a config looks through its windows."""
    kind = part_of(SAMPLERS, "attention", config.attention)
    return kind(config.rows, config.columns, config.read_size)


__all__ = [
    "ATTENTIONS",
    "SAMPLERS",
    "AbstractWindow",
    "AffineSampler",
    "Attention",
    "CauchySampler",
    "GaussianAttention",
    "GaussianSampler",
    "LaplaceSampler",
    "LatticeSampler",
    "NoAttention",
    "RotatedSampler",
    "Sampler",
    "SamplerKind",
    "SeveralWindows",
    "Window",
    "WindowAttention",
    "filterbank",
    "filterbanks",
    "make_attention",
    "make_sampler",
    "read_patch",
    "through",
    "window_parameters",
    "write_patch",
]
