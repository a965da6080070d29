"""Which parameters of a model learn, and how: weight decay, and fractions of the learning rate."""

from typing import Any

from torch import nn

from draw.config.train import TrainConfig
from draw.errors import DrawError

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

    Raises:
        DrawError: if the model has none.
    """
    names: tuple[str, ...] | None = getattr(model, "encoder", None)
    if names is None:
        raise DrawError(
            f"expected a model that draws for train.only encoder, got a {type(model).__name__}, "
            "which has no encoder of its own; leave it out"
        )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(names))
