"""The allow-list: whether a model is the one that a compiled kernel knows, with no hooks.

A kernel takes a model's numbers and calls none of its code. So everything that it stands for must
be as the class makes it; what is not is named here, and the model's own code runs.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as every_module

from draw.kernels.contract import Contract

_HOOKS = {
    "_forward_hooks": "forward hook",
    "_forward_pre_hooks": "forward pre-hook",
    "_backward_hooks": "backward hook",
    "_backward_pre_hooks": "backward pre-hook",
}
_HOOKS_OF_ALL = tuple(getattr(every_module, f"_global{name}") for name in _HOOKS)
OF_ANY_MODULE = frozenset(vars(nn.Module()))
"""Attributes that every module has."""
_SIMPLE = int, float, str, tuple, type(None)
"""Types of attributes that can be compared."""
_PLAIN = nn.Parameter, Tensor
"""Types of parameters; `torch.func.functional_call` puts tensors in their place."""


@dataclass(frozen=True)
class Part:
    """A module as its class makes it."""

    path: str
    kind: type[nn.Module]
    names: frozenset[str]
    """Names of all that its instances hold."""
    settings: dict[str, Any]
    """Values of its plain attributes."""
    parameters: dict[str, torch.Size]
    """Shapes of the parameters, by name."""
    modules: frozenset[str]

    def name(self, attribute: str) -> str:
        """Name of an attribute as seen from the model."""
        return f"{self.path}.{attribute}".lstrip(".")


@dataclass(frozen=True)
class Layout:
    """A model as its class makes it, as far as a kernel stands for it."""

    root: Part
    parts: tuple[Part, ...]
    kinds: frozenset[type[nn.Module]]
    """Classes of the parts."""


_known: dict[tuple[Contract, type[nn.Module], Hashable], Layout] = {}
"""Of a contract, a class, and what the contract depends on in a config."""


def expected_of(contract: Contract, model: nn.Module) -> Layout:
    """Make the layout of a model whose code is that of the class that its kernel knows.

    Args:
        contract: contract of the kernel.
        model: a model of the class or a subclass of it, with a `config` and a `specification`.
    """
    config, base = cast(Any, model.config), cast(Any, model).specification()
    key = contract, base, contract.key(config)
    if key not in _known:
        _known[key] = layout(base, contract, config)
    return _known[key]


def obstacle(contract: Contract, model: nn.Module) -> str | None:
    """Name what a kernel does not know of a model's options, or would pass over; None if nothing.

    Args:
        contract: contract of the kernel.
        model: a model of the class or a subclass of it, with a `config` and a `specification`.
    """
    unknown = transform() or contract.obstacle(cast(Any, model.config))
    return unknown or difference(expected_of(contract, model), contract, model)


def transform() -> str | None:
    """Say that torch takes derivatives, or maps a function, in a way that a kernel has not."""
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return "it has no forward-mode derivative and runs in no torch.func transform"
    return None


def layout(base: type[nn.Module], contract: Contract, config: Any) -> Layout:
    """Make the layout of a class's models with a config.

    Args:
        base: class that the kernel knows.
        contract: contract of the kernel.
        config: config of a model.
    """
    with torch.device("meta"):
        fresh = base(config)
    taken = contract.parameters(config)
    parts = frozenset(name for name, _ in fresh.named_children()) - contract.outside
    own = {name: fresh.get_parameter(name).shape for name in taken if "." not in name}
    made = tuple(
        part_of(path, module)
        for path, module in fresh.named_modules()
        if path.split(".")[0] in parts
    )
    root = Part("", base, frozenset(vars(fresh)), _settings(fresh, contract.free), own, parts)
    return Layout(root, made, frozenset(part.kind for part in made))


def part_of(path: str, module: nn.Module) -> Part:
    """Describe a module that its class has just made, and its place in a model."""
    return Part(
        path,
        type(module),
        frozenset(vars(module)),
        _settings(module),
        {name: value.shape for name, value in module.named_parameters(recurse=False)},
        frozenset(name for name, _ in module.named_children()),
    )


def _settings(module: nn.Module, free: Iterable[str] = ()) -> dict[str, Any]:
    """Plain attributes of a module that its class has just made, by which its code may go."""
    return {
        name: value
        for name, value in vars(module).items()
        if name not in OF_ANY_MODULE and name not in free and isinstance(value, _SIMPLE)
    }


def difference(expected: Layout, contract: Contract, model: nn.Module) -> str | None:
    """Name what a kernel would pass over in a model; None where it stands for all of it.

    Runs at each forward pass, so it looks where torch keeps things.
    """
    if any(_HOOKS_OF_ALL):
        return "torch has a hook on all modules, which it would not call"
    root = expected.root
    for name in vars(model).keys() - root.names - contract.free:
        if hasattr(root.kind, name):
            return f"this model has its own {name}"
    for name, setting in root.settings.items():
        if vars(model).get(name) != setting:
            return f"{name} is {vars(model).get(name)}, its class makes it {setting}"
    first = model._parameters.get(next(iter(root.parameters)))
    found = _odd_parameter(root, model, first)
    if found is not None:
        return found
    modules = {"": model}
    for part in expected.parts:
        above, _, name = part.path.rpartition(".")
        module = modules[above]._modules.get(name)
        found = _odd_part(part, module, first)
        if found is not None or module is None:
            return found
        modules[part.path] = module
    return None


def _odd_part(part: Part, module: nn.Module | None, first: Tensor | None) -> str | None:
    if module is not None:
        for hooks, name in _HOOKS.items():
            if module.__dict__[hooks]:
                return f"{part.path} has a {name}, which it would not call"
    found = structure(part, module)
    if found is not None or module is None:
        return found
    if module._buffers:
        return f"{part.path} holds other buffers: {', '.join(module._buffers)}"
    return _odd_parameter(part, module, first)


def structure(part: Part, module: nn.Module | None, free: Iterable[str] = ()) -> str | None:
    """Name how a module differs from what its class makes: class, code, settings, names within it.

    Args:
        part: the module as its class makes it.
        module: the module in its place.
        free: names of methods that the module may have of its own.
    """
    if module is None or type(module) is not part.kind:
        return f"this model has its own {part.path} (a {type(module).__name__})"
    held = module.__dict__
    if held.keys() != part.names:
        for name in held.keys() - part.names:
            if hasattr(part.kind, name) and name not in free:
                return f"this model has its own {part.name(name)}"
    for name, value in part.settings.items():
        if held.get(name) != value:
            return f"{part.name(name)} is {held.get(name)}, its config makes it {value}"
    if held["_modules"].keys() != part.modules:
        more = held["_modules"].keys() ^ part.modules
        return f"{part.path or 'this model'} holds other modules: {', '.join(sorted(more))}"
    if held["_parameters"].keys() != part.parameters.keys():
        more = held["_parameters"].keys() ^ part.parameters.keys()
        return f"{part.path or 'this model'} holds other parameters: {', '.join(sorted(more))}"
    return None


def _odd_parameter(part: Part, module: nn.Module, first: Tensor | None) -> str | None:
    """A parameter that is not as the class makes it, or of other numbers than the first."""
    held = module._parameters
    for name, shape in part.parameters.items():
        value = held.get(name)
        if value is None or first is None:
            return f"this model has no parameter {part.name(name)}"
        if type(value) not in _PLAIN:
            return f"{part.name(name)} is a {type(value).__name__}, no plain parameter"
        if value.shape != shape:
            return (
                f"{part.name(name)} has shape {list(value.shape)}, its config makes it "
                f"{list(shape)}"
            )
        if value.dtype is not first.dtype or value.device != first.device:
            return (
                f"{part.name(name)} is {value.dtype} on {value.device}, other parameters are "
                f"{first.dtype} on {first.device}"
            )
    return None


def other_code(expected: Layout, contract: Contract, kind: type[nn.Module]) -> str | None:
    """Name a method or property of a subclass where a kernel stands for the class's.

    Args:
        expected: a model of the class that the kernel knows.
        contract: contract of the kernel.
        kind: class of a model.
    """
    root = expected.root
    known = set(root.kind.__mro__)
    for own in (own for own in kind.__mro__ if own not in known):
        for name, value in vars(own).items():
            if name in contract.free or not hasattr(value, "__get__"):
                continue
            if hasattr(root.kind, name) or name in root.parameters or name in root.modules:
                return f"this model has its own {name}"
    return None


def hook(model: nn.Module, outside: frozenset[str]) -> str | None:
    """Name a hook in a model, which its loop as a captured graph would not call, or a transform.

    Args:
        model: any model.
        outside: names of submodules that run in Python in any case; empty for the model itself.
    """
    if (found := transform()) is not None:
        return found
    if any(_HOOKS_OF_ALL):
        return "torch has a hook on all modules, which it would not call"
    for path, module in model.named_modules():
        for hooks, name in _HOOKS.items():
            if vars(module)[hooks] and path.split(".")[0] not in outside:
                return f"{path} has a {name}, which it would not call"
    return gradient_hook(model, outside)


def gradient_hook(model: nn.Module, outside: frozenset[str]) -> str | None:
    """Name a hook on a parameter's gradient, which would act in a captured graph and after it.

    Args:
        model: any model.
        outside: names of submodules that run in Python in any case.
    """
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if parameter._backward_hooks and name.partition(".")[0] not in outside:
            return f"{name} has a hook on its gradient, which it would call twice"
    return None
