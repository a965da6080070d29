"""The allow-list: whether a model is the one that a compiled kernel knows, with no hooks.

A kernel takes a model's numbers and calls none of its code. So everything that it stands for must
be as the class makes it; what is not is named here, and the model's own code runs.
"""

import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial, partialmethod
from inspect import getattr_static
from itertools import chain
from operator import attrgetter, itemgetter
from types import FunctionType, MethodType
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
_MOST_WRAPPERS = 10
"""Functions within functions that are looked at; nobody's decorators are as many."""
_code_within = attrgetter("__code__", "__defaults__", "__kwdefaults__")
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


def code_of(kind: type, kinds: Iterable[type], modules: Iterable[str] = ()) -> list[Any]:
    """List every name that a model's code may use, in its classes and the package, with its value.

    Two such lists are equal as long as nothing was replaced, nor the code within a function, as
    IPython's autoreload does; `same_code` compares them.

    Args:
        kind: class of the model.
        kinds: classes of its parts.
        modules: names of further modules of the package whose code counts.
    """
    return _namespaces(kind, frozenset(kinds), *modules).read()


def same_code(one: list[Any], other: list[Any]) -> bool:
    """Whether two results of `code_of` are equal."""
    try:
        return one == other
    except (RuntimeError, ValueError):  # arrays that took the place of others are neither
        return False


def code_from_elsewhere(
    kind: type, kinds: Iterable[type], modules: Iterable[str], free: frozenset[str]
) -> str | None:
    """Name a function of somebody else in a place of the package's own; None if there is none.

    Such a function may go by what lies outside the package, a number in a notebook or in a
    closure, of which a later change would not be seen: what it computes now proves nothing.

    Args:
        kind: class of the model; methods that a subclass adds are its own, and no matter.
        kinds: classes of its parts.
        modules: names of further modules of the package whose code counts.
        free: names in the classes of models that no kernel stands for.
    """
    for namespace in _namespaces(kind, frozenset(kinds), *modules).each:
        for name, value in zip(*namespace.read(), strict=True):
            if not namespace.of_package or (name in free and namespace.of_models):
                continue
            for function in _functions(value):
                home = str(function.__globals__.get("__name__"))
                root = home.partition(".")[0]
                if root not in _HOMES and not root.startswith("namedtuple_"):
                    return f"{namespace.name}.{name} was replaced by a function of {home}"
    return None


_HOMES = sys.stdlib_module_names | {
    __name__.partition(".")[0], "torch", "triton", "numpy", "jaxtyping", "beartype",
    "huggingface_hub", "safetensors", "accelerate", "datasets", "PIL", "pyarrow", "matplotlib",
}  # fmt: skip
"""Packages whose functions stand in the package's own modules and classes."""


def _functions(value: Any) -> Iterator[FunctionType]:
    """Python functions behind a value: itself, or what is wrapped in it."""
    for _ in range(_MOST_WRAPPERS):
        if isinstance(value, FunctionType):
            yield value
            value = value.__dict__.get("__wrapped__")
        elif isinstance(value, staticmethod | classmethod | MethodType):
            value = value.__func__
        elif isinstance(value, partial | partialmethod | cached_property):
            value = value.func
        elif isinstance(value, property):
            for one in (value.fget, value.fset, value.fdel):
                yield from _functions(one)
            return
        elif not isinstance(value, type) and callable(value):
            value = getattr_static(value, "__wrapped__", None) or getattr_static(
                type(value), "__call__", None
            )
        else:
            return


class _Namespace:
    """The names of a class or a module, and what they stand for, as far as it counts.

    It is read at every forward pass: all at once, without Python, as long as the names are those of
    the last time.

    Args:
        name: name of the class or module.
        values: what the names stand for now.
        counts: whether a name counts.
        of_package: whether it is one of the package's.
        of_models: whether it is a class of models, not of parts.
    """

    def __init__(
        self,
        name: str,
        values: Mapping[str, Any],
        counts: Callable[[str], bool],
        *,
        of_package: bool = True,
        of_models: bool = False,
    ) -> None:
        self.name, self.of_package, self.of_models = name, of_package, of_models
        self._values, self._counts = values, counts
        self._known = self._look()

    def read(self) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Names, and what they stand for."""
        size, names, get = self._known
        if len(self._values) == size:
            try:
                return names, get(self._values)[: len(names)]
            except KeyError:  # as many names, but others
                pass
        size, names, get = self._known = self._look()
        return names, get(self._values)[: len(names)]

    def _look(self) -> tuple[int, tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
        """The number of all names, those that count, and what gets the values of these and all."""
        names = tuple(filter(self._counts, self._values))
        others = self._values.keys() - set(names)
        return len(self._values), names, itemgetter(*names, *others)


class _Namespaces:
    """Several namespaces, and the code within the functions that their names stand for.

    Args:
        each: the namespaces.
    """

    def __init__(self, each: list[_Namespace]) -> None:
        self.each = each
        self._known: tuple[list[Any], list[FunctionType]] = [], []
        """What was read last, and the functions in it."""

    def read(self) -> list[Any]:
        """Names and what they stand for, of one after the other, and the code within functions."""
        parts = [part for namespace in self.each for part in namespace.read()]
        known = self._known
        if not same_code(parts, known[0]):
            values = chain.from_iterable(parts[1::2])
            functions = dict.fromkeys(chain.from_iterable(map(_functions, values)))
            known = parts, [*functions]
            self._known = known
        return [*parts, tuple(map(_code_within, known[1]))]


def _counts_in_class(name: str) -> bool:
    return not _is_of_compiler(name)


def _counts_in_module(name: str) -> bool:
    return not name.startswith("__")


def _is_of_compiler(name: str) -> bool:
    """Whether torch.compile puts something of its own there in the classes of modules.

    To modules it gives names with two underscores before, which no code of the package has.
    """
    return name in ("__init__", "__setstate__") or name.startswith("___")


@cache
def _namespaces(kind: type, kinds: frozenset[type], *modules: str) -> _Namespaces:
    """The classes and the package's classes that their code uses; the modules that it uses."""
    package, _, _ = __name__.partition(".")
    classes = dict.fromkeys(own for k in (kind, *kinds) for own in k.__mro__ if own is not object)
    found: dict[str, Mapping[str, Any]] = {}
    due = [*modules, *(own.__module__ for own in classes)]
    while due:
        name = due.pop()
        if name not in found and name.partition(".")[0] == package:
            found[name] = vars(sys.modules[name])
            due += [str(getattr(value, "__module__", "")) for value in found[name].values()]
    used = dict.fromkeys(
        value
        for names in found.values()
        for value in names.values()
        if isinstance(value, type) and value.__module__.partition(".")[0] == package
    )
    return _Namespaces(
        [
            *(
                _Namespace(
                    own.__qualname__,
                    vars(own),
                    _counts_in_class,
                    of_package=own.__module__.partition(".")[0] == package,
                    of_models=own in kind.__mro__,
                )
                for own in classes | used
            ),
            *(_Namespace(name, values, _counts_in_module) for name, values in found.items()),
        ]
    )
