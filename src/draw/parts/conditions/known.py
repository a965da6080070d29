"""Drawing the rest of an image of which a part is known: P(x_hidden | x_known)."""

from typing import ClassVar, NoReturn

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import relu

from draw.config.model import DRAWConfig
from draw.errors import DrawError
from draw.parts.conditions.nothing import Unconditional
from draw.parts.layers import Affine
from draw.parts.likelihood import loss_of
from draw.parts.state import NOTHING, Context

BLANK_SHARE = 0.1
"""Fraction of the masks of training that know nothing: the model then also draws whole images."""


class KnownPixels(nn.Module):
    """P(x_hidden | x_known): both LSTMs are told the known pixels, and which ones they are.

    With the mask m, 1 where a pixel is known, and one hidden layer of rectifiers,

        e = relu(W [m x, m] + b),    addends to the gates = (any m) (V e + d),

    at every step, V and d of each LSTM its own. In training the masks are random, the encoder sees
    the whole image as ever, and eq 9 counts the hidden pixels alone, so that eq 12 bounds
    -log P(x_hidden | x_known): a conditional variational auto-encoder (Sohn et al. 2015). Where
    nothing is known nothing is added, and it is the paper's model.

    # Differs from the paper, whose model is told nothing. # ours: an addend to the gates, which
    every backend takes. V and d start at zero, so that training begins at that model.

    Args:
        config: the model's config, of which `hidden_size` and the shape of an image are used.
    """

    takes_labels: ClassVar = False
    description: ClassVar = "the known part of what it is to show, or nothing"
    extends: ClassVar = Unconditional

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()
        hidden, pixels = config.hidden_size, config.rows * config.columns
        self.layer = Affine((config.channels + 1) * pixels, hidden)
        self.enc = Affine(hidden, 4 * hidden)
        self.dec = Affine(hidden, 4 * hidden)
        for affine in (self.enc, self.dec):
            for parameter in affine.parameters():
                nn.init.zeros_(parameter)

    def forward(self, labels: Int[Tensor, " batch"] | None = None) -> Context:
        """Return the empty context, of drawings of which nothing is known; there are no labels."""
        return NOTHING

    def of(
        self,
        images: Float[Tensor, "batch channels rows columns"],
        known: Bool[Tensor, "batch rows columns"],
    ) -> Context:
        """Compute the context of images of which a part is known.

        Args:
            images: images in [0, 1]; what they hold where nothing is known has no effect.
            known: true where a pixel is known.
        """
        mask = known[:, None].to(images)
        seen = images.where(known[:, None], 0)  # and not mask * images, which keeps NaN
        e = relu(self.layer(torch.cat([seen, mask], 1).flatten(1)))
        anything = mask.flatten(1).amax(1, keepdim=True)
        enc, dec = (anything * part(e) for part in (self.enc, self.dec))
        return Context(enc, dec)


def hidden_loss(
    likelihood: nn.Module,
    canvas: Float[Tensor, "batch channels rows columns"],
    images: Float[Tensor, "batch channels rows columns"],
    known: Bool[Tensor, "batch rows columns"],
) -> Float[Tensor, " batch"]:
    """-log D(x_hidden | c_T), eq 9 over the hidden pixels alone, in nats.

    Known pixels get the same canvas and value everywhere, and their cost is taken off again, for
    which the likelihood has to be a sum over pixels and the same at all of them; on a CPU each call
    looks whether it is.

    Args:
        likelihood: the model's likelihood.
        canvas: c_T in logits.
        images: images in [0, 1].
        known: true where a pixel is known.

    Raises:
        DrawError: on a CPU, if the likelihood is not that of each pixel by itself.
    """
    if canvas.device.type == "cpu" and not torch.compiler.is_compiling():
        check_sum_over_pixels(likelihood, canvas[:1].detach(), images[:1])
    # Canvas 0 and value 1/2 cost least, so that little is added and taken off in float32.
    hidden, zero, half = ~known[:, None], canvas.new_zeros(()), images.new_full((), 0.5)
    whole = loss_of(likelihood, canvas.where(hidden, zero), images.where(hidden, half))
    blank = loss_of(likelihood, torch.zeros_like(canvas[:1]), torch.full_like(images[:1], 0.5))
    loss: Tensor = whole - blank * known.to(canvas).flatten(1).mean(1)
    return loss


@torch.no_grad()
def check_sum_over_pixels(
    likelihood: nn.Module,
    canvas: Float[Tensor, "one channels rows columns"],
    images: Float[Tensor, "one channels rows columns"],
) -> None:
    """Refuse a likelihood that is no sum over pixels, or not the same at all of them.

    Args:
        likelihood: a likelihood.
        canvas: c_T in logits, of an image.
        images: the image, in [0, 1].

    Raises:
        DrawError: if every second pixel and the others, each as an image of one row, do not cost
            together what the whole costs.
    """
    whole = loss_of(likelihood, canvas, images)
    pixels = canvas.flatten(2)[:, :, None], images.flatten(2)[:, :, None]
    halves = [[one[..., start::2] for one in pixels] for start in (0, 1)]
    try:
        parts = sum(likelihood(*half) for half in halves if half[0].numel())
    except RuntimeError:  # parameters of the shape of a whole image
        parts = whole.new_full((), torch.nan)
    finite = bool(whole.isfinite().all())  # else it is the canvas that is wrong
    if finite and not torch.allclose(torch.as_tensor(parts), whole, rtol=1e-3, atol=1e-2):
        refuse_parts(likelihood)


def refuse_parts(likelihood: nn.Module) -> NoReturn:
    """Refuse a likelihood whose parts are not those of an image of these pixels alone.

    Args:
        likelihood: the likelihood.

    Raises:
        DrawError: always.
    """
    raise DrawError(
        "expected a likelihood that is a sum over pixels and the same at all of them, got "
        f"{type(likelihood).__name__}, whose parts do not add up to the whole; a part of an image "
        "has no likelihood of its own then"
    )


def random_masks(
    random: np.random.Generator, n: int, rows: int, columns: int
) -> Bool[np.ndarray, "{n} {rows} {columns}"]:
    """Masks to learn completion with, true where a pixel is known.

    A tenth knows nothing. Of the others a third each knows all to one side of a line across the
    image, at a random place; all within, or all without, a random rectangle; and each pixel
    by itself with a random chance. # ours.

    Args:
        random: random generator.
        n: number of masks.
        rows: height of an image in pixels.
        columns: width of an image in pixels.
    """
    kind, turned, chance = random.random((3, n))
    corners = np.sort(random.random((n, 2, 2)), 1)  # of rectangles: first and last, row and column
    each = random.random((n, rows, columns))
    y, x = ((np.arange(side) + 0.5) / side for side in (rows, columns))
    across = np.where((turned < 0.5)[:, None, None], y[:, None], x) < chance[:, None, None]
    within = ((y >= corners[:, :1, 0]) & (y < corners[:, 1:, 0]))[:, :, None] & (
        (x >= corners[:, :1, 1]) & (x < corners[:, 1:, 1])
    )[:, None]
    scattered = each < chance[:, None, None]
    which = np.clip(3 * (kind - BLANK_SHARE) / (1 - BLANK_SHARE), 0, 2).astype(int)
    masks = np.choose(which[:, None, None], [across, within, scattered])
    other = (which < 2) & (random.random(n) < 0.5)  # the other side of the line, of the rectangle
    told = (kind >= BLANK_SHARE)[:, None, None]
    return np.asarray((masks ^ other[:, None, None]) & told)
