"""A model's parameters packed into the four products of a step, and gradients taken out again.

    enc   [h_enc | r | h_dec] -> gates of the encoder, each [HP]
    post  h_enc -> mu | log sigma, each [ZP]
    prior h_dec of the step before -> mu_p | log sigma_p, where they are learned
    dec   [h_dec | z] -> gates of the decoder
    out   h_dec -> controls of the next read window | of the write window | patch to write

Without attention r is the error image, the image itself comes in by a product once per sequence,
x, and out is the whole image.
"""

import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from draw.kernels.gpu.layout import CONTROLS, Layout
from draw.kernels.proof import in_a_thread

Shapes = tuple[tuple[str, torch.Size], ...]
"""Names and shapes of the parameters, in their order."""
Block = tuple[Tensor, Tensor]
"""Part of a parameter, and where it lies in a product's weights or bias, in the same order."""


class Operands(NamedTuple):
    """Numbers of a model as the kernels read them, by name."""

    weights: dict[str, Tensor]
    """Weights [in, out] of the products, in the type of their operands."""
    exact: dict[str, Tensor]
    """Biases of the products, and what every drawing starts from: float32."""


def pack(layout: Layout, parameters: Mapping[str, Tensor], dtype: torch.dtype) -> Operands:
    """Pack parameters by a few operations of torch, however many there are.

    Args:
        layout: sizes of the model.
        parameters: parameters of the model, float32, by name.
        dtype: type of the operands of products.
    """
    like = parameters["canvas_0"]
    places = _kept_places(layout, tuple((n, p.shape) for n, p in parameters.items()), like.device)
    numbers = torch.cat([like.new_zeros(1), *(value.flatten() for value in parameters.values())])
    weights = numbers.index_select(0, places.weights).to(dtype)
    exact = numbers.index_select(0, places.exact) + numbers.index_select(0, places.addends)
    shapes = _shapes(layout)
    products = products_of(layout)
    others = {name: shape for name, shape in shapes.items() if name not in products}
    return Operands(
        _cut(weights, {name: shapes[name] for name in products}),
        _cut(exact, others | _shapes_of_starts(layout)),
    )


class _Places(NamedTuple):
    """Places of packed numbers among those of all parameters, one after another; 0 is a zero."""

    weights: Tensor
    exact: Tensor
    addends: Tensor
    """What is added to `exact`: an LSTM has two biases."""


@cache
def _kept_places(layout: Layout, shapes: Shapes, device: torch.device) -> _Places:
    """Find the places once and for good: captured graphs go on reading them."""
    return in_a_thread(lambda: _places(layout, shapes, device))


def _places(layout: Layout, shapes: Shapes, device: torch.device) -> _Places:
    """Pack the places themselves."""
    places, count = {}, 1
    for name, shape in shapes:
        places[name] = torch.arange(count, count + shape.numel()).view(shape)
        count += shape.numel()
    zeros = {name: torch.zeros_like(place) for name, place in places.items()}
    second = {name: place for name, place in places.items() if name.endswith(".bias_hh")}
    packed, addends = (
        {**_filled(layout, some), **_starts(layout, some)}
        for some in (places | {name: zeros[name] for name in second}, zeros | second)
    )
    products = products_of(layout)
    others = [name for name in packed if name not in products]
    parts = [packed[name] for name in products], [packed[name] for name in others]
    every = *parts, [addends[name] for name in others]
    joined = (torch.cat([part.flatten() for part in some]).int() for some in every)
    return _Places(*(place.to(device) for place in joined))


def _filled(layout: Layout, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights and biases of all products."""
    like = parameters["canvas_0"]
    products = {name: like.new_zeros(shape) for name, shape in _shapes(layout).items()}
    for own, inside in _blocks(layout, parameters, products):
        inside.add_(own)
    return products


def _starts(layout: Layout, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A row of activations [h_enc | r | h_dec | z], both cells and the canvas of every start."""
    H, second = layout.config.hidden_size, layout.hidden + layout.read_width
    like = parameters["canvas_0"]
    starts = {name: like.new_zeros(shape) for name, shape in _shapes_of_starts(layout).items()}
    starts["activations"][:H] = parameters["h_enc_0"]
    starts["activations"][second : second + H] = parameters["h_dec_0"]
    starts["cell_enc"][:H] = parameters["c_enc_0"]
    starts["cell_dec"][:H] = parameters["c_dec_0"]
    starts["canvas"][: layout.pixels] = like.flatten()
    return starts


def _shapes_of_starts(layout: Layout) -> dict[str, tuple[int, ...]]:
    cell = (layout.hidden,)
    return {
        "activations": (layout.stride,), "cell_enc": cell, "cell_dec": cell,
        "canvas": (layout.canvas,),
    }  # fmt: skip


def _cut(numbers: Tensor, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Parts of a row of numbers in their shapes; kernels find each at a multiple of 16 numbers."""
    parts = numbers.split_with_sizes([math.prod(shape) for shape in shapes.values()])
    named = zip(shapes.items(), parts, strict=True)
    return {name: part.view(shape) for (name, shape), part in named}


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
