"""Random numbers by counter: published answers, independence, and the distributions asked for."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from draw import philox as generator
from draw.philox import KEY_STEPS, MULTIPLIERS, ROUNDS, normal, philox, uniform

ANSWERS = {
    (0x00000000,) * 4 + (0x00000000,) * 2: (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    (0xFFFFFFFF,) * 4 + (0xFFFFFFFF,) * 2: (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0): (
        0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1,
    ),
}  # fmt: skip
"""`philox4x32 10` of the file kat_vectors of Random123: counter and key, and what comes of them."""
STEP = torch.tensor(5)


def at(step: int) -> Tensor:
    return torch.tensor(step)


@pytest.mark.parametrize("given", ANSWERS)
def test_it_gives_the_published_answers(given: tuple[int, ...]) -> None:
    words = philox([torch.tensor(word) for word in given[:4]], given[4:6])
    assert tuple(map(int, words)) == ANSWERS[given]


def test_words_of_a_whole_tensor_are_those_of_whole_numbers_without_limit() -> None:
    random = np.random.default_rng(0)
    counters = random.integers(2**32, size=(4, 200))
    keys = tuple(map(int, random.integers(2**32, size=2)))
    words = torch.stack(philox([torch.from_numpy(row) for row in counters], keys))
    for place in range(200):
        c, k = [int(word) for word in counters[:, place]], list(keys)
        for _ in range(ROUNDS):
            first, second = c[0] * MULTIPLIERS[0], c[2] * MULTIPLIERS[1]
            c = [
                second >> 32 ^ c[1] ^ k[0], second % 2**32,
                first >> 32 ^ c[3] ^ k[1], first % 2**32,
            ]  # fmt: skip
            k = [(word + more) % 2**32 for word, more in zip(k, KEY_STEPS, strict=True)]
        assert words[:, place].tolist() == c


@pytest.mark.parametrize("draw", [uniform, normal])
def test_an_image_has_numbers_of_its_own_whoever_asks_for_it(draw) -> None:
    whole = draw(3, 1, STEP, range(7), 10)
    assert whole.shape == (7, 10)
    assert whole.dtype == torch.float32
    assert torch.equal(draw(3, 1, STEP, range(2, 5), 10), whole[2:5])
    assert torch.equal(draw(3, 1, STEP, range(7), 6), whole[:, :6])
    assert len(whole.unique()) == whole.numel()


def test_any_other_seed_purpose_or_step_gives_other_numbers() -> None:
    seeds = 0, 1, 2**32, 2**32 + 1, 2**63 - 1
    drawn = torch.stack(
        [
            normal(seed, purpose, at(step), range(2), 8)
            for seed, purpose, step in itertools.product(seeds, range(3), (0, 1, 2**31))
        ]
    )
    assert torch.equal(drawn[0], normal(seeds[0], 0, at(0), range(2), 8))
    rows = drawn.flatten(0, 1)
    assert len({tuple(row.tolist()) for row in rows}) == len(rows)


def test_the_present_value_of_a_step_counts() -> None:
    step = torch.tensor(0)
    first = normal(0, 0, step, range(2), 4)
    step += 1
    assert torch.equal(normal(0, 0, step, range(2), 4), normal(0, 0, at(1), range(2), 4))
    assert not torch.equal(first, normal(0, 0, step, range(2), 4))


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_that_the_key_cannot_hold_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match=f"expected a seed from 0 to .*, got {seed}"):
        normal(seed, 0, STEP, range(1), 1)


def _pairs(drawn: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Numbers that lie side by side, in one image, in two images, in one block of four."""
    blocks = drawn.unflatten(1, (-1, 4))
    return {
        "places": (drawn[:, 1:], drawn[:, :-1]),
        "images": (drawn[1:], drawn[:-1]),
        **{
            f"words {one}{two}": (blocks[..., one], blocks[..., two])
            for one, two in itertools.combinations(range(4), 2)
        },
    }


def _uncorrelated(drawn: Tensor) -> None:
    """Of numbers with mean 0 and variance 1; of their squares too, which share a length."""
    for what, (one, two) in _pairs(drawn).items():
        assert abs((one * two).mean()) < 4 / math.sqrt(one.numel()), what


def test_uniform_numbers_are_uniform() -> None:
    steps = [uniform(0, 1, at(step), range(50), 400) for step in range(5)]
    drawn = torch.stack(steps).double()
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert torch.equal(drawn * 2**24, (drawn * 2**24).round())
    assert kstest(drawn.flatten().numpy(), "uniform").pvalue > 1e-3
    for step in drawn:
        _uncorrelated((step - 0.5) * math.sqrt(12))
    assert abs(((steps[0] - 0.5) * (steps[1] - 0.5)).mean() * 12) < 4 / math.sqrt(20_000)


def test_normal_numbers_are_normal() -> None:
    """Moments within 4 standard errors."""
    drawn = torch.cat([normal(0, 0, at(step), range(50), 400) for step in range(10)]).double()
    count = drawn.numel()
    assert abs(drawn.mean()) < 4 * (1 / count) ** 0.5
    assert abs(drawn.square().mean() - 1) < 4 * (2 / count) ** 0.5
    assert abs(drawn.pow(3).mean()) < 4 * (15 / count) ** 0.5
    assert abs(drawn.pow(4).mean() - 3) < 4 * (96 / count) ** 0.5
    assert kstest(drawn.flatten().numpy(), "norm").pvalue > 1e-3
    _uncorrelated(drawn)
    _uncorrelated((drawn.square() - 1) / math.sqrt(2))


def test_the_tails_are_those_of_a_normal_distribution() -> None:
    drawn = normal(1, 0, STEP, range(1000), 2000)
    count = drawn.numel()
    for beyond in (3.0, 4.0):
        expected = count * math.erfc(beyond / math.sqrt(2))
        found = int((drawn.abs() > beyond).sum())
        assert abs(found - expected) < 4 * math.sqrt(expected)
    assert drawn.isfinite().all()


@pytest.mark.parametrize("word", [0, 0xFFFFFFFF])
def test_the_outermost_words_make_finite_numbers(word: int, monkeypatch) -> None:
    words = (torch.full((1, 1), word),) * 4
    monkeypatch.setattr(generator, "philox", lambda *_: words)
    drawn = normal(0, 0, STEP, range(1), 4)
    assert drawn.isfinite().all()
    assert drawn.abs().max() == pytest.approx(math.sqrt(66 * math.log(2)) if word == 0 else 0)
    assert 0 <= uniform(0, 0, STEP, range(1), 4).min() <= uniform(0, 0, STEP, range(1), 4).max() < 1
