"""Paired difference of two models on the same images, with its standard error."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Difference(NamedTuple):
    """Mean over images of one model's score less another's, and its standard error."""

    mean: float
    """Below 0 where the first model is better: both scores are ones to make small."""
    standard_error: float
    """Standard error of the mean, by both spreads below, which are independent."""
    over_images: float
    """Standard error by the spread of the differences over images."""
    between_seeds: float
    """Standard error by the spread of the runs' means; 0 where each model has a single run, whose
    spread cannot be known."""


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
    of_runs = [standard_error(np.array([one.mean() for one in runs])) for runs in (scores, others)]
    over_images, between_seeds = standard_error(differences), math.hypot(*of_runs)
    total = math.hypot(over_images, between_seeds)
    return Difference(float(differences.mean()), total, over_images, between_seeds)
