"""Classifier-free guidance: drawings that show their class more clearly than the model learned."""

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from draw.parts.state import Context, Trajectory, stack_windows

if TYPE_CHECKING:
    from draw.model.draw import DRAW


def guided_trajectory(
    model: "DRAW",
    noise: Float[Tensor, "glimpses batch latent"],
    told: Context,
    untold: Context,
    guidance: float,
) -> Trajectory:
    """Draw new images by two decoders, one told the class and one not, and go beyond the first.

    Source: Ho and Salimans 2022 (arXiv 2207.12598), who sample from

        p~(x | c)  proportional to  p(x | c)^s p(x)^(1 - s),    s = 1 + w,

    by the same combination of scores. # ours: a DRAW has no score, but given the codes its
    D(X | c_T) is a product of Bernoullis, for which that combination is exact: with the canvases
    (logits) C of the told and U of the untold decoder, both of the same z_1 .. z_T,

        p~(x | z, c)  proportional to  D(x | C)^s D(x | U)^(1 - s)  =  D(x | U + s (C - U)).

    So it is the canvas that is guided, at each step as much as at the last (canvases are sums, and
    no decoder reads that of the other, eqs 13-15). The codes are not guided: z_t comes from the
    prior as the told decoder has it, which for the paper's prior does not depend on the class.
    s = 1 is the model as it is, s = 0 the untold decoder, of codes that a learned prior still made
    for the class. With the discretized logistic likelihood, of which the canvas is the mean's logit
    and no natural parameter, the same line is followed, without being exact.

    Args:
        model: a DRAW that has learned with and without labels.
        noise: standard normal noise, times the temperature.
        told: conditioning on the class of each drawing.
        untold: conditioning on no class.
        guidance: s, of at least 0.

    Returns:
        The guided canvases of all steps, and the windows of the decoder that is told.
    """
    one = other = model.initial_state(noise.shape[1])
    canvases, windows = [], []
    for noise_t in noise:
        z = model.prior(one.h_dec).sample(noise_t)  # (13)
        one, window = model.generate_step(noise_t, one, told)
        same = model.prior(other.h_dec).noise_of(z)
        other, _ = model.generate_step(same, other, untold)
        canvases.append(other.canvas + guidance * (one.canvas - other.canvas))
        windows.append(window)
    return Trajectory(torch.stack(canvases), stack_windows(windows), read_windows=None)
