"""Backends: ways to compute the loop of a model. To add one, write a file, and a line here."""

from draw.kernels.contract import Backend
from draw.kernels.cpp.backend import Cpp
from draw.kernels.gpu.backend import TRITON
from draw.kernels.graphs import Graph
from draw.kernels.reference import Reference

BACKENDS: dict[str, Backend] = {
    "cpp": Cpp(),
    "triton": TRITON,
    "reference": Reference(),
    "graph": Graph(),
}
"""In the order of preference: the first without an obstacle runs. The reference has none, so what
comes after it runs only where it is asked for by name."""
