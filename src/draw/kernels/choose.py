"""The choice of the backend that a model runs on, with its reason."""

import logging
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import nn

from draw.errors import DrawError, KernelUnavailableError
from draw.fields import either
from draw.kernels import BACKENDS
from draw.kernels.contract import Backend

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """The backend that runs, by its name in `BACKENDS`."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


class _Place(NamedTuple):
    """Where the weights of a model are, and in what numbers."""

    device: torch.device
    dtype: torch.dtype


def check_backend(name: object) -> None:
    """Refuse a backend that cannot be asked for.

    Raises:
        DrawError: if the name is neither "auto" nor in `BACKENDS`.
    """
    if name != "auto" and name not in BACKENDS:
        names = either([repr(one) for one in ("auto", *BACKENDS)])
        raise DrawError(f"expected a backend, {names}, got {name!r}")


def choose(model: nn.Module, asked: str) -> Choice:
    """Choose the backend for a model as it is now; at its first use one compiles and proves itself.

    Args:
        model: any model with backends; the first of its parameters says where it is.
        asked: "auto" for the first backend without an obstacle, or the name of one.

    Raises:
        KernelUnavailableError: if the backend that is asked for has an obstacle.
    """
    return _choice(model, asked, look=False)


def forecast(model: nn.Module, asked: str) -> Choice:
    """Forecast what `choose` will say, as far as it can be known without compiling anything.

    Args:
        model: any model with backends.
        asked: "auto", or the name of a backend.

    Raises:
        KernelUnavailableError: if the backend that is asked for has an obstacle.
    """
    return _choice(model, asked, look=True)


def _choice(model: nn.Module, asked: str, *, look: bool) -> Choice:
    first = next(model.parameters())
    place = _Place(first.device, first.dtype)
    if asked != "auto":
        return _as_asked(model, BACKENDS[asked], place, look)
    passed: list[str] = []
    hindered = False
    for name, backend in BACKENDS.items():
        if not _made_for(backend, place) or _kind(backend, model) is not None:
            continue
        found = backend.doubt(model, place.device)
        if found is None and look and not backend.ready(model, *place):
            return Choice(name, f"{backend.description}; to be compiled at its first use")
        if found is None:
            found = obstacle(backend, model, *place) or backend.drawback(model, *place)
            hindered = hindered or found is not None
        if found is None:
            reason = "; ".join([backend.reason(model), *passed])
            _note(name, reason, slow=hindered)
            return Choice(name, reason)
        passed.append(f"not {name}: {found}")
    raise KernelUnavailableError(f"no backend runs this model: {'; '.join(passed)}")


def _as_asked(model: nn.Module, backend: Backend, place: _Place, look: bool) -> Choice:
    if look and _made_for(backend, place) and not backend.ready(model, *place):
        return Choice(backend.name, "as asked; to be compiled at its first use")
    if not _made_for(backend, place):
        devices = either(sorted((backend.devices or frozenset()) - {"meta"}))
        found: str | None = f"it runs on {devices}, the model is on {place.device.type}"
    else:
        found = obstacle(backend, model, *place)
    if found is not None:
        raise KernelUnavailableError(
            f"the backend {backend.name} cannot run: {found}; choose the backend 'auto' or "
            "'reference'"
        )
    return Choice(backend.name, "as asked")


def obstacle(
    backend: Backend, model: nn.Module, device: torch.device, dtype: torch.dtype
) -> str | None:
    """Say why a backend cannot run a model as it is now; None where nothing is in the way.

    Args:
        backend: one of `BACKENDS`.
        model: any model with backends.
        device: device of the model's weights.
        dtype: floating-point type of the model's weights.
    """
    return _kind(backend, model) or backend.obstacle(model, device, dtype)


def _kind(backend: Backend, model: nn.Module) -> str | None:
    config: Any = model.config
    if isinstance(config, backend.configs):
        return None
    kinds = either([one.kind for one in backend.configs])
    return f"it computes models of kind {kinds}, this one is of kind {config.kind}"


def _made_for(backend: Backend, place: _Place) -> bool:
    return backend.devices is None or place.device.type in backend.devices


@cache
def _note(name: str, reason: str, *, slow: bool) -> None:
    """Log a choice, once each; one that a preferred backend was passed over for as a warning."""
    if slow:
        log.warning("the backend %s runs, which may be several times slower: %s", name, reason)
    else:
        log.info("backend %s: %s", name, reason)
