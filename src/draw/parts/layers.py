"""The affine map and the LSTM cell, which keep their state in full precision under autocast.

Autocast rounds the operands and the results of a matrix product to bf16. Sums that run over all
T steps (cell, canvas) and small differences of large numbers (the KL) must not be rounded so.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear


class Affine(nn.Linear):
    """The affine map L(.) of the paper; its result keeps the argument's dtype under autocast."""

    def forward(self, input: Float[Tensor, "*batch {self.in_features}"]) -> Tensor:  # noqa: A002
        """Apply the affine map: W x + b, [*batch, out_features]."""
        return super().forward(input).to(input.dtype)


class LSTMCell(nn.LSTMCell):
    """The LSTM cell of torch, whose state keeps its dtype also under autocast."""

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
        """One step of the LSTM: (h_t, c_t) from its input and (h_{t-1}, c_{t-1}).

        Args:
            input: x_t, [batch, input_size].
            state: (h_{t-1}, c_{t-1}), each [batch, hidden_size].
            addend: an optional addend to the four gates before their nonlinearities, [batch, 4
                hidden_size].
        """
        h, c = state
        gates = linear(input, self.weight_ih, self.bias_ih) + linear(
            h, self.weight_hh, self.bias_hh
        )
        if addend is not None:
            gates = gates + addend
        i, f, g, o = gates.to(c.dtype).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
