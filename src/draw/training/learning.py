"""Which parameters of a model learn, and how: weight decay, and fractions of the learning rate."""

from typing import Any, cast

import torch
from torch import nn

from draw.config.train import TrainConfig
from draw.errors import DrawError
from draw.model.draw import DRAW

_WINDOW = "_window."
"""In the names of the parameters of the affine maps to window parameters."""


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Parameters with their weight decay and their fraction of the learning rate.

    Weights decay, biases and starting states do not; the affine maps to window parameters take
    `window_share` of the learning rate. Each parameter is a group of its own, so that their order,
    by which checkpoints know them, is the model's.

    Raises:
        DrawError: if there is a `window_share` for a model without windows.
    """
    windows = any(_WINDOW in name for name, _ in model.named_parameters())
    if config.window_share != 1 and not windows:
        raise DrawError(
            f"expected train.window_share 1 for a {type(model).__name__} without windows, got "
            f"{config.window_share:g}; pass --train.window-share 1, or leave it out"
        )
    return [
        {
            "params": [value],
            "weight_decay": config.weight_decay * (".weight" in name),
            "share": config.window_share if _WINDOW in name else 1.0,
        }
        for name, value in model.named_parameters()
    ]


def freeze_decoder(model: nn.Module) -> None:
    """Let nothing but the encoder of a model learn (train.only encoder).

    That is what new drawings do without: parameters by their names (`DRAW.encoder`), and of parts
    of somebody's own those that a drawing does not depend on.

    Raises:
        DrawError: if the model has none.
    """
    names: tuple[str, ...] | None = getattr(model, "encoder", None)
    if names is None:
        raise DrawError(
            f"expected a model that draws for train.only encoder, got a {type(model).__name__}, "
            "which has no encoder of its own; leave it out"
        )
    unused = _unused_by_drawings(cast(DRAW, model))
    for name, parameter in model.named_parameters():
        of_both = name.startswith(("likelihood.", "condition."))
        own = name in unused and not of_both
        parameter.requires_grad_(parameter.requires_grad and (name.startswith(names) or own))


@torch.enable_grad()
def _unused_by_drawings(model: DRAW) -> set[str]:
    """Names of parameters that new drawings (eqs 13-15) do not depend on, in the model's code."""
    context = model.context(model.labels_for(1), 1)
    drawn = model.trajectory(None, model.noise_for(1, 0), context).canvases
    parameters = {name: one for name, one in model.named_parameters() if one.requires_grad}
    if not drawn.requires_grad:
        return {*parameters}
    slopes = torch.autograd.grad(drawn.sum(), [*parameters.values()], allow_unused=True)
    return {name for name, slope in zip(parameters, slopes, strict=True) if slope is None}
