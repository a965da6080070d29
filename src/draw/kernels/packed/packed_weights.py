"""A model's parameters as the products of a step.

    enc    [r | h_dec | h_enc] -> gates of the encoder
    post   h_enc -> mu | log sigma
    dec    [z | h_dec] -> gates of the decoder
    out    h_dec -> patch to write | its window || next read window | next prior: mu_p | log sigma_p

What is behind the double line belongs to the next step. Without attention there are no windows,
r is the error image, and the image itself comes in by a product once per sequence, `x`.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from draw.config.model import DRAWConfig
from draw.kernels.window_kinds import WINDOWS, WindowKind

ATTENTIONS = (*WINDOWS, "none")
"""The kinds of attention that a packed step knows."""


@dataclass(frozen=True)
class Layout:
    """Sizes of a model, and where the parts of a product begin."""

    channels: int
    rows: int
    columns: int
    hidden: int
    latent: int
    read_size: int
    write_size: int
    window: WindowKind | None
    """Kind of the windows; None without attention."""
    learned: bool
    """Whether the prior is learned."""

    @classmethod
    def of(cls, config: DRAWConfig) -> "Layout":
        """Make the layout of a model with a config."""
        return cls(
            *config.image_shape, config.hidden_size, config.latent_size, config.read_size,
            config.write_size, WINDOWS.get(config.attention), config.prior == "learned",
        )  # fmt: skip

    @property
    def pixels(self) -> int:
        """Number of values of an image."""
        return self.channels * self.rows * self.columns

    @property
    def features(self) -> int:
        """Number of values that are read at a step."""
        return self.pixels if self.window is None else 2 * self.channels * self.read_size**2

    @property
    def content(self) -> int:
        """Number of values that are written at a step."""
        return self.pixels if self.window is None else self.channels * self.write_size**2

    @property
    def controls(self) -> int:
        """Numbers that place a window; 0 without attention."""
        return 0 if self.window is None else self.window.controls

    @property
    def ahead(self) -> int:
        """Column of `out` at which that begins which belongs to the next step."""
        return self.content + self.controls

    @property
    def prior(self) -> int:
        """Column, among those of the next step, at which its prior begins."""
        return self.controls


class Weights(NamedTuple):
    """Weights of the products of a step, [out, in]."""

    enc: Tensor
    enc_bias: Tensor
    """Bias of the encoder, [4 hidden], or [batch, 4 hidden] with conditioning."""
    post: Tensor
    post_bias: Tensor
    dec: Tensor
    dec_bias: Tensor
    out: Tensor
    out_bias: Tensor
    x: Tensor | None
    """Weights of the image itself, without attention."""


def pack_weights(layout: Layout, model: Any) -> Weights:
    """Pack the parameters of a model in the precision that they have; autograd unpacks gradients.

    Args:
        layout: sizes of the model.
        model: a DRAW.
    """
    enc, dec, attention, prior = model.lstm_enc, model.lstm_dec, model.attention, model.prior
    windows = [attention.write_window, attention.read_window] if layout.window else []
    maps = [attention.write_content, *windows]
    maps += [prior.mu, prior.log_sigma] if layout.learned else []
    post = [model.mu, model.log_sigma]
    x, enc_ih = None, enc.weight_ih
    if not layout.window:
        x, enc_ih = enc_ih[:, : layout.pixels], enc_ih[:, layout.pixels :]
    return Weights(
        enc=torch.cat([enc_ih, enc.weight_hh], 1),
        enc_bias=enc.bias_ih + enc.bias_hh,
        post=torch.cat([affine.weight for affine in post]),
        post_bias=torch.cat([affine.bias for affine in post]),
        dec=torch.cat([dec.weight_ih, dec.weight_hh], 1),
        dec_bias=dec.bias_ih + dec.bias_hh,
        out=torch.cat([affine.weight for affine in maps]),
        out_bias=torch.cat([affine.bias for affine in maps]),
        x=x,
    )


def cast_weights(weights: Weights, operand: torch.dtype) -> Weights:
    """Cast packed weights to operands of products; biases stay as they are.

    Args:
        weights: result of `pack_weights`.
        operand: type of the operands.
    """
    operands = weights.enc, weights.post, weights.dec, weights.out
    enc, post, dec, out = (weight.to(operand) for weight in operands)
    x = None if weights.x is None else weights.x.to(operand)
    return weights._replace(enc=enc, post=post, dec=dec, out=out, x=x)
