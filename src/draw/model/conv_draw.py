"""Convolutional DRAW: DRAW whose affine maps are convolutions (Gregor et al. 2016)."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.config.model import ConvDRAWConfig
from draw.model.draw import DRAW
from draw.parts.distribution import Gaussian
from draw.parts.maps import MapAffine, MapLSTMCell
from draw.parts.priors import make_prior
from draw.parts.state import NOTHING, Context, State


class WholeMaps(nn.Module):
    """Reading and writing the whole image at every step, by convolutions of a stride.

    A kernel is 2 stride - 1 pixels wide, so that every pixel lies below one place at least.

    Args:
        config: the model's config.
    """

    description: ClassVar = "no window: convolutions of the whole image at every step"

    def __init__(self, config: ConvDRAWConfig) -> None:
        super().__init__()
        channels, maps, stride = config.channels, config.hidden_maps, config.stride
        self.places = config.places
        self.features = config.hidden_size
        """Numbers that `read` returns for each image."""
        self.reader = _Shrink(2 * channels, maps, stride)
        self.writer = nn.ConvTranspose2d(
            maps, channels, 2 * stride - 1, stride, stride - 1, output_padding=stride - 1
        )

    def read(
        self,
        x: Float[Tensor, "batch channels rows columns"],
        x_hat: Float[Tensor, "batch channels rows columns"],
        h_dec: Float[Tensor, "batch hidden"],
    ) -> tuple[Float[Tensor, "batch features"], None]:
        """Convolve image and error image, and flatten the maps."""
        return self.reader(torch.cat([x, x_hat], 1)), None

    def write(
        self, h_dec: Float[Tensor, "batch hidden"]
    ) -> tuple[Float[Tensor, "batch channels rows columns"], None]:
        """Map the decoder output to a whole image that is added to the canvas: W h_dec."""
        maps = torch.unflatten(h_dec, -1, (-1, *self.places))
        return self.writer(maps).to(h_dec.dtype), None


class _Shrink(nn.Conv2d):
    """A convolution of images, [batch, channels, rows, columns], to the maps of a vector."""

    def __init__(self, channels: int, maps: int, stride: int) -> None:
        super().__init__(channels, maps, 2 * stride - 1, stride, stride - 1)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return super().forward(input).flatten(1).to(input.dtype)


class MapPrior(nn.Module):
    """P(z_t | h_dec_{t-1}) = N(mu_p, sigma_p^2), mu_p and log sigma_p convolutions of h_dec_{t-1}.

    # ours: both start at zero, so that training begins at N(0, 1), as `LearnedPrior` does, whose
    place in the table of priors it takes (`extends` too).

    Args:
        config: the model's config.
    """

    description: ClassVar = "normal, learned from what is drawn so far, P(z_t | h_dec_{t-1})"

    def __init__(self, config: ConvDRAWConfig) -> None:
        super().__init__()
        self.mu = MapAffine(config.hidden_maps, config.latent_maps, *config.layer_sizes)
        self.log_sigma = MapAffine(config.hidden_maps, config.latent_maps, *config.layer_sizes)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, h_dec: Float[Tensor, "batch hidden"]) -> Gaussian:
        """Compute the prior over z_t from h_dec_{t-1}, each field [batch, latent]."""
        return Gaussian(mu=self.mu(h_dec), log_sigma=self.log_sigma(h_dec))


class ConvDRAW(DRAW):
    """Convolutional DRAW of Gregor et al. 2016, Towards Conceptual Compression (arXiv 1604.08772).

    Its step is DRAW's, with convolutions in the place of its affine maps and windows, a prior that
    is learned, and a decoder that sees the canvas r too:

        epsilon = x - sigmoid(r)
        h_enc   = ConvLSTM_enc(x, epsilon, h_enc, h_dec)
        z       ~ Q(z | h_enc),  L^z_t = KL(Q(z | h_enc) || P(z | h_dec))
        h_dec   = ConvLSTM_dec(z, r, h_dec)
        r       = r + W h_dec

    This is the order of steps 1-6 as three open implementations read the paper (docs/decisions.md
    names them), and with them agrees what each step is given: the encoder the image, the error
    image and h_dec of the step before, as the prior is; the decoder the canvas before it is
    written on; W a convolution; states and canvas start at learned numbers. The paper's own text
    beyond its introduction was not at hand to check this against, nor its sizes.

    # Differs from the paper: one layer, where it stacks layers of latent variables too; and a
    discretized logistic, one scale for each channel, where a colour is normal with a mean and a
    variance of its own, both of them in r. The mean being sigmoid(r), so is what epsilon subtracts.

    # ours: 4 x 4 pixels for a place of the maps and kernels of 3, where implementations have 2 x 2
    and 5; image and canvas are convolved to the maps' size linearly, before the LSTMs, not in
    them; W is transposed, where they rearrange maps into pixels; the learned starts are other
    ones at each place.

    >>> import torch
    >>> from draw.config.model import ConvDRAWConfig
    >>> config = ConvDRAWConfig(glimpses=2, hidden_size=8 * 49, latent_size=2 * 49)
    >>> ConvDRAW(config)(torch.rand(2, 1, 28, 28)).kl.shape  # nats, of each image and step
    torch.Size([2, 2])
    """

    config: ConvDRAWConfig

    def __init__(self, config: ConvDRAWConfig) -> None:
        super().__init__(config)

    def _make_layers(self) -> None:
        config = self.config
        maps, latent, sizes = config.hidden_maps, config.latent_maps, config.layer_sizes
        self.attention = WholeMaps(config)
        self.lstm_enc = MapLSTMCell(2 * maps, maps, *sizes)  # type: ignore[assignment]
        self.lstm_dec = MapLSTMCell(latent + maps, maps, *sizes)  # type: ignore[assignment]
        self.mu = MapAffine(maps, latent, *sizes)  # type: ignore[assignment]
        self.log_sigma = MapAffine(maps, latent, *sizes)  # type: ignore[assignment]
        self.canvas_reader = _Shrink(config.channels, maps, config.stride)

    def _make_prior(self) -> nn.Module:
        return MapPrior(self.config) if self.config.prior == "learned" else make_prior(self.config)

    def _start_weights(self) -> None:
        """Start the weights as `DRAW` does: forget gates open, posteriors near N(0, 1)."""
        maps = self.config.hidden_maps
        with torch.no_grad():
            for name in ("lstm_enc", "lstm_dec"):
                self.get_parameter(f"{name}.gates.bias")[maps : 2 * maps] += 1
            for affine in (self.mu, self.log_sigma):
                affine.weight *= 0.1

    def decode(
        self, z: Float[Tensor, "batch latent"], state: State, context: Context = NOTHING
    ) -> tuple[Float[Tensor, "batch hidden"], Float[Tensor, "batch hidden"]]:
        """h_dec and c_dec of a code, from the state before it, whose canvas is seen too.

        Args:
            z: code of the step, [batch, latent].
            state: state after the previous step.
            context: conditioning of the drawings, from `DRAW.context`.
        """
        seen = torch.cat([z, self.canvas_reader(state.canvas)], -1)
        h_dec, c_dec = self.lstm_dec(seen, (state.h_dec, state.c_dec), context.dec)
        return h_dec, c_dec
