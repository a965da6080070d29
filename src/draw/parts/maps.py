"""Convolutions of feature maps that are handed about as vectors: an affine map, and an LSTM cell.

A vector of the model, such as h_dec or z, is a stack of maps here, [maps, rows, columns] flattened
in this order. Two vectors joined end to end are then the maps of both, one above the other.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class MapAffine(nn.Conv2d):
    """An affine map L(.) that is the same at all places: a convolution, padded with zeros.

    Its result keeps the argument's dtype under autocast, as `draw.parts.layers.Affine` does.

    Args:
        inputs: maps of the argument.
        outputs: maps of the result.
        places: rows and columns of every map.
        kernel_size: side of the kernels, odd.
    """

    def __init__(
        self, inputs: int, outputs: int, places: tuple[int, int], kernel_size: int
    ) -> None:
        super().__init__(inputs, outputs, kernel_size, padding=kernel_size // 2)
        self.places = places

    def forward(self, input: Float[Tensor, "batch inputs"]) -> Tensor:  # noqa: A002
        """Convolve the maps of a vector: W * x + b, [batch, outputs rows columns]."""
        maps = torch.unflatten(input, -1, (-1, *self.places))
        return super().forward(maps).flatten(1).to(input.dtype)


class MapLSTMCell(nn.Module):
    """The convolutional LSTM cell of Shi et al. 2015 (arXiv 1506.04214), without its peepholes.

    With * for a convolution and . for a product of numbers at the same place,

        i, f, o = sigmoid(W * [x_t, h_{t-1}] + b),  g = tanh(W * [x_t, h_{t-1}] + b),
        c_t = f . c_{t-1} + i . g,  h_t = o . tanh(c_t).

    The state keeps its dtype under autocast, as that of `draw.parts.layers.LSTMCell` does.

    Args:
        inputs: maps of the input x_t.
        maps: maps of the state, h and c.
        places: rows and columns of every map.
        kernel_size: side of the kernels, odd.
    """

    def __init__(self, inputs: int, maps: int, places: tuple[int, int], kernel_size: int) -> None:
        super().__init__()
        self.maps = maps
        self.gates = MapAffine(inputs + maps, 4 * maps, places, kernel_size)

    def forward(
        self,
        input: Float[Tensor, "batch inputs"],  # noqa: A002
        state: tuple[Float[Tensor, "batch hidden"], Float[Tensor, "batch hidden"]],
        addend: Float[Tensor, "batch 4*hidden"] | None = None,
    ) -> tuple[Float[Tensor, "batch hidden"], Float[Tensor, "batch hidden"]]:
        """One step of the LSTM: (h_t, c_t) from its input and (h_{t-1}, c_{t-1}).

        Args:
            input: x_t, [batch, inputs rows columns].
            state: (h_{t-1}, c_{t-1}), each [batch, maps rows columns].
            addend: an optional addend to the four gates before their nonlinearities, [batch, 4 maps
                rows columns].
        """
        h, c = state
        gates = self.gates(torch.cat([input, h], -1))
        if addend is not None:
            gates = gates + addend
        i, f, g, o = gates.to(c.dtype).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
