"""The compiled unroll of a model: what `DRAW.unroll`, `reconstruct` and `generate` compute."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.attention.abstract import AbstractWindow
from draw.attention.several import windows_of
from draw.config.model import DRAWConfig
from draw.kernels.contract import (
    OUTSIDE,
    Contract,
    Trial,
    multiplies_bf16,
    own_unroll,
    small_heads,
    small_side,
    small_sides,
    unknown_option,
)
from draw.kernels.cpp import arguments, operators
from draw.kernels.cpp.binding import shape_of
from draw.kernels.cpp.form import FILTERS, drawing_names, placing_of
from draw.parts.state import NOTHING, Context, Trajectory, UnrollOutput


def unroll(
    config: DRAWConfig,
    model: nn.Module,
    images: Float[Tensor, "batch channels rows columns"],
    noise: Float[Tensor, "glimpses batch latent"],
    context: Context = NOTHING,
    unit_mask: Float[Tensor, "batch hidden"] | None = None,
) -> UnrollOutput:
    """Compute all steps of a model (eqs 1-8, 10), with gradients for whatever wants them.

    Args:
        config: config of the model.
        model: DRAW, of which the parameters are used; its numbers are float32 or float64, on the
            CPU.
        images: images, [batch, channels, rows, columns], in [0, 1].
        noise: standard normal noise, [glimpses, batch, latent].
        context: conditioning of the drawings.
        unit_mask: factors of h_dec, the same at all steps; they have no gradient.
    """
    parameters = parameters_of(config, model)
    given = images, noise, *(addend for addend in context if addend is not None), *parameters
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given)
    canvas, kl, log_ratio, _ = operators.unroll(
        images,
        noise,
        *context,
        unit_mask,
        parameters,
        shape_of(config),
        multiplies_bf16(images.device.type),
        keep,
    )
    return UnrollOutput(canvas, kl, log_ratio)


def trajectory(
    config: DRAWConfig,
    model: nn.Module,
    images: Float[Tensor, "batch channels rows columns"] | None,
    noise: Float[Tensor, "glimpses batch latent"],
    context: Context = NOTHING,
) -> Trajectory:
    """Compute every step of a drawing: of given images, or of new ones (eqs 13-15).

    Args:
        config: config of the model.
        model: DRAW, of which the parameters are used; its numbers are float32 or float64, on the
            CPU.
        images: images in [0, 1] to draw anew, or None for new ones.
        noise: standard normal noise, [glimpses, batch, latent], times the temperature for new
            images.
        context: conditioning of the drawings.
    """
    canvases, read_controls, write_controls = operators.trajectory(
        images,
        noise,
        *context,
        parameters_of(config, model),
        shape_of(config),
        multiplies_bf16(noise.device.type),
    )
    return Trajectory(
        canvases,
        write_windows=_windows(model, "writer", write_controls, config.write_heads),
        read_windows=_windows(model, "reader", read_controls, config.read_heads),
    )


def parameters_of(config: DRAWConfig, model: nn.Module) -> list[Tensor]:
    """Collect a model's parameters in the order of the operators."""
    return arguments.parameters_of(model, parameter_names(config))


def parameter_names(config: DRAWConfig) -> tuple[str, ...]:
    """Names of the parameters of a model with a config, in the order of the operators."""
    return drawing_names(windows=config.attention != "none", learned=config.prior == "learned")


def _windows(model: Any, sampler: str, controls: Tensor, heads: int) -> AbstractWindow | None:
    if not len(controls):
        return None
    return windows_of(getattr(model.attention, sampler).window, controls, heads)


def _miniature(config: DRAWConfig) -> DRAWConfig:
    rows, columns = small_sides(config)
    return DRAWConfig(
        rows=rows,
        columns=columns,
        channels=config.channels,
        glimpses=min(config.glimpses, 2),
        hidden_size=18,
        latent_size=5,
        attention=config.attention,
        prior=config.prior,
        condition=config.condition,
        read_size=small_side(config.read_size),
        write_size=small_side(config.write_size),
        read_heads=small_heads(config.read_heads),
        write_heads=small_heads(config.write_heads),
    )


def _inputs(config: DRAWConfig, random: torch.Generator, batch: int = 3) -> list[Tensor]:
    """Images and noise; and what both LSTMs are told, where the model is told anything."""
    images = torch.rand(batch, *config.image_shape, generator=random, dtype=torch.float64)
    context = [] if config.condition == "none" else 2 * [(batch, 4 * config.hidden_size)]
    shapes = [(config.glimpses, batch, config.latent_size), *context]
    normal = [torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes]
    return [images, *normal]


def trial_of(unrolled: UnrollOutput, drawn: Trajectory, generated: Trajectory) -> Trial:
    """Outputs of a DRAW, and what is seen of its drawings, by name.

    Args:
        unrolled: with gradients.
        drawn: drawings of given images.
        generated: drawings of new images.
    """
    seen = {"canvases": drawn.canvases, "generated canvases": generated.canvases}
    for windows, name in (
        (drawn.read_windows, "read"),
        (drawn.write_windows, "write"),
        (generated.write_windows, "generated"),
    ):
        if windows is not None:
            seen |= {f"{name} {field}": value for field, value in windows.numbers.items()}
    return Trial(unrolled._asdict(), seen)


def with_masks(trial: Trial, unroll: Callable[[Tensor], UnrollOutput], like: Tensor) -> Trial:
    """A trial, with results under factors of h_dec, from 0 to 2, among its outputs.

    Not under autocast: factors up to 2 make rounded gradients too far apart to be compared, and the
    same code has been compared in full by then.

    Args:
        trial: results without factors.
        unroll: results for the same inputs with them, [batch, hidden], with gradients.
        like: a tensor [batch, hidden] of their type and device.
    """
    if torch.is_autocast_enabled(like.device.type):
        return trial
    factors = torch.linspace(0, 2, like.numel(), dtype=like.dtype, device=like.device)
    found = unroll(factors.view(like.shape))._asdict()
    more = {f"{name} with a unit mask": value for name, value in found.items()}
    return trial._replace(outputs=trial.outputs | more)


def units_of(model: Any, images: Tensor) -> Tensor:
    """Something of the shape of h_dec, [batch, hidden]."""
    return images.new_zeros(len(images), model.config.hidden_size)


def _compiled(model: Any, images: Tensor, noise: Tensor, *addends: Tensor) -> Trial:
    config, context = model.config, Context(*addends) if addends else NOTHING
    unrolled = unroll(config, model, images, noise, context)
    with torch.no_grad():
        drawn = trajectory(config, model, images, noise, context)
        trial = trial_of(unrolled, drawn, trajectory(config, model, None, noise, context))
    return with_masks(
        trial,
        lambda factors: unroll(config, model, images, noise, context, factors),
        units_of(model, images),
    )


def unmasked_reference(model: Any, images: Tensor, noise: Tensor, *addends: Tensor) -> Trial:
    """Results of a model's own code, as far as there are no factors of h_dec.

    Args:
        model: a DRAW.
        images: images, [batch, channels, rows, columns], in [0, 1].
        noise: standard normal noise, [glimpses, batch, latent].
        addends: what encoder and decoder are told, if anything.
    """
    context = Context(*addends) if addends else NOTHING
    unrolled = model.unroll(images, noise, context)
    with torch.no_grad():
        drawn = model.trajectory(images, noise, context)
        return trial_of(unrolled, drawn, model.trajectory(None, noise, context))


def _reference(model: Any, images: Tensor, noise: Tensor, *addends: Tensor) -> Trial:
    context = Context(*addends) if addends else NOTHING
    return with_masks(
        unmasked_reference(model, images, noise, *addends),
        lambda factors: own_unroll(model, images, noise, context, factors),
        units_of(model, images),
    )


ANY = (
    "rows", "columns", "channels", "glimpses", "hidden_size", "latent_size", "read_size",
    "write_size", "likelihood", "condition", "classes", "label_dropout",
)  # fmt: skip
"""Options of which every kernel takes every value: likelihood and condition run in Python."""
HEADS = "read_heads", "write_heads"
"""Options of which this one takes every value besides."""


def _obstacle(config: DRAWConfig) -> str | None:
    parts = {"attention": FILTERS, "prior": ("standard", "learned")}
    return unknown_option(config, {**dict.fromkeys((*ANY, *HEADS)), **parts})


_FREE = frozenset((
    "__init__", "forward", "reconstruct", "generate", "complete", "encode", "latents", "codes",
    "noise_for", "backend", "choice", "forecast", "context", "known_context", "addends",
    "labels_for",
))  # fmt: skip
"""What a subclass may have of its own: it asks for the loop, or makes its inputs."""

CONTRACT = Contract(
    parameters=parameter_names,
    obstacle=_obstacle,
    free=_FREE,
    outside=OUTSIDE,
    key=lambda config: (*shape_of(config), config.condition),
    miniature=_miniature,
    inputs=_inputs,
    kernel=_compiled,
    reference=_reference,
    has_kinks=lambda config: config.attention == "laplace",
    placing=lambda config: placing_of(config.attention),
)
"""The contract of `unroll` and `trajectory`: the part of a DRAW that they compute."""
