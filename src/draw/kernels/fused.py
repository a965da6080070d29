"""The fast unroll of a model: what `DRAW.unroll`, `reconstruct` and `generate` compute, faster."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.attention import Window, window_parameters
from draw.config import DRAWConfig
from draw.kernels import arguments, operators
from draw.kernels.choice import multiplies_bf16
from draw.kernels.native import PARAMETERS, shape_of
from draw.outputs import Trajectory, Unrolled


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
    names = PARAMETERS if config.attention == "gaussian" else PARAMETERS[:-4]
    return arguments.parameters_of(model, names)


def _windows(config: DRAWConfig, controls: Tensor, size: int) -> Window | None:
    return window_parameters(controls, config.rows, config.columns, size) if len(controls) else None
