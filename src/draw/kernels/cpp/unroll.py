"""The fast unroll of a model: what `DRAW.unroll`, `reconstruct` and `generate` compute, faster."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.attention.window import Window, window_parameters
from draw.config.model import DRAWConfig
from draw.kernels.choose import multiplies_bf16
from draw.kernels.contract import Contract, Trial, small_side, small_sides
from draw.kernels.cpp import arguments, operators
from draw.kernels.cpp.binding import PARAMETERS, shape_of
from draw.parts.state import Trajectory, Unrolled


def unroll(
    config: DRAWConfig,
    model: nn.Module,
    images: Float[Tensor, "batch channels rows columns"],
    noise: Float[Tensor, "glimpses batch latent"],
) -> Unrolled:
    """All steps of a model (eqs 1-8, 10), with gradients for whatever wants them.

    Args:
        config: the model's.
        model: whose parameters are used; its numbers are float32 or float64, on the CPU.
        images: in [0, 1].
        noise: standard normal.
    """
    parameters = parameters_of(config, model)
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in (images, noise, *parameters))
    canvas, kl, log_ratio, _ = operators.unroll(
        images, noise, parameters, shape_of(config), multiplies_bf16(images.device.type), keep
    )
    return Unrolled(canvas, kl, log_ratio)


def trajectory(
    config: DRAWConfig,
    model: nn.Module,
    images: Float[Tensor, "batch channels rows columns"] | None,
    noise: Float[Tensor, "glimpses batch latent"],
) -> Trajectory:
    """Every step of a drawing: of given images, or of new ones, whose z is the noise."""
    canvases, read_controls, write_controls = operators.trajectory(
        images,
        noise,
        parameters_of(config, model),
        shape_of(config),
        multiplies_bf16(noise.device.type),
    )
    return Trajectory(
        canvases,
        write_windows=_windows(config, write_controls, config.write_size),
        read_windows=_windows(config, read_controls, config.read_size),
    )


def parameters_of(config: DRAWConfig, model: nn.Module) -> list[Tensor]:
    """A model's parameters in the order of the operators."""
    return arguments.parameters_of(model, parameter_names(config))


def parameter_names(config: DRAWConfig) -> tuple[str, ...]:
    """Names of the parameters of a model with a config, in the order of the operators."""
    return PARAMETERS if config.attention == "gaussian" else PARAMETERS[:-4]


def _windows(config: DRAWConfig, controls: Tensor, size: int) -> Window | None:
    return window_parameters(controls, config.rows, config.columns, size) if len(controls) else None


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
        read_size=small_side(config.read_size),
        write_size=small_side(config.write_size),
        kernel="reference",
    )


def _inputs(config: DRAWConfig, random: torch.Generator) -> list[Tensor]:
    images = torch.rand(3, *config.image_shape, generator=random, dtype=torch.float64)
    shape = config.glimpses, 3, config.latent_size
    return [images, torch.randn(shape, generator=random, dtype=torch.float64)]


def _trial(unrolled: Unrolled, drawn: Trajectory, generated: Trajectory) -> Trial:
    seen = {"canvases": drawn.canvases, "generated canvases": generated.canvases}
    for windows, name in (
        (drawn.read_windows, "read"),
        (drawn.write_windows, "write"),
        (generated.write_windows, "generated"),
    ):
        if windows is not None:
            seen |= {f"{name} {field}": value for field, value in windows.numbers.items()}
    return Trial(unrolled._asdict(), seen)


def _compiled(model: Any, images: Tensor, noise: Tensor) -> Trial:
    config = model.config
    unrolled = unroll(config, model, images, noise)
    with torch.no_grad():
        drawn = trajectory(config, model, images, noise)
        return _trial(unrolled, drawn, trajectory(config, model, None, noise))


def _reference(model: Any, images: Tensor, noise: Tensor) -> Trial:
    unrolled = model.unroll(images, noise)
    with torch.no_grad():
        drawn = model.trajectory(images, noise)
        return _trial(unrolled, drawn, model.trajectory(None, noise))


def _obstacle(config: DRAWConfig) -> str | None:
    known = {"attention": ("gaussian", "none"), "prior": ("standard",), "condition": ("none",)}
    for field, names in known.items():
        if getattr(config, field) not in names:
            return f"this model has {field} {getattr(config, field)!r}"
    return None


CONTRACT = Contract(
    parameters=parameter_names,
    obstacle=_obstacle,
    free=frozenset(
        ("__init__", "forward", "reconstruct", "generate", "codes", "noise_for", "kernel")
    ),
    outside=frozenset(("", "likelihood")),
    key=lambda config: tuple(shape_of(config)),
    miniature=_miniature,
    inputs=_inputs,
    compiled=_compiled,
    reference=_reference,
)
"""What `unroll` and `trajectory` stand for in a DRAW."""
