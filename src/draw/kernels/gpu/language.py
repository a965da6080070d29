"""Triton, where it is installed: the one place that knows that it may not be.

CUDA builds of PyTorch bring Triton with them. Elsewhere the kernels can be imported, not run.
"""

import inspect
from collections.abc import Callable
from typing import Any

try:
    import triton
    import triton.language as tl
except ImportError:

    class _NoLanguage:
        """Stands for `triton.language` in the signatures of the kernels."""

        constexpr = None

    triton = None
    tl = _NoLanguage()


def is_installed() -> bool:
    """Whether the kernels can run."""
    return triton is not None


def jit(function: Callable[..., Any]) -> Any:
    """A function as Triton compiles it: its own source, whatever has been wrapped round it."""
    return function if triton is None else triton.jit(inspect.unwrap(function))
