"""Parts that are not the package's, one of each sort, as somebody else would write them."""

from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from draw.config.model import DRAWConfig
from draw.parts.distribution import Gaussian
from draw.parts.state import Context


class Halved(nn.Module):
    """Everything is seen and drawn at half its size, through no window."""

    description: ClassVar = "images of half their size"

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()
        channels, rows, columns = config.image_shape
        self.small = channels, rows // 2, columns // 2
        self.features = 2 * channels * (rows // 2) * (columns // 2)
        self.content = nn.Linear(config.hidden_size, self.features // 2)

    def read(
        self,
        x: Float[Tensor, "batch channels rows columns"],
        x_hat: Float[Tensor, "batch channels rows columns"],
        h_dec: Float[Tensor, "batch hidden"],
    ) -> tuple[Float[Tensor, "batch features"], None]:
        return avg_pool2d(torch.cat([x, x_hat], 1), 2).flatten(1), None

    def write(
        self, h_dec: Float[Tensor, "batch hidden"]
    ) -> tuple[Float[Tensor, "batch channels rows columns"], None]:
        return interpolate(self.content(h_dec).unflatten(-1, self.small), scale_factor=2), None


class Wide(nn.Module):
    """N(0, s^2) with one s a latent variable, which is learned."""

    description: ClassVar = "normal, with a width that is learned"

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()
        self.log_sigma = nn.Parameter(torch.zeros(config.latent_size))

    def forward(self, h_dec: Float[Tensor, "batch hidden"]) -> Gaussian:
        log_sigma = self.log_sigma + 0 * h_dec[:, :1]  # len() would fix the batch of an ONNX graph
        return Gaussian(torch.zeros_like(log_sigma), log_sigma)


class Parity(nn.Module):
    """The decoder is told whether a digit is odd."""

    takes_labels: ClassVar = True
    description: ClassVar = "whether it is odd"

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()
        self.dec = nn.Embedding(2, 4 * config.hidden_size)

    def forward(self, labels: Int[Tensor, " batch"]) -> Context:
        return Context(enc=None, dec=self.dec(labels % 2))


class Discretized(nn.Module):
    """One of 256 values, with odds that fall with the square of the distance from the mean."""

    title: ClassVar = "discretized normal"
    values: ClassVar = 256

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()
        self.log_width = nn.Parameter(torch.zeros(()))

    def forward(
        self,
        canvas: Float[Tensor, "batch channels rows columns"],
        images: Float[Tensor, "batch channels rows columns"],
    ) -> Float[Tensor, " batch"]:
        values = torch.arange(256, device=canvas.device) / 255
        apart = (values - canvas.sigmoid()[..., None]) / self.log_width.exp()
        chosen = (255 * images).round().long()[..., None]
        return -(-apart.square()).log_softmax(-1).gather(-1, chosen).flatten(1).sum(1)
