"""What a captured graph of a model depends on, beyond the numbers in its parameters."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from draw.kernels.allow_list import OF_ANY_MODULE
from draw.kernels.package_code import code_from_elsewhere, code_of

_BY_VALUE = int, float, complex, str, bytes, type(None), torch.dtype, torch.device
"""Types of attributes that nothing but their value is known of."""


def state_of(model: nn.Module) -> list[Any]:
    """List what a captured graph of a model depends on: its code, attributes, parameters, buffers.

    Two such lists are equal as long as the graph computes what the model does. Attributes that are
    numbers, words, and tuples, lists and dicts of these are compared by value, tensors by place,
    shape and hooks, all others by identity: what is changed within such an object is not seen.
    """
    modules = list(model.modules())
    held: list[Any] = []
    for module in modules:
        values = vars(module)
        held += type(module), values["training"]
        for name, value in values.items():
            if name not in OF_ANY_MODULE:
                held += name, type(value), _comparable(value)
        for tensors in (values["_parameters"], values["_buffers"]):
            for name, value in tensors.items():
                held += name, _comparable(value)
    return held + code_of(type(model), (type(module) for module in modules))


def replaced_code(model: nn.Module) -> str | None:
    """Name a function of somebody else in the place of one of the package's; None without one.

    It may go by numbers, of a notebook or in a closure, that `state_of` does not list: a recording
    would keep those that it met.
    """
    kinds = {type(module) for module in model.modules()}
    return code_from_elsewhere(type(model), kinds, (), frozenset())


def _comparable(value: Any, depth: int = 3) -> Any:
    """What is equal as long as a value of an attribute is the same."""
    if isinstance(value, _BY_VALUE):
        return value
    if isinstance(value, Tensor):
        return (
            value.data_ptr(), value.shape, value.stride(), value.dtype, value.requires_grad,
            *(tuple(hooks.values()) for hooks in _hooks_of(value)),
        )  # fmt: skip
    if depth and isinstance(value, tuple | list):
        return [_comparable(part, depth - 1) for part in value]
    if depth and isinstance(value, dict):
        return [(name, _comparable(part, depth - 1)) for name, part in value.items()]
    return id(value), value  # held, so that nothing else gets its number


def _hooks_of(value: Tensor) -> list[Mapping[int, Callable[..., Any]]]:
    """What acts on a tensor's gradient, and after it was added up."""
    return [h for h in (value._backward_hooks, value._post_accumulate_grad_hooks) if h]
