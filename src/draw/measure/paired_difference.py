"""Paired difference of two models on the same images, with its standard error."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Difference(NamedTuple):
    """Mean over images of one model's score less another's, and its standard error."""

    mean: float
    """Below 0 where the first model is better: both scores are ones to make small."""
    standard_error: float


def standard_error(values: Float[np.ndarray, " n"]) -> float:
    """Standard error of a mean; 0 for a single value, which has no spread to show.

    Args:
        values: one value for each image, or each seed.
    """
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def paired_difference(
    scores: Sequence[Float[np.ndarray, " n"]], others: Sequence[Float[np.ndarray, " n"]]
) -> Difference:
    """Mean difference of two models' scores on the same images, with its standard error.

    What makes an image hard is hard for both models, so their difference is known far better than
    either score. With several runs of a model, which differ in their seed, the scores of an image
    are averaged, and the spread of the runs' means over their number is added to the variance.

    Args:
        scores: scores of each run of the model, one for each image, in one order.
        others: scores of each run of the model to compare with, in the same order.
    """
    differences = np.mean(scores, 0) - np.mean(others, 0)
    variance = standard_error(differences) ** 2 + sum(
        standard_error(np.array([one.mean() for one in runs])) ** 2 for runs in (scores, others)
    )
    return Difference(float(differences.mean()), float(np.sqrt(variance)))
