"""The affine map and the LSTM cell, which keep their state in full precision under autocast.

Autocast rounds the operands and the results of a matrix product to bf16. Sums that run over all
T steps (cell, canvas) and small differences of large numbers (the KL) must not be rounded so.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear


class Affine(nn.Linear):
    """L(.) of the paper; the result has the precision of the argument, also under autocast."""

    def forward(self, input: Float[Tensor, "*batch {self.in_features}"]) -> Tensor:  # noqa: A002
        """Wx + b, [*batch, out_features]."""
        return super().forward(input).to(input.dtype)


class LSTMCell(nn.LSTMCell):
    """torch's LSTM cell; the state has the precision of the state before, also under autocast."""

    def forward(  # type: ignore[override]
        self,
        input: Float[Tensor, "batch {self.input_size}"],  # noqa: A002
        state: tuple[
            Float[Tensor, "batch {self.hidden_size}"], Float[Tensor, "batch {self.hidden_size}"]
        ],
        addend: Float[Tensor, "batch {4*self.hidden_size}"] | None = None,
    ) -> tuple[
        Float[Tensor, "batch {self.hidden_size}"], Float[Tensor, "batch {self.hidden_size}"]
    ]:
        """(h_t, c_t) from the input and (h_{t-1}, c_{t-1}); `addend` is added to the four gates."""
        h, c = state
        gates = linear(input, self.weight_ih, self.bias_ih) + linear(
            h, self.weight_hh, self.bias_hh
        )
        if addend is not None:
            gates = gates + addend
        i, f, g, o = gates.to(c.dtype).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
