"""Adam's moments as a checkpoint holds them: named, and restored after a comparison.

The optimizer's own loader takes whatever it is given, and its fused step then reads and writes as
far as the weights go.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from draw.errors import DrawError

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def named_moments(state: Mapping[int, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Convert an optimizer's state to tensors named `parameter.moment`, parameters by number."""
    return {
        f"{index}.{name}": value
        for index, values in state.items()
        for name, value in values.items()
    }


def moments_of(
    named: Mapping[str, Tensor], parameters: Sequence[tuple[str, Tensor]], step: int
) -> dict[int, dict[str, Any]]:
    """Restore the optimizer's state from the tensors that `named_moments` named.

    Args:
        named: tensors that `named_moments` named, or what a file has in their place.
        parameters: names and values of the optimizer's parameters, in its order.
        step: number of updates that were made.

    Raises:
        DrawError: if a moment is missing, or one too many, or has not its parameter's shape and
            type; a parameter may have none at all (it never got a gradient), but not every one.
    """
    rest, state = dict(named), {}
    for index, (parameter, value) in enumerate(parameters):
        names = [f"{index}.{moment}" for moment in MOMENTS]
        if not any(name in rest for name in names):
            continue
        found = {moment: rest.pop(f"{index}.{moment}", None) for moment in MOMENTS}
        for moment, tensor in found.items():
            expected = (
                ((), torch.float32) if moment == "step" else (tuple(value.shape), value.dtype)
            )
            came = None if tensor is None else (tuple(tensor.shape), tensor.dtype)
            if came != expected:
                raise DrawError(
                    f"the checkpoint does not fit the model: expected the optimizer's {moment} of "
                    f"{parameter} to be {expected}, got {came}"
                )
        state[index] = found
    if rest:
        raise DrawError(
            "the checkpoint does not fit the model: its optimizer has "
            f"{', '.join(sorted(rest)[:5])}, of no parameter"
        )
    if step > 0 and not state:
        raise DrawError(f"the checkpoint is of step {step}, but has no moments of the optimizer")
    return state
