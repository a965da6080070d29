"""The check that a saved model comes back as itself; a model that would not is not saved.

A folder holds a config and weights, and its class makes the model from the config. So whatever else
makes a model what it is would be lost without a word.
"""

from typing import Any

import torch
from torch import nn

from draw.errors import DrawError
from draw.kernels.allow_list import part_of, structure

CLASS = "class"
"""Field of a config.json that names the class of a model, if it is none of draw's."""
_WRAPPED = ("forward",)
"""What Accelerate wraps of a model; it keeps that of the class as `_original_forward`."""


def own_class(model: nn.Module) -> str | None:
    """Name of a model's class where it is not one of draw's; None where it is."""
    package, _, _ = __name__.partition(".")
    kind = type(model)
    return None if kind.__module__.partition(".")[0] == package else kind.__qualname__


def class_field(model: nn.Module) -> dict[str, str]:
    """Entry of config.json that names a model's class."""
    name = own_class(model)
    return {} if name is None else {CLASS: name}


def check_class(named: object, expected: str, folder: object) -> None:
    """Compare the class that a config names with the one that is to be made.

    Args:
        named: value of the entry `CLASS`; None for a class of draw's.
        expected: the class that is to be made.
        folder: folder of the model, or its name on the Hub.

    Raises:
        DrawError: if the two classes differ.
    """
    if named is not None and named != expected:
        raise DrawError(
            f"expected a {expected}, got a {named}, a class outside draw; load it in "
            f"Python with {named}.from_pretrained({str(folder)!r})"
        )


def check_roundtrip(model: nn.Module) -> None:
    """Refuse a model that its class would not make again from config and weights.

    Hooks are not saved, as everywhere in torch.

    Args:
        model: the model that is about to be saved.

    Raises:
        DrawError: if it would come back as another one, with what to do.
    """
    kind: Any = type(model)
    config: Any = getattr(model, "config", None)
    advice = (
        f"make it a subclass of {kind.__name__} whose __init__(self, config) does that, with all "
        f"that it needs in a config of its own, a frozen dataclass that extends "
        f"{type(config).__name__}; or save the weights alone: "
        "safetensors.torch.save_model(model, 'weights.safetensors')"
    )
    further = getattr(model, "further_arguments", ())
    if further:
        raise DrawError(
            f"expected a model that its config makes, got a {kind.__name__} that was also given "
            f"{', '.join(further)}, which config.json does not keep; {advice}"
        )
    arguments = getattr(model, "_hub_mixin_config", None)
    try:
        with torch.device("meta"):
            again = kind(**arguments) if isinstance(arguments, dict) else kind(config)
    except Exception as error:  # of anybody's class
        raise DrawError(
            f"expected a model that its config makes again, but {kind.__name__} does not "
            f"({type(error).__name__}: {error}); {advice}"
        ) from error
    _check_own_memory(model)
    modules = dict(model.named_modules())
    for path, made in again.named_modules():
        wrapped = path == "" and "_original_forward" in vars(model)
        found = structure(part_of(path, made), modules.get(path), _WRAPPED if wrapped else ())
        if found is not None:
            raise DrawError(f"expected a model as its class makes it, but {found}; {advice}")
    expected = {name: value.shape for name, value in again.state_dict().items()}
    got = {name: value.shape for name, value in model.state_dict().items()}
    if expected != got:
        different = sorted(dict(expected.items() ^ got.items()))
        raise DrawError(
            f"expected weights as its config makes them, not so {', '.join(different)}; {advice}"
        )


def _check_own_memory(model: nn.Module) -> None:
    """Refuse weights that share memory: tied ones, or views of one tensor."""
    places: dict[int, str] = {}
    for name, value in model.state_dict().items():
        if value.is_meta or not value.numel():
            continue
        other = places.setdefault(value.untyped_storage().data_ptr(), name)
        if other != name:
            raise DrawError(
                f"expected weights each in memory of its own, got {other} and {name} in one place, "
                "which a file of weights does not keep; give each its own parameter (.clone()), or "
                "have the code use the same one twice under one name"
            )
