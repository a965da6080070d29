"""The encoder of a model as an ONNX file beside the generator: codes of images, what they tell.

    encoder.onnx    images, noise [glimpses, batch, latent] -> mu, log_sigma, z, kl of all steps

What it gives as z is what `generator.onnx` takes: it then draws the images anew.
"""

from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from draw.model.draw import DRAW
from draw.models.onnx.tracing import label_inputs, scan_graph, trace, value, window_numbers
from draw.parts.likelihood import has_bits
from draw.parts.objective import kl_divergence
from draw.parts.state import State

if TYPE_CHECKING:
    import onnx

ENCODER_FILE = "encoder.onnx"
FIELDS = "mu", "log_sigma", "z", "kl"


class _EncoderStep(nn.Module):
    """`DRAW.step` with tensors for arguments and results."""

    def __init__(self, model: DRAW) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, canvas: Tensor, h_enc: Tensor, c_enc: Tensor, h_dec: Tensor, c_dec: Tensor,
        noise: Tensor, images: Tensor, labels: Tensor | None = None,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        """The state, the posterior, the code in units of the prior, its KL, and the read window."""
        before = State(canvas, h_enc, c_enc, h_dec, c_dec)
        state, step = self.model.step(images, noise, before, self.model.addends(labels))
        kl = kl_divergence(step.posterior, step.prior)
        numbers = window_numbers(step.read_window).values()
        return (*state, *step.posterior, step.prior.noise_of(step.z), kl, *numbers)


@torch.no_grad()
def encoder_graph(model: DRAW) -> "onnx.GraphProto":
    """Make the graph of the encoder: a Scan over PyTorch's trace of one step (eqs 1-8, 10).

    Args:
        model: the model, on the CPU in float32.
    """
    config = model.config
    state = {name: part.clone() for name, part in model.initial_state(2)._asdict().items()}
    images = torch.zeros(2, *config.image_shape)
    _, read_window = model.attention.read(images, images, model.h_dec_0.expand(2, -1))
    windows = {f"read_{name}": tuple(number.shape[1:])
               for name, number in window_numbers(read_window).items()}  # fmt: skip
    inputs = [*state.values(), torch.zeros(2, config.latent_size), images]
    names = [*(f"{name}_before" for name in state), "noise", "images", *label_inputs(model)]
    if label_inputs(model):
        inputs.append(torch.zeros(2, dtype=torch.int64))
    step = trace(_EncoderStep(model), inputs, names, [*state, *FIELDS, *windows])
    latent = (config.latent_size,)
    kept = {**dict.fromkeys(FIELDS[:-1], latent), "kl": (), **windows}
    given = {"images": value("images", "batch", *config.image_shape)}
    first = {name: part[:1] for name, part in state.items()}
    return scan_graph(model, "encoder", step, first, "noise", kept, given)


@torch.no_grad()
def encoder_trial(model: DRAW) -> tuple[dict[str, NDArray[Any]], list[Tensor]]:
    """Make inputs for three images, and what PyTorch's encoder gives for them, by `FIELDS`.

    Args:
        model: the model, on the CPU in float32.
    """
    noise, labels = model.noise_for(3, seed=0), model.labels_for(3)
    images = _drawn_images(model, labels)
    found = model.encode(images, noise, labels=labels)
    codes = model.codes(images, noise, labels=labels)
    inputs = {"images": images.numpy(), "noise": noise.numpy()}
    if labels is not None:
        inputs["labels"] = labels.numpy()
    return inputs, [found.mu, found.log_sigma, codes, found.kl.mT]


def _drawn_images(model: DRAW, labels: Tensor | None) -> Tensor:
    """Three images such as the model sees: drawn by itself, with the values that its pixels have.

    Others than it was trained for, uniform noise say, drive its loop to where rounding grows.
    """
    means = model.generate(3, noise=model.noise_for(3, seed=1), labels=labels).images[-1]
    if has_bits(model.config):
        return (255 * means).round() / 255
    random = torch.Generator().manual_seed(0)
    return (torch.rand(means.shape, generator=random) < means).to(means)
