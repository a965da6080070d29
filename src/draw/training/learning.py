"""Which parameters of a model learn, and how: weight decay, and fractions of the learning rate."""

from typing import Any

from torch import nn

from draw.config.train import TrainConfig
from draw.errors import DrawError


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Parameters with their weight decay and their fraction of the learning rate.

    Weights decay, biases and starting states do not; the affine maps to window parameters take
    `window_share` of the learning rate. Each parameter is a group of its own, so that their order,
    by which checkpoints know them, is the model's.
    """
    return [
        {
            "params": [value],
            "weight_decay": config.weight_decay * (".weight" in name),
            "share": config.window_share if "_window." in name else 1.0,
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
