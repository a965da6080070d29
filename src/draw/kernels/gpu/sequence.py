"""All steps of a batch of drawings by the kernel forward: its arrays, and what they start from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from draw.errors import DrawError
from draw.kernels.gpu.forward import unroll_forward
from draw.kernels.gpu.kernel_launch import launch
from draw.kernels.gpu.layout import Layout, round_up
from draw.kernels.gpu.weights import pack
from draw.kernels.products import multiply
from draw.parts.state import NOTHING, Context, UnrollOutput


class Residuals(NamedTuple):
    """What the gradient needs of the forward pass, of all steps."""

    x: Tensor
    activations: Tensor
    cells_enc: Tensor
    cells_dec: Tensor
    gates_enc: Tensor
    gates_dec: Tensor
    moments: Tensor
    outputs: Tensor
    canvases: Tensor


def largest_batch(layout: Layout) -> int:
    """The largest batch whose numbers of one step 32 bits can count, as the kernels do."""
    widest = max(
        layout.stride, layout.canvas, 4 * layout.hidden, layout.moments, layout.outputs,
        layout.table, layout.table_backward, layout.config.glimpses,
    )  # fmt: skip
    images = layout.tiles.images
    return (2**31 - 1) // (layout.tiles.parts * widest) // images * images


@dataclass
class Run:
    """The arrays of one sequence; slots [T + 1, padded batch, ...] hold what a step started from.

    Args:
        layout: sizes of the model.
        dtype: type of the operands of products.
        parameters: parameters of the model, float32, by name.
        images: [batch, channels, rows, columns], or None for a new drawing.
        noise: [glimpses, batch, latent].
        context: what is added to the gates of both LSTMs, each [batch, 4 hidden] or None.
        keep: keep what the gradient needs.
        trace: keep canvas and outputs of every step.
    """

    layout: Layout
    dtype: torch.dtype
    parameters: Mapping[str, Tensor]
    images: Tensor | None
    noise: Tensor
    context: Context = NOTHING
    keep: bool = False
    trace: bool = False

    def __post_init__(self) -> None:
        sizes, tiles = self.layout, self.layout.tiles
        T, batch = self.noise.shape[:2]
        if batch > (most := largest_batch(sizes)):
            raise DrawError(
                f"expected at most {most:,} drawings at a time, got {batch:,}; make them in parts"
            )
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
        self.moments = new(kept if self.keep else 0, padded, sizes.moments)
        traced = T + 1 if self.trace else 2
        self.outputs = new(traced if sizes.windows else 0, padded, sizes.outputs)
        exact = not self.keep or operand == torch.float32
        self.canvases = new(
            T + 1 if self.trace else 0, padded, sizes.canvas,
            dtype=torch.float32 if exact else torch.float16,
        )  # fmt: skip
        self.canvas = new(tiles.parts if sizes.windows else 1, padded, sizes.canvas)
        self.kl, self.log_ratio = new(T, padded), new(T, padded)

    def _new(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=self.noise.device)

    def _rows(self, images: Tensor) -> Tensor:
        """Images in rows; padded to whole tiles where products take them."""
        batch, width = len(images), self.layout.canvas
        if self.layout.windows:
            return images.flatten(1).contiguous()
        rows = torch.zeros(self.padded, width, dtype=images.dtype, device=images.device)
        rows[:batch, : self.layout.pixels] = images.flatten(1)
        return rows

    def start(self) -> None:
        """Pack the weights; put the learned start of every drawing into the first slots."""
        sizes = self.layout
        self.weights, self.exact = pack(sizes, self.parameters, self.dtype)
        h, first = sizes.hidden, self.activations[0]
        self.activations[1:, :, h : h + sizes.read_width].zero_()
        first.copy_(self.exact["activations"])
        for cell, name in zip(self.cells, ("cell_enc", "cell_dec"), strict=True):
            cell[0].copy_(self.exact[name])
        self.canvas.copy_(self.exact["canvas"])
        if sizes.windows:
            h_dec = first[:1, h + sizes.read_width : h + sizes.read_width + h]
            self.outputs[0] = h_dec.float() @ self.weights["out"].float() + self.exact["out_bias"]
            return
        if self.trace:
            self.canvases[0] = self.canvas[0]
        if self.images is not None:
            first[:, h : h + sizes.read_width] = self.x - self.canvas[0].sigmoid()

    def residuals(self) -> Residuals:
        """What the gradient needs."""
        (cells_enc, cells_dec), (gates_enc, gates_dec) = self.cells, self.gates
        return Residuals(
            self.x, self.activations, cells_enc, cells_dec, gates_enc, gates_dec, self.moments,
            self.outputs, self.canvases,
        )  # fmt: skip

    def results(self) -> UnrollOutput:
        """What the sequence comes to, for the images that there are."""
        batch, image = self.noise.shape[1], self.layout.config.image_shape
        canvas = self.canvas[0, :batch, : self.layout.pixels].reshape(batch, *image)
        kl = self.kl[:, :batch].mT.contiguous()
        return UnrollOutput(canvas, kl, self.log_ratio[:, :batch].sum(0))

    def _bias(self, name: str, told: Tensor | None) -> Tensor:
        """What is added to an LSTM's gates: its bias [4 HP], or for each image [padded, 4 HP]."""
        sizes, bias = self.layout, self.exact[f"{name}_bias"]
        if name == "enc" and not sizes.windows and self.images is not None:
            bias = bias + multiply(self.x.to(self.dtype), self.weights["x"])
        if told is not None:
            H = sizes.config.hidden_size
            gates = bias.new_zeros(self.padded, 4, sizes.hidden)
            gates[: len(told), :, :H] = told.view(-1, 4, H)
            bias = bias + gates.flatten(1)
        return bias

    def forward(self) -> None:
        """Run the kernel."""
        self.start()
        sizes, tiles, w, e = self.layout, self.layout.tiles, self.weights, self.exact
        batch = self.noise.shape[1]
        b_enc = self._bias("enc", None if self.images is None else self.context.enc)
        b_dec = self._bias("dec", self.context.dec)
        tables = self._new(tiles.parts if sizes.windows else 1, self.padded, sizes.table)
        launch(
            unroll_forward, tiles, self.padded, self.noise,
            self.x, self.noise, self.activations, *self.cells, *self.gates, self.moments,
            self.outputs, self.canvas, self.canvases, self.kl, self.log_ratio, tables,
            w["enc"], b_enc, w["post"], e["post_bias"], w["prior"], e["prior_bias"], w["dec"],
            b_dec, w["out"], e["out_bias"], batch, self.padded,
            ENCODE=self.images is not None, KEEP=self.keep, TRACE=self.trace,
            EACH_ENC=b_enc.dim() > 1, EACH_DEC=b_dec.dim() > 1, **sizes.forward_constants(),
        )  # fmt: skip
