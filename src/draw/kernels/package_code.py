"""The code that a model's classes and the package consist of: whether it changed, and whose it is.

A kernel and a recording stand for code that was there when they were proved or made. Each later
call compares every name that the code may use, and the code within its functions.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property, partial, partialmethod
from inspect import getattr_static
from itertools import chain
from operator import attrgetter, itemgetter
from types import FunctionType, MethodType
from typing import Any

_MOST_WRAPPERS = 10
"""Functions within functions that are looked at; nobody's decorators are as many."""
_code_within = attrgetter("__code__", "__defaults__", "__kwdefaults__")


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
                home = _home(function)
                if home not in _LIBRARIES and home != _PACKAGE:
                    of = function.__globals__.get("__name__")
                    return f"{namespace.name}.{name} was replaced by a function of {of}"
    return None


_PACKAGE = __name__.partition(".")[0]
_LIBRARIES = sys.stdlib_module_names | {
    "torch", "triton", "numpy", "jaxtyping", "beartype", "huggingface_hub", "safetensors",
    "accelerate", "datasets", "PIL", "pyarrow", "matplotlib",
}  # fmt: skip
"""Packages whose functions stand in the package's own modules and classes, beside its own; their
code is taken to stay as it is."""


def _home(function: FunctionType) -> str:
    """Name of the package that a function is of."""
    home = str(function.__globals__.get("__name__")).partition(".")[0]
    return "collections" if home.startswith("namedtuple_") else home


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

    That of `_LIBRARIES` is left out.

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
            known = parts, [one for one in functions if _home(one) not in _LIBRARIES]
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
    classes = dict.fromkeys(own for k in (kind, *kinds) for own in k.__mro__ if own is not object)
    found: dict[str, Mapping[str, Any]] = {}
    due = [*modules, *(own.__module__ for own in classes)]
    while due:
        name = due.pop()
        if name not in found and name.partition(".")[0] == _PACKAGE:
            found[name] = vars(sys.modules[name])
            due += [str(getattr(value, "__module__", "")) for value in found[name].values()]
    used = dict.fromkeys(
        value
        for names in found.values()
        for value in names.values()
        if isinstance(value, type) and value.__module__.partition(".")[0] == _PACKAGE
    )
    return _Namespaces(
        [
            *(
                _Namespace(
                    own.__qualname__,
                    vars(own),
                    _counts_in_class,
                    of_package=own.__module__.partition(".")[0] == _PACKAGE,
                    of_models=own in kind.__mro__,
                )
                for own in classes | used
            ),
            *(_Namespace(name, values, _counts_in_module) for name, values in found.items()),
        ]
    )
