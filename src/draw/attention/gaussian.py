"""The paper's attention: Gaussian windows that the decoder places (eqs 19-29)."""

from draw.attention.movable import WindowAttention


class GaussianAttention(WindowAttention):
    """`WindowAttention` through the paper's windows: grids of Gaussian filters (eqs 19-29)."""
