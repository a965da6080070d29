"""A model's parameters packed into the four products of a step, and gradients taken out again.

    enc   [h_enc | r | h_dec] -> gates of the encoder, each [HP]
    post  h_enc -> mu | log sigma, each [ZP]
    prior h_dec of the step before -> mu_p | log sigma_p, where they are learned
    dec   [h_dec | z] -> gates of the decoder
    out   h_dec -> controls of the next read window | of the write window | patch to write

Without attention r is the error image, the image itself comes in by a product once per sequence,
x, and out is the whole image.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from draw.kernels.gpu.layout import CONTROLS, Layout

Block = tuple[Tensor, Tensor]
"""Part of a parameter, and where it lies in a product's weights or bias, in the same order."""


def pack(layout: Layout, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights [in, out] and biases of all products, in the parameters' precision."""
    like = parameters["canvas_0"]
    products = {name: like.new_zeros(shape) for name, shape in _shapes(layout).items()}
    for own, inside in _blocks(layout, parameters, products):
        inside.add_(own)  # an LSTM has two biases
    return products


def products_of(layout: Layout) -> tuple[str, ...]:
    """Names of the products."""
    return tuple(name for name in _shapes(layout) if not name.endswith("_bias"))


def unpack(
    layout: Layout, gradients: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Gradients of parameters from those of the products."""
    found = {
        name: torch.empty_like(parameter)
        for name, parameter in parameters.items()
        if not name.endswith("_0")
    }
    for own, inside in _blocks(layout, found, gradients):
        own.copy_(inside)
    return found


def _shapes(layout: Layout) -> dict[str, tuple[int, ...]]:
    expecting = layout.hidden if layout.learned else 0
    h, r, z, o = layout.hidden, layout.read_width, layout.latent, layout.outputs
    shapes: dict[str, tuple[int, ...]] = {
        "enc": (2 * h + r, 4 * h), "post": (h, 2 * z), "dec": (h + z, 4 * h), "out": (h, o),
        "prior": (expecting, 2 * z), "prior_bias": (2 * z if layout.learned else 0,),
        "enc_bias": (4 * h,), "post_bias": (2 * z,), "dec_bias": (4 * h,), "out_bias": (o,),
    }  # fmt: skip
    return shapes if layout.windows else shapes | {"x": (r, 4 * h)}


def _blocks(
    layout: Layout, parameters: Mapping[str, Tensor], products: Mapping[str, Tensor]
) -> Iterator[Block]:
    config, h, z, r = layout.config, layout.hidden, layout.latent, layout.read_width
    H, Z, features = config.hidden_size, config.latent_size, layout.features
    image = 0 if layout.windows else layout.pixels

    def gates(name: str) -> Tensor:  # [in, 4, HP] as [4, H, in]
        return products[name].view(-1, 4, h)[..., :H].permute(1, 2, 0)

    def own(name: str) -> Tensor:
        parameter = parameters[name]
        return parameter.view(4, H, *parameter.shape[1:])

    enc, w_ih = gates("enc"), own("lstm_enc.weight_ih")
    yield own("lstm_enc.weight_hh"), enc[..., :H]
    yield w_ih[..., image : image + features], enc[..., h : h + features]
    yield w_ih[..., image + features :], enc[..., h + r : h + r + H]
    if not layout.windows:
        yield w_ih[..., :image], gates("x")[..., :image]
    dec = gates("dec")
    yield own("lstm_dec.weight_hh"), dec[..., :H]
    yield own("lstm_dec.weight_ih"), dec[..., h : h + Z]
    for lstm, name in (("lstm_enc", "enc"), ("lstm_dec", "dec")):
        inside = products[f"{name}_bias"].view(4, h)[:, :H]
        yield own(f"{lstm}.bias_ih"), inside
        yield own(f"{lstm}.bias_hh"), inside
    for affine, product, first in _columns(layout, z):
        bias = parameters[f"{affine}.bias"]
        part = slice(first, first + len(bias))
        yield parameters[f"{affine}.weight"], products[product][:H, part].mT
        yield bias, products[f"{product}_bias"][part]


def _columns(layout: Layout, latent: int) -> Iterator[tuple[str, str, int]]:
    """Each affine map, the product that it is part of, and its first column there."""
    yield "mu", "post", 0
    yield "log_sigma", "post", latent
    if layout.learned:
        yield "prior.mu", "prior", 0
        yield "prior.log_sigma", "prior", latent
    if layout.windows:
        yield "attention.read_window", "out", 0
        yield "attention.write_window", "out", CONTROLS
    yield "attention.write_content", "out", 2 * CONTROLS if layout.windows else 0
