"""States, losses and drawings that a DRAW model computes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from draw.attention.abstract import AbstractWindow
from draw.extras import explain_missing
from draw.parts.distribution import Gaussian
from draw.tensors import by_shapes


class State(NamedTuple):
    """The recurrent state between two steps; `canvas` is c_t of the paper, in logits."""

    canvas: Float[Tensor, "batch channels rows columns"]
    h_enc: Float[Tensor, "batch hidden"]
    c_enc: Float[Tensor, "batch hidden"]
    h_dec: Float[Tensor, "batch hidden"]
    c_dec: Float[Tensor, "batch hidden"]

    def __repr__(self) -> str:
        return by_shapes(self)


class Context(NamedTuple):
    """Conditioning of a drawing: addends to the gates of both LSTMs; None adds nothing."""

    enc: Float[Tensor, "batch 4*hidden"] | None
    dec: Float[Tensor, "batch 4*hidden"] | None

    def __repr__(self) -> str:
        return by_shapes(self)


NO_LABEL = -1
"""In the place of a class: this drawing is told none."""

NOTHING = Context(None, None)
"""The context of the paper's model, which is unconditional."""


class Step(NamedTuple):
    """What one glimpse computed: posterior, prior, code, and windows (None without attention).

    The posterior is that of eqs 1-2, z that of eq 6.
    """

    posterior: Gaussian
    prior: Gaussian
    z: Float[Tensor, "batch latent"]
    read_window: AbstractWindow | None
    write_window: AbstractWindow | None

    def __repr__(self) -> str:
        return by_shapes(self)


class UnrollOutput(NamedTuple):
    """Result of the unroll over all steps, by whichever implementation computed it."""

    canvas: Float[Tensor, "batch channels rows columns"]
    """The final canvas c_T, in logits."""
    kl: Float[Tensor, "batch glimpses"]
    """KL divergence of each step in nats (eq 10)."""
    log_ratio: Float[Tensor, " batch"]
    """log p(z) / q(z | x) of the sampled codes, in nats."""

    def __repr__(self) -> str:
        return by_shapes(self)


class DRAWOutput(NamedTuple):
    """Result of `DRAW.forward`; losses are in nats per image."""

    canvas: Float[Tensor, "batch channels rows columns"]
    """The final canvas c_T, in logits."""
    reconstruction: Float[Tensor, " batch"]
    """Reconstruction loss L^x (eq 9)."""
    kl: Float[Tensor, "batch glimpses"]
    """KL divergence of each step; their sum is the latent loss L^z (eqs 10-11)."""
    bound: Float[Tensor, " batch"]
    """L^x + L^z, an upper bound on -log p(x) (eq 12)."""
    log_weight: Float[Tensor, " batch"]
    """log p(x, z) / q(z | x), for the importance-weighted estimate."""

    def __repr__(self) -> str:
        return by_shapes(self)


class Posterior(NamedTuple):
    """What an encoder made of images: Q(z_t | x, z_1 .. z_t-1) of every step, and a sample of it.

    The posterior of a step depends on what was drawn before it, so on the codes of the steps
    before: those of `z`.
    """

    mu: Float[Tensor, "glimpses batch latent"]
    """Means (eq 1)."""
    log_sigma: Float[Tensor, "glimpses batch latent"]
    """Logarithms of the standard deviations (eq 2)."""
    z: Float[Tensor, "glimpses batch latent"]
    """Codes, one sample of each step (eq 6)."""
    kl: Float[Tensor, "batch glimpses"]
    """KL divergence of each step from the prior, in nats (eq 10)."""

    def __repr__(self) -> str:
        return by_shapes(self)

    @property
    def sigma(self) -> Float[Tensor, "glimpses batch latent"]:
        """Standard deviations of every step's posterior."""
        return self.log_sigma.exp()


class Trajectory(NamedTuple):
    """A drawing step by step; windows are None without attention, read windows in generation.

    In a notebook a drawing plays.

    Pictures of it show all windows that it has; `_replace(write_windows=None)` leaves them out.
    """

    canvases: Float[Tensor, "glimpses batch channels rows columns"]
    """The canvases c_1 .. c_T, in logits."""
    write_windows: AbstractWindow | None
    """Write windows of all steps, [glimpses, batch]."""
    read_windows: AbstractWindow | None
    """Read windows of all steps, [glimpses, batch]."""

    def __repr__(self) -> str:
        return by_shapes(self)

    @property
    def images(self) -> Float[Tensor, "glimpses batch channels rows columns"]:
        """Images sigmoid(c_t) of every step: the means of D, which the paper shows."""
        return self.canvases.sigmoid()

    @property
    def final(self) -> Float[Tensor, "batch channels rows columns"]:
        """The finished images sigmoid(c_T), in [0, 1]."""
        return self.canvases[-1].sigmoid()

    @property
    def windows(self) -> dict[str, AbstractWindow]:
        """The windows that the drawing has, by their purpose: read, write."""
        both = {"read": self.read_windows, "write": self.write_windows}
        return {name: windows for name, windows in both.items() if windows is not None}

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        images: Float[Tensor, "batch channels rows columns"] | None = None,
    ) -> Path:
        """Write the drawings as an animation or, as .png, step by step side by side.

        Args:
            path: file to write: .gif, .webp or .mp4 for an animation, .png for a strip.
            images: images that were drawn anew, shown beside their drawings; None for new ones.

        Raises:
            DrawError: if the suffix is another one, or the file cannot be written.
        """
        with explain_missing():
            from draw.visualize.drawings import save_drawing

        return save_drawing(self, path, images=images)

    def _repr_html_(self) -> str:
        with explain_missing():
            from draw.visualize.drawings import drawing_html

        return drawing_html(self)


def stack_windows(windows: Sequence[AbstractWindow | None]) -> AbstractWindow | None:
    """Stack the windows of all steps into one, [glimpses, batch]; None without attention.

    Raises:
        ValueError: if the steps' windows are not of one kind and size.
    """
    present = [window for window in windows if window is not None]
    if len(present) not in (0, len(windows)):
        raise ValueError(
            f"expected windows at all steps, got {len(present)} at {len(windows)} steps; let every "
            "step make one, or none"
        )
    return present[0].stack(present) if present else None
