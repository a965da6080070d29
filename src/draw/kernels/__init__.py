"""Backends: ways to compute the loop of a model. To add one, write a file, and a line here."""

from draw.kernels.compiled import CompiledBackend
from draw.kernels.contract import Backend
from draw.kernels.cpp.cpp_backend import Cpp
from draw.kernels.gpu.triton_backend import TRITON
from draw.kernels.graphs import Graph
from draw.kernels.packed.packed_backend import PACKED_STEP
from draw.kernels.reference import Reference

BACKENDS: dict[str, Backend] = {
    "cpp": Cpp(),
    "triton": TRITON,
    "packed": PACKED_STEP,
    "compiled": CompiledBackend(),
    "graph": Graph(),
    "reference": Reference(),
}
"""In the order of preference: the first without a doubt or an obstacle runs. The reference has
neither."""
