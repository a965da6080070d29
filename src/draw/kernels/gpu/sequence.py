"""The unroll on a GPU by one kernel forward and one backward: what `DRAW.unroll` computes.

It is chosen by nobody yet: tests and benchmarks call it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from draw.kernels.gpu.backward import unroll_backward
from draw.kernels.gpu.forward import unroll_forward
from draw.kernels.gpu.layout import Layout, Tiles, layout_of, round_up
from draw.kernels.gpu.weights import packed, unpacked
from draw.parts.state import UnrollOutput

if TYPE_CHECKING:
    from draw.model.draw import DRAW

STARTS = ("canvas_0", "h_enc_0", "c_enc_0", "h_dec_0", "c_dec_0")


@dataclass
class Run:
    """The arrays of one sequence; slots [T + 1, padded batch, ...] hold what a step started from.

    Args:
        layout: the sizes.
        dtype: of the operands of products.
        parameters: the model's, float32.
        images: [batch, channels, rows, columns], or None for a new drawing.
        noise: [glimpses, batch, latent], or z of a new drawing.
        keep: keep what the gradient needs.
        trace: keep the canvas of every step.
    """

    layout: Layout
    dtype: torch.dtype
    parameters: Mapping[str, Tensor]
    images: Tensor | None
    noise: Tensor
    keep: bool
    trace: bool = False

    def __post_init__(self) -> None:
        sizes, tiles = self.layout, self.layout.tiles
        T, batch = self.noise.shape[:2]
        self.padded = padded = round_up(batch, tiles.images)
        self.noise = self.noise.contiguous()
        self.trace = self.trace or self.keep
        slots, kept = (T + 1, T) if self.keep else (2, 1)
        new, operand = self._new, self.dtype
        self.x = new(padded, sizes.canvas) if self.images is None else self._rows(self.images)
        self.activations = new(slots, padded, sizes.stride, dtype=operand)
        self.cells = [new(T + 1 if self.keep else 1, padded, sizes.hidden) for _ in range(2)]
        self.gates = [
            new(kept if self.keep else 0, padded, 4 * sizes.hidden, dtype=operand) for _ in range(2)
        ]
        self.posterior = new(kept if self.keep else 0, padded, 2 * sizes.latent)
        self.outputs = new(slots if sizes.gaussian else 0, padded, sizes.outputs)
        exact = not self.keep or operand == torch.float32
        self.canvases = new(
            T + 1 if self.trace else 0, padded, sizes.canvas,
            dtype=torch.float32 if exact else torch.float16,
        )  # fmt: skip
        self.canvas = new(tiles.parts if sizes.gaussian else 1, padded, sizes.canvas)
        self.kl, self.log_ratio = new(T, padded), new(T, padded)

    def _new(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=self.noise.device)

    def _rows(self, images: Tensor) -> Tensor:
        """Images in rows; padded to whole tiles where products take them."""
        batch, width = len(images), self.layout.canvas
        if self.layout.gaussian:
            return images.flatten(1).contiguous()
        rows = torch.zeros(self.padded, width, dtype=images.dtype, device=images.device)
        rows[:batch, : self.layout.pixels] = images.flatten(1)
        return rows

    def products(self) -> None:
        """Pack the weights, in the operands' precision."""
        self.exact = packed(self.layout, self.parameters)
        self.weights = {name: self.exact[name].to(self.dtype) for name in _products(self.layout)}

    def start(self) -> None:
        """The learned start of every drawing, in the first slots."""
        sizes, p = self.layout, self.parameters
        H, h = sizes.config.hidden_size, sizes.hidden
        first = self.activations[0]
        self.activations[:, :, h : h + sizes.seen].zero_()
        first.zero_()
        first[:, :H] = p["h_enc_0"]
        first[:, h + sizes.seen : h + sizes.seen + H] = p["h_dec_0"]
        for cell, name in zip(self.cells, ("c_enc_0", "c_dec_0"), strict=True):
            cell[0].zero_()
            cell[0, :, :H] = p[name]
        self.canvas.zero_()
        self.canvas[:, :, : sizes.pixels] = p["canvas_0"].flatten()
        if sizes.gaussian:
            h_dec = first[:1, h + sizes.seen : h + sizes.seen + h]
            self.outputs[0] = h_dec.float() @ self.weights["out"].float() + self.exact["out_bias"]
            return
        if self.trace:
            self.canvases[0] = self.canvas[0]
        if self.images is not None:
            first[:, h : h + sizes.seen] = self.x - self.canvas[0].sigmoid()

    def from_x(self) -> Tensor:
        """What the image itself adds to the encoder's gates at every step, and their bias."""
        if self.layout.gaussian or self.images is None:
            return self.exact["enc_bias"]
        made = multiply(self.x.to(self.dtype), self.weights["x"])
        return made + self.exact["enc_bias"]

    def forward(self) -> None:
        """Run the kernel."""
        self.products()
        self.start()
        sizes, tiles, w, e = self.layout, self.layout.tiles, self.weights, self.exact
        batch = self.noise.shape[1]
        tables = self._new(tiles.parts if sizes.gaussian else 1, self.padded, sizes.table)
        groups = self.padded // tiles.images
        unroll_forward[groups, tiles.parts](
            self.x, self.from_x(), self.noise, self.activations, *self.cells, *self.gates,
            self.posterior, self.outputs, self.canvas, self.canvases, self.kl, self.log_ratio,
            tables, self._counters(groups), w["enc"], e["enc_bias"], w["post"], e["post_bias"],
            w["dec"], e["dec_bias"], w["out"], e["out_bias"], batch, self.padded,
            ENCODE=self.images is not None, KEEP=self.keep, TRACE=self.trace,
            **sizes.forward_constants(), num_warps=tiles.warps, num_stages=tiles.stages,
        )  # fmt: skip

    def _counters(self, groups: int) -> Tensor:
        return torch.zeros(groups, dtype=torch.int32, device=self.noise.device)

    def results(self) -> UnrollOutput:
        """What the sequence comes to, for the images that there are."""
        batch, image = self.noise.shape[1], self.layout.config.image_shape
        canvas = self.canvas[0, :batch, : self.layout.pixels].reshape(batch, *image)
        kl = self.kl[:, :batch].mT.contiguous()
        return UnrollOutput(canvas, kl, self.log_ratio[:, :batch].sum(0))

    def backward(
        self, d_canvas: Tensor, d_kl: Tensor, d_log_ratio: Tensor, *, want_x: bool, want_noise: bool
    ) -> tuple[Tensor | None, Tensor | None, dict[str, Tensor]]:
        """Gradients of images and noise, where wanted, and of the parameters by name."""
        scale = None
        if self.dtype == torch.float16 and len(d_kl):  # ours: or small gradients would be zero
            largest = torch.stack([d.abs().amax() for d in (d_canvas, d_kl, d_log_ratio)]).amax()
            scale = torch.where(largest > 0, largest, 1.0)
            d_canvas, d_kl, d_log_ratio = (d / scale for d in (d_canvas, d_kl, d_log_ratio))
        d_x, d_noise, gradients = self._backward(d_canvas, d_kl, d_log_ratio, want_x, want_noise)
        if scale is not None:
            d_x = d_x if d_x is None else d_x * scale
            d_noise = d_noise if d_noise is None else d_noise * scale
            gradients = {name: d * scale for name, d in gradients.items()}
        return d_x, d_noise, gradients

    def _backward(
        self, d_canvas: Tensor, d_kl: Tensor, d_log_ratio: Tensor, want_x: bool, want_noise: bool
    ) -> tuple[Tensor | None, Tensor | None, dict[str, Tensor]]:
        sizes, tiles, new, operand = self.layout, self.layout.tiles, self._new, self.dtype
        T, batch = self.noise.shape[:2]
        padded, h = self.padded, sizes.hidden
        copies = tiles.parts if sizes.gaussian else 1
        slope = new(copies, padded, sizes.canvas).zero_()
        slope[:, :batch, : sizes.pixels] = d_canvas.flatten(1)
        of_kl, of_ratio = new(T, padded).zero_(), new(padded).zero_()
        of_kl[:, :batch], of_ratio[:batch] = d_kl.mT, d_log_ratio
        d_h = [new(padded, h).zero_() for _ in range(2)]
        d_c = [new(padded, h).zero_() for _ in range(2)]
        d_r = new(padded, sizes.seen).zero_()
        d_gates = [new(T, padded, 4 * h, dtype=operand) for _ in range(2)]
        d_posterior = new(T, padded, 2 * sizes.latent, dtype=operand)
        d_outputs = new(T + 1, padded, sizes.outputs, dtype=operand)
        d_outputs.zero_() if sizes.gaussian else d_outputs[T].copy_(slope[0])
        d_noise = torch.empty_like(self.noise) if want_noise else self.noise
        d_x = new(copies, padded, sizes.canvas).zero_() if want_x else slope
        tables = new(copies, padded, sizes.table_backward)
        groups = padded // tiles.images
        w = {name: weight.mT.contiguous() for name, weight in self.weights.items()}
        unroll_backward[groups, tiles.parts](
            self.x, self.noise, self.canvases, self.outputs, *self.cells, *self.gates,
            self.posterior, slope, of_kl, of_ratio, *d_h, *d_c, d_r, *d_gates, d_posterior,
            d_outputs, d_noise, d_x, tables, self._counters(groups), w["enc"], w["post"], w["dec"],
            w["out"], batch, padded, WANT_X=want_x, WANT_NOISE=want_noise,
            **sizes.backward_constants(), num_warps=tiles.warps, num_stages=tiles.stages,
        )  # fmt: skip
        gradients = self._weight_gradients(d_gates, d_posterior, d_outputs)
        H, pixels = sizes.config.hidden_size, sizes.pixels
        starts = (slope[0, :, :pixels], d_h[0], d_c[0], d_h[1], d_c[1])
        for name, d in zip(STARTS, starts, strict=True):
            of_name = d.sum(0)
            if name == "h_dec_0" and sizes.gaussian:  # the first read window is made from it
                made = d_outputs[0].sum(0, dtype=torch.float32)
                of_name = of_name + made @ self.weights["out"].float().mT
            of_name = of_name[: pixels if name == "canvas_0" else H]
            gradients[name] = of_name.view_as(self.parameters[name])
        if not want_x:
            return None, d_noise if want_noise else None, gradients
        of_x = d_x[0]
        if not sizes.gaussian:
            summed = d_gates[0].sum(0, dtype=torch.float32).to(operand)
            of_x = of_x + multiply(summed, w["x"])
        image = of_x[:batch, :pixels].reshape(batch, *sizes.config.image_shape)
        return image, d_noise if want_noise else None, gradients

    def _weight_gradients(
        self, d_gates: list[Tensor], d_posterior: Tensor, d_outputs: Tensor
    ) -> dict[str, Tensor]:
        """One product over all steps and images for each of the products of a step."""
        sizes = self.layout
        d_enc, d_dec = d_gates
        h, h_dec_at = sizes.hidden, sizes.hidden + sizes.seen
        before, after = self.activations[:-1], self.activations[1:]
        whole = self.activations if sizes.gaussian else after
        d_outputs = d_outputs if sizes.gaussian else d_outputs[1:]
        pairs = {
            "enc": (before[..., : h_dec_at + h], d_enc),
            "post": (after[..., :h], d_posterior),
            "dec": (before[..., h_dec_at:], d_dec),
            "out": (whole[..., h_dec_at : h_dec_at + h], d_outputs),
        }
        found = {}
        for name, (operand, d) in pairs.items():
            rows = d.flatten(0, 1)
            found[name] = multiply(operand.flatten(0, 1).mT, rows)
            found[f"{name}_bias"] = rows.sum(0, dtype=torch.float32)
        if not sizes.gaussian:
            summed = d_enc.sum(0, dtype=torch.float32).to(self.dtype)
            found["x"] = multiply(self.x.to(self.dtype).mT, summed)
        return unpacked(sizes, found, self.parameters)


def _products(layout: Layout) -> tuple[str, ...]:
    return ("enc", "post", "dec", "out") if layout.gaussian else ("enc", "post", "dec", "out", "x")


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Product of two matrices, summed and returned in float32."""
    if a.dtype == torch.float32:
        return a @ b
    if a.device.type == "cuda":
        return torch.mm(a, b, out_dtype=torch.float32)
    return a.float() @ b.float()


class _Unroll(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        layout: Layout,
        dtype: torch.dtype,
        names: list[str],
        images: Tensor,
        noise: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        named = dict(zip(names, parameters, strict=True))
        run = Run(layout, dtype, named, images, noise, keep=True)
        run.forward()
        ctx.run, ctx.names = run, names
        ctx.save_for_backward(images, noise, *parameters)
        return tuple(run.results())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *d_results: Tensor) -> tuple[Tensor | None, ...]:
        _ = ctx.saved_tensors  # an error where one was changed since
        d_images, d_noise, gradients = ctx.run.backward(
            *d_results, want_x=ctx.needs_input_grad[3], want_noise=ctx.needs_input_grad[4]
        )
        return None, None, None, d_images, d_noise, *(gradients[name] for name in ctx.names)


def unroll(
    model: "DRAW",
    images: Float[Tensor, "batch channels rows columns"],
    noise: Float[Tensor, "glimpses batch latent"],
    *,
    dtype: torch.dtype = torch.float32,
    tiles: Tiles | None = None,
) -> UnrollOutput:
    """All steps of a model (eqs 1-8, 10), with gradients for whatever wants them.

    Args:
        model: DRAW as it is, float32, on a GPU.
        images: in [0, 1].
        noise: standard normal.
        dtype: of the operands of products: float32, bfloat16 or float16.
        tiles: how the work is cut.
    """
    layout = layout_of(model.config, dtype, tiles)
    parameters = _parameters(model)
    wanted = any(t.requires_grad for t in (images, noise, *parameters.values()))
    if torch.is_grad_enabled() and wanted:
        found = _Unroll.apply(  # type: ignore[no-untyped-call]
            layout, dtype, list(parameters), images, noise, *parameters.values()
        )
        return UnrollOutput(*found)
    run = Run(layout, dtype, parameters, images, noise, keep=False)
    run.forward()
    return run.results()


@torch.no_grad()
def trajectory(
    model: "DRAW",
    images: Float[Tensor, "batch channels rows columns"] | None,
    noise: Float[Tensor, "glimpses batch latent"],
    *,
    dtype: torch.dtype = torch.float32,
    tiles: Tiles | None = None,
) -> Float[Tensor, "glimpses batch channels rows columns"]:
    """The canvas after every step of a drawing: of given images, or of new ones, whose z is noise.

    Args:
        model: as in `unroll`.
        images: in [0, 1], or None.
        noise: standard normal.
        dtype: of the operands of products.
        tiles: how the work is cut.
    """
    layout = layout_of(model.config, dtype, tiles)
    run = Run(layout, dtype, _parameters(model), images, noise, keep=False, trace=True)
    run.forward()
    batch = noise.shape[1]
    canvases = run.canvases[1:, :batch, : layout.pixels]
    return canvases.reshape(len(noise), batch, *model.config.image_shape)


def _parameters(model: "DRAW") -> dict[str, Tensor]:
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if not name.startswith("likelihood.")
    }
