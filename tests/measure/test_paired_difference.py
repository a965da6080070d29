"""The difference of two models on the same images, and how well it is known."""

import numpy as np
import pytest

from draw.measure.paired_difference import paired_difference, standard_error


def test_the_standard_error_is_that_of_a_mean() -> None:
    assert standard_error(np.array([1.0, 3.0, 5.0])) == pytest.approx(2 / 3**0.5)
    assert standard_error(np.array([7.0])) == 0


def test_what_makes_an_image_hard_for_both_models_cancels() -> None:
    random = np.random.default_rng(0)
    hard = 20 * random.standard_normal(4000)
    one, other = (hard + shift + random.standard_normal(4000) for shift in (80.0, 80.5))
    found = paired_difference([other], [one])
    assert found.mean == pytest.approx((other - one).mean())
    assert found.standard_error == pytest.approx((other - one).std(ddof=1) / 4000**0.5)
    assert abs(found.mean - 0.5) < 4 * found.standard_error
    assert standard_error(one) > 10 * found.standard_error


def test_runs_that_differ_add_their_spread() -> None:
    scores = [np.array([1.0, 2.0]), np.array([5.0, 6.0])]
    others = [np.array([1.0, 2.0]), np.array([1.0, 2.0]), np.array([1.0, 2.0])]
    found = paired_difference(scores, others)
    assert found.mean == pytest.approx(2)
    assert found.standard_error == pytest.approx(2)  # of the runs' means 1.5 and 5.5 alone
    assert (found.over_images, found.between_seeds) == pytest.approx((0, 2))


def test_the_two_spreads_are_added_as_variances() -> None:
    scores, others = [np.array([1.0, 4.0]), np.array([5.0, 8.0])], [np.array([1.0, 2.0])]
    found = paired_difference(scores, others)
    assert (found.over_images, found.between_seeds) == pytest.approx((1, 2))
    assert found.standard_error == pytest.approx(5**0.5)
