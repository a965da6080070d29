"""How fast does a model draw new images?

    python -m benchmarks.generate                                  # 128 images, the MNIST row
    python -m benchmarks.generate --row svhn --batch 16

Eqs 13-16 from given noise, with the canvases of all steps, as `DRAW.generate` returns them. eager
is benchmarks/eager.py; reference, cpp and others are draw's own backends. Ways take turns, and the
medians of the rounds are compared.
"""

from functools import partial

from benchmarks.command import run
from benchmarks.comparison import Comparison
from benchmarks.ways import generate


def main(comparison: Comparison) -> None:
    """Time the drawing of new images."""
    comparison.run(
        "generate",
        lambda model, precision, given: partial(generate, model, precision, given.noise),
    )


if __name__ == "__main__":
    run(main)
