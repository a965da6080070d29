"""How fast is the bound of images without its gradient, as in evaluation?

    python -m benchmarks.evaluate                                  # 128 images, the MNIST row
    python -m benchmarks.evaluate --row cifar --ways eager cpp

`DRAW(config)(images, noise).bound` under torch.no_grad. eager is benchmarks/eager.py; reference,
cpp and others are draw's own backends. Ways take turns, and the medians of the rounds are compared.
"""

from functools import partial

import torch

from benchmarks.command import run
from benchmarks.comparison import Comparison
from benchmarks.ways import bound


@torch.no_grad()
def main(comparison: Comparison) -> None:
    """Time the bound."""
    comparison.run(
        "evaluate", lambda model, precision, given: partial(bound, model, precision, *given)
    )


if __name__ == "__main__":
    run(main)
