"""The interface of a backend, and the contract by which a compiled one is compared with a model."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.attention.abstract import AbstractWindow
from draw.config.model import ModelConfig
from draw.parts.state import NOTHING, Context, Trajectory, UnrollOutput

OUTSIDE = frozenset(("", "likelihood", "condition"))
"""Parts of a DRAW that run in Python in any case, before and after its loop; empty for itself."""
OUTSIDE_NAMES = tuple(f"{part}." for part in sorted(OUTSIDE) if part)
"""Prefixes of the names of their parameters, which no kernel meets."""


@runtime_checkable
class Backend(Protocol):
    """A way to compute all steps of a model at once: the one operation worth making fast.

    To add one, extend this class in a file of its own and add a line to `draw.kernels.BACKENDS`.
    It is one object for all models; what it keeps of a model between calls, such as packed weights
    or captured graphs, it keeps in `model.execution.kept`, which a copy of the model does not have.
    What is not overridden runs in the model's own code, the specification.
    """

    name: ClassVar[str]
    """Name of the backend in `BACKENDS`."""
    description: ClassVar[str]
    """The backend in a few words; the reason for it where it runs by itself."""
    devices: ClassVar[frozenset[str] | None] = None
    """Types of the devices that the backend is made for; None for all. On others it is not
    asked."""
    configs: ClassVar[tuple[type[ModelConfig], ...]] = (ModelConfig,)
    """Configs of the models that the backend computes, and those that extend one of them. Of other
    models it is not asked."""

    def obstacle(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> str | None:
        """Say why the backend cannot run a model as it is now; None where nothing is in the way.

        Asked before every call, so the answer must be quick once it is known. It names whatever the
        backend would pass over: kinds of models, options, hooks, replaced parts, types of numbers,
        autocast.

        Args:
            model: any model that has backends, such as a DRAW or a Classifier.
            device: device of the weights, of a type in `devices`.
            dtype: floating-point type of the weights.
        """

    def ready(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> bool:
        """Whether `obstacle` can be asked without compiling anything."""
        return True

    def doubt(self, model: nn.Module, device: torch.device) -> str | None:
        """Say why it should not run a model where it is not asked for by name; None if it should.

        Asked before `obstacle`, and before anything is compiled: of models for which it was not
        measured to be faster than what comes after it, for example.

        Args:
            model: any model that has backends.
            device: device of the model's weights; of a type in `devices`.
        """
        return None

    def drawback(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> str | None:
        """Say why it is passed over though it can run, as where it was measured to be slower.

        Asked where it was not asked for by name and has no obstacle; None for nothing.

        Args:
            model: a model without an `obstacle`.
            device: device of its weights.
            dtype: type of its weights.
        """
        return None

    def reason(self, model: nn.Module) -> str:
        """Say why the backend runs where it was not asked for by name."""
        return self.description

    def unroll(
        self,
        model: nn.Module,
        images: Float[Tensor, "batch channels rows columns"],
        noise: Float[Tensor, "glimpses batch latent"],
        context: Context = NOTHING,
        unit_mask: Float[Tensor, "batch hidden"] | None = None,
    ) -> UnrollOutput:
        """Compute `DRAW.unroll` (eqs 1-8, 10), with gradients for whatever wants them.

        Args:
            model: a DRAW without an `obstacle`.
            images: images, [batch, channels, rows, columns], in [0, 1].
            noise: standard normal noise, [glimpses, batch, latent].
            context: conditioning of the drawings, from `DRAW.context`.
            unit_mask: factors of h_dec, as in `DRAW.forward`; given only where there are some, and
                without a gradient.
        """
        return own_unroll(model, images, noise, context, unit_mask)

    def trajectory(
        self,
        model: nn.Module,
        images: Float[Tensor, "batch channels rows columns"] | None,
        noise: Float[Tensor, "glimpses batch latent"],
        context: Context = NOTHING,
    ) -> Trajectory:
        """Compute `DRAW.trajectory`, every step of a drawing, without gradients.

        Args:
            model: a DRAW without an `obstacle`.
            images: images in [0, 1] to draw anew (eqs 1-8), or None for new ones (eqs 13-15).
            noise: standard normal noise, [glimpses, batch, latent], times the temperature for new
                images.
            context: conditioning of the drawings, from `DRAW.context`.
        """
        drawn: Trajectory = model.trajectory(images, noise, context)  # type: ignore[operator]
        return drawn

    def look(
        self, model: nn.Module, images: Float[Tensor, "batch channels rows columns"]
    ) -> tuple[Float[Tensor, "glimpses batch hidden"], AbstractWindow]:
        """Compute `Classifier.look`: the LSTM's outputs and the windows of all glimpses.

        A backend that knows nothing of classifiers says so in its `obstacle`.

        Args:
            model: a Classifier without an `obstacle`.
            images: images, [batch, channels, rows, columns], in [0, 1].
        """
        looked: tuple[Tensor, AbstractWindow] = model.look(images)  # type: ignore[operator]
        return looked


def own_unroll(
    model: Any, images: Tensor, noise: Tensor, context: Context, unit_mask: Tensor | None
) -> UnrollOutput:
    """Compute a model's own `unroll`, which need not know of factors where there are none.

    Args:
        model: a DRAW.
        images: images, [batch, channels, rows, columns], in [0, 1].
        noise: standard normal noise, [glimpses, batch, latent].
        context: conditioning of the drawings.
        unit_mask: factors of h_dec; None for none.
    """
    given = {} if unit_mask is None else {"unit_mask": unit_mask}
    unrolled: UnrollOutput = model.unroll(images, noise, context, **given)
    return unrolled


class Execution:
    """The way one model is run, which is no part of what it is: nothing of it is saved."""

    def __init__(self, backend: str = "auto") -> None:
        self.backend = backend
        """The backend asked for: "auto", or a name in `draw.kernels.BACKENDS`."""
        self.kept: dict[str, Any] = {}
        """What backends keep of the model between calls, each under its name."""

    def __reduce__(self) -> tuple[type["Execution"], tuple[str]]:
        """A copy of a model asks for the same backend; what is kept belongs to the original."""
        return Execution, (self.backend,)


def multiplies_bf16(device: str) -> bool:
    """Whether autocast asks for products of bfloat16 on devices of a type."""
    return torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16


class Trial(NamedTuple):
    """Results of a model's own code, or of a kernel in its stead, for some inputs; by name."""

    outputs: dict[str, Tensor]
    """Results with gradients."""
    observations: dict[str, Tensor]
    """Results without gradients: canvases and windows of every step."""


@dataclass(frozen=True, eq=False)
class Contract:
    """The part of a model that a compiled kernel computes in its stead."""

    parameters: Callable[[Any], Sequence[str]]
    """Names of the parameters that the kernel takes, from a model's config; the first is the
    model's own, not one of a submodule."""
    obstacle: Callable[[Any], str | None]
    """The option of a model's config that the kernel does not know; None where it takes all."""
    free: frozenset[str]
    """Methods that a subclass or a user may replace: they never meet the kernel, or call it."""
    outside: frozenset[str]
    """Names of submodules that run in Python in any case; empty for the model itself."""
    key: Callable[[Any], Hashable]
    """The part of a config that the kernel depends on."""
    miniature: Callable[[Any], Any]
    """A small config with the options of a given one."""
    inputs: Callable[..., list[Tensor]]
    """Random float64 inputs for a model with a given config; of a few images, or of so many."""
    kernel: Callable[..., Trial]
    """Results of the kernel for a model's parameters and inputs."""
    reference: Callable[..., Trial]
    """Results of the model's own code for the same."""
    has_kinks: Callable[[Any], bool] = lambda config: False
    """Whether the gradient jumps somewhere, from a model's config. Rounding then moves it by more
    than any error: where operands are rounded, results are compared and gradients are not."""
    placing: Callable[[Any], int] = lambda config: 5
    """Numbers that place a window, from a model's config."""
    modules: tuple[str, ...] = ()
    """Modules of the package that the kernel is written in, where that is Python: they are part of
    what is proven, with whatever they use."""


def unknown_option(config: ModelConfig, known: Mapping[str, tuple[Any, ...] | None]) -> str | None:
    """What of a model's config a kernel does not know, in words; None where it knows all of it.

    An option that is not named must have its default: so a new one is an obstacle until somebody
    has looked at it.

    Args:
        config: config of a model.
        known: options with the values that the kernel takes, None for any.
    """
    for field in fields(config):
        value = getattr(config, field.name)
        values = known.get(field.name, (field.default,))
        if values is not None and value not in values:
            return f"this model has {field.name} {value!r}"
    return None


def small_side(size: int) -> int:
    """Side of a small window in filters: 1, or 2 or 3 as the given one is even or odd."""
    return 1 if size == 1 else 2 + size % 2


def small_heads(heads: int) -> int:
    """Number of windows of a small model: few, but more than fill one vector with controls."""
    return min(heads, 4)


def small_sides(config: ModelConfig) -> tuple[int, int]:
    """Rows and columns of a small image; the longer side is that of the given one."""
    return 5 + (config.rows > config.columns), 5 + (config.columns > config.rows)
