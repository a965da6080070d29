"""The unroll on a GPU by one kernel forward and one backward: what `DRAW.unroll` computes."""

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from draw.attention.window import Window, window_parameters
from draw.kernels.contract import OUTSIDE_NAMES
from draw.kernels.gpu.gradient import Backward, InputMask, Slopes
from draw.kernels.gpu.layout import CONTROLS, FASTEST, MOST_PARTS, Layout, Tiles, layout_of
from draw.kernels.gpu.sequence import Residuals, Run
from draw.parts.state import NOTHING, Context, Trajectory, UnrollOutput

if TYPE_CHECKING:
    from draw.model.draw import DRAW


class _Unroll(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        layout: Layout,
        dtype: torch.dtype,
        names: list[str],
        images: Tensor,
        noise: Tensor,
        enc: Tensor | None,
        dec: Tensor | None,
        *parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        named = dict(zip(names, parameters, strict=True))
        run = Run(layout, dtype, named, images, noise, Context(enc, dec), keep=True)
        run.forward()
        ctx.layout, ctx.dtype, ctx.names, ctx.products = layout, dtype, names, list(run.weights)
        ctx.save_for_backward(
            images, noise, enc, dec, *parameters, *run.residuals(), *run.weights.values()
        )
        return tuple(run.results())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        _, noise, _, _, *rest = ctx.saved_tensors  # an error where one was changed since
        n, kept = len(ctx.names), len(Residuals._fields)
        run = Backward(
            ctx.layout, ctx.dtype, dict(zip(ctx.names, rest[:n], strict=True)), noise.contiguous(),
            Residuals(*rest[n : n + kept]), dict(zip(ctx.products, rest[n + kept :], strict=True)),
        )  # fmt: skip
        with without_autocast(noise.device):
            inputs, parameters = run(Slopes(*slopes), InputMask(*ctx.needs_input_grad[3:7]))
        return None, None, None, *inputs, *(parameters[name] for name in ctx.names)


@torch.compiler.disable(reason="a kernel of its own")  # type: ignore[no-untyped-call, untyped-decorator]
def unroll(
    model: "DRAW",
    images: Float[Tensor, "batch channels rows columns"],
    noise: Float[Tensor, "glimpses batch latent"],
    context: Context = NOTHING,
    *,
    dtype: torch.dtype | None = None,
    tiles: Tiles | None = None,
) -> UnrollOutput:
    """All steps of a model (eqs 1-8, 10), with gradients for whatever wants them.

    Args:
        model: DRAW as it is, float32, on a GPU.
        images: images, [batch, channels, rows, columns], in [0, 1].
        noise: standard normal noise, [glimpses, batch, latent].
        context: conditioning of the drawings.
        dtype: type of the operands of products: float32, bfloat16 or float16; None for what
            autocast says.
        tiles: how the work is cut.
    """
    dtype = dtype or operands(noise.device)
    layout = layout_of(model.config, dtype, tiles or tiles_for(noise.device, noise.shape[1]))
    parameters = _parameters(model)
    given = images, noise, *context, *parameters.values()
    wanted = any(tensor is not None and tensor.requires_grad for tensor in given)
    with without_autocast(noise.device):
        if torch.is_grad_enabled() and wanted:
            found = _Unroll.apply(  # type: ignore[no-untyped-call]
                layout, dtype, list(parameters), *given
            )
            return UnrollOutput(*found)
        run = Run(layout, dtype, parameters, images, noise, context)
        run.forward()
        return run.results()


@torch.compiler.disable(reason="a kernel of its own")  # type: ignore[no-untyped-call, untyped-decorator]
@torch.no_grad()
def trajectory(
    model: "DRAW",
    images: Float[Tensor, "batch channels rows columns"] | None,
    noise: Float[Tensor, "glimpses batch latent"],
    context: Context = NOTHING,
    *,
    dtype: torch.dtype | None = None,
    tiles: Tiles | None = None,
) -> Trajectory:
    """Every step of a drawing: of given images, or of new ones, whose z is made of noise.

    Args:
        model: DRAW as it is, float32, on a GPU.
        images: images in [0, 1], or None for new ones.
        noise: standard normal noise, [glimpses, batch, latent].
        context: conditioning of the drawings.
        dtype: type of the operands of products: float32, bfloat16 or float16; None for what
            autocast says.
        tiles: how the work is cut.
    """
    dtype = dtype or operands(noise.device)
    layout = layout_of(model.config, dtype, tiles or tiles_for(noise.device, noise.shape[1]))
    run = Run(layout, dtype, _parameters(model), images, noise, context, trace=True)
    with without_autocast(noise.device):
        run.forward()
    batch, config = noise.shape[1], model.config
    canvases = run.canvases[1:, :batch, : layout.pixels]

    def windows(outputs: Tensor, first: int, size: int) -> Window | None:
        if not layout.windows:
            return None
        controls = outputs[:, :batch, first : first + CONTROLS].contiguous()
        return window_parameters(controls, config.rows, config.columns, size)

    return Trajectory(
        canvases.reshape(len(noise), batch, *config.image_shape),
        write_windows=windows(run.outputs[1:], CONTROLS, config.write_size),
        read_windows=None if images is None else windows(run.outputs[:-1], 0, config.read_size),
    )


def tiles_for(device: torch.device, batch: int) -> Tiles:
    """How the work is cut on a card: as was measured to be fastest, or else without spills.

    Programs share images as long as all of them are on the card at once.

    Args:
        device: device of the model.
        batch: images at a time.
    """
    card = torch.cuda.get_device_capability(device) if device.type == "cuda" else None
    if card not in FASTEST:
        return Tiles(precision=precision())
    tiles = FASTEST[card]
    groups = max(1, -(-batch // tiles.images))
    free = torch.cuda.get_device_properties(device).multi_processor_count // groups
    parts = min(MOST_PARTS, 1 << max(0, free.bit_length() - 1))
    return replace(tiles, parts=parts, precision=precision())


def precision() -> str:
    """How float32 is multiplied: 'tf32' where torch was told so, else 'ieee'."""
    return "tf32" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "ieee"


def without_autocast(device: torch.device) -> AbstractContextManager[None]:
    """A context in which what is float32 stays float32."""
    return torch.autocast(device.type, enabled=False)


def operands(device: torch.device) -> torch.dtype:
    """Type of the operands of products: autocast's, float32 without it."""
    autocast = torch.is_autocast_enabled(device.type)
    return torch.get_autocast_dtype(device.type) if autocast else torch.float32


def _parameters(model: "DRAW") -> dict[str, Tensor]:
    return {
        name: parameter
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if not name.startswith(OUTSIDE_NAMES)
    }
