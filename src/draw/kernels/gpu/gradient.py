"""The gradient of all steps by the kernel backward, and by one product for each map's weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from draw.kernels.gpu.backward import unroll_backward
from draw.kernels.gpu.kernel_launch import launch
from draw.kernels.gpu.layout import Layout
from draw.kernels.gpu.sequence import Residuals
from draw.kernels.gpu.weights import unpack
from draw.kernels.products import multiply

STARTS = ("canvas_0", "h_enc_0", "c_enc_0", "h_dec_0", "c_dec_0")


class InputMask(NamedTuple):
    """Whether something other than a parameter wants a gradient."""

    images: bool = False
    noise: bool = False
    enc: bool = False
    dec: bool = False


class Slopes(NamedTuple):
    """Gradients of the three results of an unroll."""

    canvas: Tensor
    kl: Tensor
    log_ratio: Tensor


class Gradients(NamedTuple):
    """Gradients of all that a sequence is computed from; None where not wanted."""

    inputs: tuple[Tensor | None, ...]
    """In the order of `InputMask`; those of the context are [batch, 4 hidden]."""
    parameters: dict[str, Tensor]


@dataclass(frozen=True)
class Backward:
    """The way back through one sequence.

    Args:
        layout: sizes of the model.
        dtype: type of the operands of products.
        parameters: parameters of the model, float32, by name.
        noise: standard normal noise, [glimpses, batch, latent].
        residuals: residuals of the forward pass.
        weights: weights of the products, in the operands' precision, by name.
    """

    layout: Layout
    dtype: torch.dtype
    parameters: Mapping[str, Tensor]
    noise: Tensor
    residuals: Residuals
    weights: Mapping[str, Tensor]

    def __call__(self, slopes: Slopes, wanted: InputMask) -> Gradients:
        """Gradients of parameters, and of what else is wanted."""
        if self.dtype != torch.float16 or not len(slopes.kl):
            return self._unscaled(slopes, wanted)
        # ours: or small gradients would be zero
        largest = torch.stack([slope.abs().amax() for slope in slopes]).amax()
        scale = largest + (largest == 0)
        inputs, parameters = self._unscaled(Slopes(*(slope / scale for slope in slopes)), wanted)
        return Gradients(
            tuple(None if d is None else d * scale for d in inputs),
            {name: d * scale for name, d in parameters.items()},
        )

    def _unscaled(self, slopes: Slopes, wanted: InputMask) -> Gradients:
        sizes, tiles, new, operand = self.layout, self.layout.tiles, self._new, self.dtype
        T, batch = self.noise.shape[:2]
        padded, h, kept = self.residuals.activations.shape[1], sizes.hidden, self.residuals
        copies = tiles.parts if sizes.windows else 1
        slope = new(copies, padded, sizes.canvas).zero_()
        slope[:, :batch, : sizes.pixels] = slopes.canvas.flatten(1)
        of_kl, of_ratio = new(T, padded).zero_(), new(padded).zero_()
        of_kl[:, :batch], of_ratio[:batch] = slopes.kl.mT, slopes.log_ratio
        d_h = [new(padded, h).zero_() for _ in range(2)]
        d_c = [new(padded, h).zero_() for _ in range(2)]
        d_r = new(padded, sizes.read_width).zero_()
        d_gates = [new(T, padded, 4 * h, dtype=operand) for _ in range(2)]
        d_moments = new(T, padded, sizes.moments, dtype=operand)
        d_outputs = new(T + 1, padded, sizes.outputs, dtype=operand)
        d_outputs.zero_() if sizes.windows else d_outputs[T].copy_(slope[0])
        d_noise = torch.empty_like(self.noise) if wanted.noise else self.noise
        d_x = new(copies, padded, sizes.canvas).zero_() if wanted.images else slope
        tables = new(copies, padded, sizes.table_backward)
        w = {name: weight.mT.contiguous() for name, weight in self.weights.items()}
        launch(
            unroll_backward, tiles, padded, self.noise,
            kept.x, self.noise, kept.canvases, kept.outputs, kept.cells_enc, kept.cells_dec,
            kept.gates_enc, kept.gates_dec, kept.moments, slope, of_kl, of_ratio, *d_h, *d_c, d_r,
            *d_gates, d_moments, d_outputs, d_noise, d_x, tables, w["enc"], w["post"], w["prior"],
            w["dec"], w["out"], batch, padded, WANT_X=wanted.images, WANT_NOISE=wanted.noise,
            **sizes.backward_constants(),
        )  # fmt: skip
        starts = slope[0, :, : sizes.pixels], d_h[0], d_c[0], d_h[1], d_c[1]
        inputs = (
            self._of_images(d_x[0], d_gates[0], w) if wanted.images else None,
            d_noise if wanted.noise else None,
            self._of_context(d_gates[0]) if wanted.enc else None,
            self._of_context(d_gates[1]) if wanted.dec else None,
        )
        return Gradients(
            inputs,
            self._of_starts(starts, d_outputs) | self._of_weights(d_gates, d_moments, d_outputs),
        )

    def _new(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=self.noise.device)

    def _of_images(self, d_x: Tensor, d_gates: Tensor, w: Mapping[str, Tensor]) -> Tensor:
        sizes, batch = self.layout, self.noise.shape[1]
        if not sizes.windows:
            summed = d_gates.sum(0, dtype=torch.float32).to(self.dtype)
            d_x = d_x + multiply(summed, w["x"])
        return d_x[:batch, : sizes.pixels].reshape(batch, *sizes.config.image_shape)

    def _of_context(self, d_gates: Tensor) -> Tensor:
        """What is told is added to the gates at every step."""
        H, batch = self.layout.config.hidden_size, self.noise.shape[1]
        summed = d_gates[:, :batch].sum(0, dtype=torch.float32)
        return summed.view(batch, 4, self.layout.hidden)[..., :H].reshape(batch, 4 * H)

    def _of_starts(self, starts: tuple[Tensor, ...], d_outputs: Tensor) -> dict[str, Tensor]:
        found = {}
        for name, d in zip(STARTS, starts, strict=True):
            of_name = d.sum(0)
            if name == "h_dec_0" and self.layout.windows:  # the first read window is made from it
                made = d_outputs[0].sum(0, dtype=torch.float32)
                of_name = of_name + made @ self.weights["out"].float().mT
            if name != "canvas_0":
                of_name = of_name[: self.layout.config.hidden_size]
            found[name] = of_name.view_as(self.parameters[name])
        return found

    def _of_weights(
        self, d_gates: list[Tensor], d_moments: Tensor, d_outputs: Tensor
    ) -> dict[str, Tensor]:
        """One product over all steps and images for each of the products of a step."""
        sizes, activations = self.layout, self.residuals.activations
        d_enc, d_dec = d_gates
        h, z, h_dec_at = sizes.hidden, sizes.latent, sizes.hidden + sizes.read_width
        before, after = activations[:-1], activations[1:]
        whole = activations if sizes.windows else after
        d_outputs = d_outputs if sizes.windows else d_outputs[1:]
        pairs = {
            "enc": (before[..., : h_dec_at + h], d_enc),
            "post": (after[..., :h], d_moments[..., : 2 * z]),
            "prior": (before[..., h_dec_at : h_dec_at + h], d_moments[..., 2 * z :]),
            "dec": (before[..., h_dec_at:], d_dec),
            "out": (whole[..., h_dec_at : h_dec_at + h], d_outputs),
        }
        found = {}
        for name, (operand, d) in pairs.items():
            rows = d.flatten(0, 1)
            found[name] = multiply(operand.flatten(0, 1).mT, rows)
            found[f"{name}_bias"] = rows.sum(0, dtype=torch.float32)
        if not sizes.windows:
            summed = d_enc.sum(0, dtype=torch.float32).to(self.dtype)
            found["x"] = multiply(self.residuals.x.to(self.dtype).mT, summed)
        return unpack(sizes, found, self.parameters)
