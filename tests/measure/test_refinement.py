"""The refined bound, and training of the encoder alone."""

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from draw.config.model import DRAWConfig
from draw.errors import DrawError
from draw.measure.bound import evaluate
from draw.measure.refinement import refined_bound
from draw.model.draw import DRAW
from draw.models.storage import load_model
from draw.parts.distribution import Gaussian
from draw.randomness import EVALUATION, image_noise
from draw.training.start import start
from running import TINY, TINY_DIGITS, draw_command, image_set, with_normal_weights, with_train

SIZES = {
    "rows": 6, "columns": 5, "glimpses": 3, "hidden_size": 6, "latent_size": 3, "read_size": 2,
    "write_size": 3, "classes": 3,
}  # fmt: skip


def randomised(**parts: object) -> DRAW:
    model = DRAW(DRAWConfig(**SIZES, **parts))  # type: ignore[arg-type]
    return with_normal_weights(model, 0.5).requires_grad_(False)


def inputs(batch: int = 6) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(2)
    images = torch.rand(batch, 1, 6, 5, generator=random).round()
    return images, torch.randn(3, batch, 3, generator=random)


# Offsets


def test_offsets_are_added_to_mu_and_log_sigma() -> None:
    """As another bias of the posterior's affine maps, the same at every step."""
    model, (images, noise) = randomised(), inputs()
    by = 0.3 * torch.randn(2, 3, generator=torch.Generator().manual_seed(4))
    offsets = Gaussian(*(one.expand(3, 6, 3) for one in by))
    shifted = model.unroll(images, noise, offsets=offsets)
    with torch.no_grad():
        model.mu.bias += by[0]
        model.log_sigma.bias += by[1]
    for one, other in zip(shifted, model.unroll(images, noise), strict=True):
        torch.testing.assert_close(one, other)


def test_each_step_has_an_offset_of_its_own() -> None:
    model, (images, noise) = randomised(), inputs()
    offsets = torch.zeros(2, 3, 6, 3)
    offsets[:, 1] = 0.5
    shifted = model.unroll(images, noise, offsets=Gaussian(*offsets)).kl
    plain = model.unroll(images, noise).kl
    torch.testing.assert_close(shifted[:, 0], plain[:, 0])
    assert not torch.isclose(shifted[:, 1], plain[:, 1]).any()


# The refined bound


def test_without_updates_it_is_the_bound() -> None:
    model, (images, noise) = randomised(), inputs()
    found, output = refined_bound(model, images, range(6), [noise], 0), model(images, noise)
    torch.testing.assert_close(found.bound, output.bound[None])
    torch.testing.assert_close(found.log_weight, output.log_weight[None])


@pytest.mark.parametrize("parts", [{}, {"prior": "learned", "condition": "class"}])
def test_it_is_lower_than_the_bound_and_still_one(parts: dict[str, str]) -> None:
    """Above the importance-weighted estimate of thousands of samples, and far below the bound."""
    model, (images, _) = randomised(**parts), inputs()
    labels = torch.tensor([0, 1, 2, 0, 1, 2]) if parts else None
    before = {name: one.clone() for name, one in model.state_dict().items()}
    random = torch.Generator().manual_seed(7)
    bounds, refined, weights = [], [], []
    for k in range(8):
        noise = torch.randn(3, 6, 3, generator=random)
        bounds.append(model(images, noise, labels).bound)
        if k < 2:
            noises = [noise, torch.randn(3, 6, 3, generator=random)]
            fitted = refined_bound(model, images, range(6), noises, 60, labels=labels, seed=k)
            assert len(fitted.bound) == len(fitted.log_weight) == 2
            refined += fitted.bound
    for _ in range(300):
        noise = torch.randn(3, 600, 3, generator=random)
        told = None if labels is None else labels.repeat(100)
        weights.append(model(images.repeat(100, 1, 1, 1), noise, told).log_weight.view(100, 6))
    log_p = torch.cat(weights).logsumexp(0) - np.log(30_000)
    gain = torch.stack(bounds).mean() - torch.stack(refined).mean()
    assert gain > 0.2
    assert (torch.stack(refined).mean(0) > -log_p - 0.2).all()
    assert all(torch.equal(before[name], one) for name, one in model.state_dict().items())
    assert all(one.grad is None for one in model.parameters())


def test_it_is_the_same_where_a_caller_wants_no_gradients() -> None:
    model, (images, noise) = randomised(condition="class"), inputs()
    model.requires_grad_(True)
    labels = torch.arange(6) % 3
    expected = refined_bound(model, images, range(6), [noise], 3, labels=labels)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            x, told = images.clone(), labels.clone()
            found = refined_bound(model, x, range(6), [noise.clone()], 3, labels=told)
        assert torch.equal(found.bound, expected.bound)


def test_an_image_is_refined_by_itself() -> None:
    model, (images, noise) = randomised(), inputs()
    together = refined_bound(model, images, range(6), [noise], 5)
    alone = refined_bound(model, images[2:3], [2], [noise[:, 2:3]], 5)
    torch.testing.assert_close(alone.bound, together.bound[:, 2:3])


@pytest.mark.slow
def test_weights_of_the_fitted_posterior_integrate_to_the_likelihood() -> None:
    """-log p(x) by Gauss and Hermite's quadrature over the noise, whatever the posterior is."""
    sizes = SIZES | {"glimpses": 2, "latent_size": 1}
    model, (images, _) = DRAW(DRAWConfig(**sizes)), inputs()  # type: ignore[arg-type]
    with_normal_weights(model, 0.5).requires_grad_(False)
    nodes, weights = np.polynomial.hermite_e.hermegauss(16)
    noises = [
        torch.tensor([one, other], dtype=torch.float32).view(2, 1, 1).expand(2, 6, 1)
        for one, other in itertools.product(nodes, nodes)
    ]
    measure = torch.tensor(np.outer(weights, weights).reshape(-1, 1) / (2 * np.pi)).log()
    encoders, fitted = (refined_bound(model, images, range(6), noises, steps) for steps in (0, 60))
    costs = [-(losses.log_weight + measure).logsumexp(0) for losses in (encoders, fitted)]
    torch.testing.assert_close(*costs, rtol=0, atol=1e-3)
    bounds = [(losses.bound * measure.exp()).sum(0) for losses in (encoders, fitted)]
    assert (bounds[0] > bounds[1] + 0.02).all()
    assert (bounds[1] > costs[0]).all()


def test_evaluation_reports_both_bounds() -> None:
    model = randomised()
    images = np.random.default_rng(1).integers(0, 2, (5, 1, 6, 5)).astype(np.uint8) * 255
    plain, found = (evaluate(model, images, refinement_steps=steps) for steps in (0, 20))
    assert found.bound == plain.bound
    assert plain.refined_bound is None
    assert "refined_bound" not in plain.to_dict()
    assert found.refined_bound is not None
    assert found.refined_gain == pytest.approx(found.bound - found.refined_bound)
    assert found.refined_gain > 0
    halves = evaluate(model, images, refinement_steps=20, batch_size=2)
    assert halves.refined_bound == pytest.approx(found.refined_bound, rel=1e-4)
    assert found.refined_estimate is None


def test_samples_are_those_of_the_encoders_estimate() -> None:
    """One after another, each with its own noise, the same for both posteriors."""
    model = randomised()
    images = np.random.default_rng(1).integers(0, 2, (5, 1, 6, 5)).astype(np.uint8) * 255
    none, found = (
        evaluate(model, images, refinement_steps=steps, importance_samples=4) for steps in (0, 20)
    )
    assert found.importance_weighted == none.importance_weighted
    x = torch.from_numpy(images).float() / 255
    noises = [image_noise(0, EVALUATION, range(5), (3, 3), k) for k in range(4)]
    fitted = refined_bound(model, x, range(5), noises, 20)
    assert found.refined_bound == pytest.approx(float(fitted.bound.mean()), rel=1e-5)
    bound = torch.stack([model(x, noise).bound for noise in noises]).mean()
    assert found.refined_gain == pytest.approx(float(bound - fitted.bound.mean()), rel=1e-3)
    estimate = np.log(4) - fitted.log_weight.logsumexp(0)
    assert found.refined_estimate == pytest.approx(float(estimate.mean()), rel=1e-5)
    assert found.refined_estimate_standard_error > 0


@pytest.mark.usefixtures("without_shape_checks")
def test_the_verb(tmp_path: Path) -> None:
    draw_command(
        "train", "digits", "--out", "run", *TINY_DIGITS, "--train.steps", "2",
        "--data.cache-dir", "cache", cwd=tmp_path,
    )  # fmt: skip
    said = draw_command(
        "evaluate", "run", "--refine", "3", "--images", "7", "--json", "a.json", cwd=tmp_path
    )
    assert "refined bound, 3 updates an image" in said.stdout
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["images"] == 7
    assert found["refinement_steps"] == 3
    assert found["refined_bound"] > 0


# The encoder alone


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("attention", ["gaussian", "lattice"])
def test_the_decoder_stays_bit_for_bit(tmp_path: Path, attention: str) -> None:
    sets = [image_set(count, split) for count, split in ((10, "train"), (7, "validation"))]
    model = dataclasses.replace(TINY.model, attention=attention)
    first = with_train(dataclasses.replace(TINY, model=model), steps=2)
    start(first, tmp_path / "first", *sets).fit()
    before = load_model(str(tmp_path / "first")).drawing
    again = with_train(
        first, steps=3, only="encoder", start_from=str(tmp_path / "first"), weight_decay=0.1
    )
    trainer = start(again, tmp_path / "second", *sets)
    trainer.fit()
    after = load_model(str(tmp_path / "second"), "last").drawing
    moved = {
        name
        for (name, one), other in zip(before.named_parameters(), after.parameters(), strict=True)
        if not torch.equal(one, other)
    }
    assert moved
    assert all(name.startswith(DRAW.encoder) for name in moved)
    expected = {name for name, _ in before.named_parameters() if name.startswith(DRAW.encoder)}
    assert moved == expected
    noise = before.noise_for(2, 1)
    assert torch.equal(
        before.generate(2, noise=noise).canvases, after.generate(2, noise=noise).canvases
    )


def test_the_encoder_alone_needs_a_decoder_that_has_learned() -> None:
    with pytest.raises(DrawError, match=r"expected train\.start_from to be a model .*, got None"):
        with_train(TINY, only="encoder")
