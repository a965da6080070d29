"""Noise depends on what it is for, and on nothing else."""

import itertools

import pytest
import torch

from draw import randomness as noise
from draw.randomness import generator, image_noise

PURPOSES = {name: value for name, value in vars(noise).items() if name.isupper()}
SHAPE = 3, 5  # glimpses, latent


def numbers(*key: int) -> tuple[float, ...]:
    return tuple(generator(*key).standard_normal(4))


def test_purposes_are_distinct():
    assert {"TRAINING", "EVALUATION", "GENERATION"} <= PURPOSES.keys()
    assert len(set(PURPOSES.values())) == len(PURPOSES)


def test_same_counters_same_numbers():
    assert numbers(3, noise.TRAINING, 7) == numbers(3, noise.TRAINING, 7)
    first = image_noise(3, noise.TRAINING, [7], SHAPE)
    assert torch.equal(first, image_noise(3, noise.TRAINING, [7], SHAPE))


def test_any_other_seed_purpose_or_counter_gives_other_numbers():
    keys = itertools.product((0, 1, 2**32, 2**40), PURPOSES.values(), (0, 1, 2, 10**6), (0, 1))
    drawn = [number for key in keys for number in numbers(*key)]
    assert len(set(drawn)) == len(drawn)


def test_a_counter_of_zero_is_not_no_counter():
    assert numbers(1, noise.TRAINING) != numbers(1, noise.TRAINING, 0)


def test_a_large_seed_is_not_a_small_one_and_its_purpose():
    assert numbers(2**32, 2, 3) != numbers(0, 1, 2, 3)


def test_negative_seeds_are_refused():
    with pytest.raises(
        ValueError, match="expected seed to be a whole number of at least 0, got -3"
    ):
        generator(-3, noise.TRAINING)


def test_noise_is_shaped_like_one_images_with_the_images_before_the_latents():
    drawn = image_noise(0, noise.EVALUATION, range(4), SHAPE)
    assert drawn.shape == (3, 4, 5)
    assert drawn.dtype == torch.float32
    assert image_noise(0, noise.EVALUATION, range(4), (6, 3, 5)).shape == (6, 3, 4, 5)


def test_noise_of_an_image_does_not_depend_on_the_others():
    together = image_noise(0, noise.EVALUATION, [4, 9, 2, 11], SHAPE)
    for place, image in enumerate([4, 9, 2, 11]):
        alone = image_noise(0, noise.EVALUATION, [image], SHAPE)
        assert torch.equal(together[:, place], alone[:, 0])
    assert torch.equal(together[:, [2, 1]], image_noise(0, noise.EVALUATION, [2, 9], SHAPE))


def test_images_and_steps_and_latents_have_noise_of_their_own():
    drawn = image_noise(0, noise.EVALUATION, range(50), SHAPE)
    assert len(drawn.unique()) == drawn.numel()


def test_samples_of_an_image_have_noise_of_their_own():
    samples = [image_noise(0, noise.EVALUATION, range(3), SHAPE, sample) for sample in range(5)]
    drawn = torch.stack(samples)
    assert len(drawn.unique()) == drawn.numel()
    assert torch.equal(samples[0], image_noise(0, noise.EVALUATION, range(3), SHAPE))


def test_global_generators_have_no_say():
    torch.manual_seed(1)
    first = image_noise(0, noise.TRAINING, [1], SHAPE)
    torch.manual_seed(2)
    assert torch.equal(first, image_noise(0, noise.TRAINING, [1], SHAPE))


def test_noise_is_standard_normal():
    """Moments within 4 standard errors, over images as well as over steps and latents."""
    drawn = image_noise(0, noise.TRAINING, range(2000), (4, 10)).double()
    count = drawn.numel()
    assert abs(drawn.mean()) < 4 * (1 / count) ** 0.5
    assert abs(drawn.square().mean() - 1) < 4 * (2 / count) ** 0.5
    assert abs(drawn.pow(3).mean()) < 4 * (15 / count) ** 0.5
    assert abs(drawn.pow(4).mean() - 3) < 4 * (96 / count) ** 0.5
    for axis in range(3):
        pairs = drawn.movedim(axis, 0)
        products = pairs[1:] * pairs[:-1]
        assert abs(products.mean()) < 4 * (1 / products.numel()) ** 0.5
