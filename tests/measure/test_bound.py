"""Evaluation: every image exactly once, the same whatever the batch size, and honest errors."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from draw.data.batches import evaluation_images
from draw.errors import DrawError
from draw.measure.bound import evaluate
from draw.model.draw import DRAW
from draw.randomness import EVALUATION, image_noise
from running import TINY_MODEL, image_set


@pytest.fixture
def model() -> DRAW:
    torch.manual_seed(3)
    return DRAW(TINY_MODEL)


def bounds_one_by_one(model: DRAW, images: np.ndarray) -> list[float]:
    shape = TINY_MODEL.glimpses, TINY_MODEL.latent_size
    with torch.no_grad():
        return [
            model(
                torch.from_numpy(images[[i]]).float() / 255, image_noise(0, EVALUATION, [i], shape)
            ).bound.item()
            for i in range(len(images))
        ]


@pytest.mark.parametrize("batch_size", [1, 3, 4, 11, 12, 100])
def test_every_image_counts_once_whatever_the_batch_size(model: DRAW, batch_size: int) -> None:
    """Trap 10: a padded last batch, or a mean of batches' means, gives another number."""
    images = image_set(11).images
    result = evaluate(model, images, batch_size=batch_size)
    each = bounds_one_by_one(model, images)
    assert result.images == 11
    assert result.bound == pytest.approx(np.mean(each), rel=1e-6)
    assert result.bound_standard_error == pytest.approx(
        np.std(each, ddof=1) / math.sqrt(11), rel=1e-5
    )


@pytest.mark.parametrize("prior", ["standard", "learned"])
def test_a_model_in_double_precision_is_measured(prior: str) -> None:
    model = DRAW(replace(TINY_MODEL, prior=prior)).double()
    images = image_set(11).images
    found = evaluate(model, images, importance_samples=2, refinement_steps=1)
    plain = evaluate(model.float(), images, importance_samples=2, refinement_steps=1)
    assert found.bound == pytest.approx(plain.bound, rel=1e-5)
    assert found.refined_bound == pytest.approx(plain.refined_bound, rel=1e-3)


def test_the_parts_add_up(model: DRAW) -> None:
    result = evaluate(model, image_set(11).images)
    assert result.bound == pytest.approx(result.reconstruction + result.kl)
    assert result.kl == pytest.approx(sum(result.kl_per_glimpse))
    assert len(result.kl_per_glimpse) == TINY_MODEL.glimpses


def test_the_importance_weighted_estimate_is_the_log_mean_of_the_weights(model: DRAW) -> None:
    images = image_set(5).images
    result = evaluate(model, images, importance_samples=7, batch_size=2)
    shape = TINY_MODEL.glimpses, TINY_MODEL.latent_size
    x = torch.from_numpy(images).float() / 255
    with torch.no_grad():
        weights = torch.stack(
            [model(x, image_noise(0, EVALUATION, range(5), shape, k)).log_weight for k in range(7)]
        ).double()
    expected = -weights.exp().mean(0).log()
    assert result.importance_weighted == pytest.approx(expected.mean().item(), rel=1e-6)
    assert result.bound == evaluate(model, images).bound


def test_more_importance_samples_come_closer_from_above(model: DRAW) -> None:
    with torch.no_grad():
        model.log_sigma.bias += 1.0
    images = image_set(60).images
    one, many = (evaluate(model, images, importance_samples=k) for k in (1, 50))
    assert one.importance_weighted is not None
    assert many.importance_weighted is not None
    assert many.importance_weighted < one.importance_weighted - 0.1


def test_another_seed_is_another_sample(model: DRAW) -> None:
    images = image_set(5).images
    assert evaluate(model, images, seed=1).bound != evaluate(model, images, seed=0).bound


def test_dynamic_images_come_out_the_same_every_time_and_depend_on_their_number() -> None:
    images = np.repeat(image_set(1).images, 3, axis=0)
    numbers = np.array([2, 0])
    drawn = evaluation_images(images, numbers, True, 0)
    assert torch.equal(drawn, evaluation_images(images, numbers, True, 0))
    assert torch.equal(drawn[1], evaluation_images(images, np.array([0]), True, 0)[0])
    assert not torch.equal(drawn[0], drawn[1])
    assert set(drawn.unique().tolist()) == {0.0, 1.0}


def test_a_single_image_has_no_spread(model: DRAW) -> None:
    result = evaluate(model, image_set(1).images)
    assert result.images == 1
    assert result.bound_standard_error == 0.0


@pytest.mark.parametrize("images", [image_set(3, channels=3).images, image_set(3).images[:0]])
def test_images_that_do_not_fit_are_named(model: DRAW, images: np.ndarray) -> None:
    with pytest.raises(DrawError, match=r"expected images of shape \(1, 6, 5\)"):
        evaluate(model, images)


def test_progress_reaches_the_end(model: DRAW) -> None:
    seen: list[tuple[int, str]] = []
    result = evaluate(
        model,
        image_set(11).images,
        batch_size=4,
        on_progress=lambda n, text: seen.append((n, text)),
    )
    assert [done for done, _ in seen] == [4, 8, 11]
    assert seen[-1][1] == f"bound {result.bound:.2f} nats"
