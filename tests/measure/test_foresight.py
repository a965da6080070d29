"""What a learned prior foresees of each step."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from draw.config.model import DRAWConfig
from draw.errors import DrawError
from draw.measure.bound import evaluate
from draw.measure.foresight import foresight
from draw.model.draw import DRAW
from draw.visualize import training_curves
from running import TINY_DIGITS, draw_command, with_normal_weights

LEARNED = DRAWConfig(
    rows=6, columns=5, glimpses=3, hidden_size=6, latent_size=2, read_size=2, write_size=3,
    prior="learned",
)  # fmt: skip


@pytest.fixture
def model() -> DRAW:
    return with_normal_weights(DRAW(LEARNED), 0.7).requires_grad_(False)


def inputs(batch: int = 40) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(2)
    images = torch.rand(batch, 1, 6, 5, generator=random).round()
    return images, torch.randn(3, batch, 2, generator=random)


def posteriors(model: DRAW, images: Tensor, noise: Tensor) -> list[Normal]:
    state, found = model.initial_state(len(images)), []
    for noise_t in noise:
        state, step = model.step(images, noise_t, state)
        found.append(Normal(step.posterior.mu.double(), step.posterior.log_sigma.double().exp()))
    return found


def best(posterior: Normal) -> Normal:
    """The nearest normal, which gradient descent finds."""
    mu, log_sigma = (torch.zeros(2, dtype=torch.double, requires_grad=True) for _ in range(2))
    descent = torch.optim.LBFGS([mu, log_sigma], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        descent.zero_grad()
        loss = kl_divergence(posterior, Normal(mu, log_sigma.exp())).sum(-1).mean()
        loss.backward()
        return loss

    descent.step(closure)
    return Normal(mu.detach(), log_sigma.detach().exp())


def test_the_fixed_prior_is_the_best_there_is(model: DRAW) -> None:
    """Half way between the best of all images, and for each image the best of the others."""
    images, noise = inputs(8)
    found = foresight(model, images, noise)
    for t, posterior in enumerate(posteriors(model, images, noise)):
        within = kl_divergence(posterior, best(posterior)).sum(-1)
        without = []
        for i in range(8):
            rest = torch.arange(8) != i
            fitted = best(Normal(posterior.mean[rest], posterior.stddev[rest]))
            without.append(kl_divergence(Normal(posterior.mean[i], posterior.stddev[i]), fitted))
        wanted = (within.mean() + torch.stack(without).sum(-1).mean()) / 2
        assert found.constant[t] == pytest.approx(float(wanted), rel=1e-5, abs=1e-7)
        standard = kl_divergence(posterior, Normal(0.0, 1.0)).sum(-1).mean()
        assert found.standard[t] == pytest.approx(float(standard), rel=1e-5)
    assert found.learned == pytest.approx(model(images, noise).kl.mean(0).tolist(), rel=1e-5)
    assert found.foreseen == pytest.approx(np.subtract(found.constant, found.learned))
    assert found.foreseen[0] < 0  # h_dec_0 is the same for all, and this prior is not the best


@pytest.mark.slow
def test_a_prior_that_does_not_look_foresees_nothing(model: DRAW) -> None:
    """The best fixed one of very many images, in the place of the learned one, with few images."""
    images, noise = inputs(4000)
    posterior = posteriors(model, images, noise)[1]
    square = (posterior.mean.square() + posterior.variance).mean(0)
    with torch.no_grad():
        for parameter in model.prior.parameters():
            parameter.zero_()
        model.prior.mu.bias.copy_(posterior.mean.mean(0))
        model.prior.log_sigma.bias.copy_((square - posterior.mean.mean(0).square()).log() / 2)
    few = [slice(start, start + 10) for start in range(0, 4000, 10)]
    found = [foresight(model, images[some], noise[:, some]) for some in few]
    # Four numbers fitted to ten images: 4 / 20 of a nat too much or too little by one way alone.
    assert np.mean([one.foreseen[1] for one in found]) == pytest.approx(0, abs=0.03)
    assert np.mean([one.standard[1] - one.constant[1] for one in found]) > 0.01


def test_one_image_has_no_others(model: DRAW) -> None:
    with pytest.raises(DrawError, match="expected two images or more"):
        foresight(model, *inputs(1))
    found = evaluate(model, (255 * inputs(1)[0]).byte().numpy())
    assert found.foreseen_per_glimpse is None


def test_batches_make_no_difference(model: DRAW) -> None:
    one, other = (foresight(model, *inputs(), batch_size=size) for size in (7, 40))
    for name in ("learned", "constant", "standard"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-5)


def test_evaluation_has_it_for_a_learned_prior_alone(model: DRAW) -> None:
    images = np.random.default_rng(1).integers(0, 2, (9, 1, 6, 5)).astype(np.uint8) * 255
    found = evaluate(model, images, batch_size=4)
    assert found.foreseen_per_glimpse is not None
    assert found.fixed_prior_kl_per_glimpse is not None
    assert np.subtract(found.fixed_prior_kl_per_glimpse, found.kl_per_glimpse) == pytest.approx(
        found.foreseen_per_glimpse, abs=1e-4
    )  # fewer images than it takes at most
    plain = evaluate(DRAW(dataclasses.replace(LEARNED, prior="standard")), images)
    assert "foreseen_per_glimpse" not in plain.to_dict()


def test_the_verbs_and_the_curves_show_it(tmp_path: Path) -> None:
    draw_command(
        "train", "digits", "--out", "run", *TINY_DIGITS, "--train.steps", "2",
        "--data.cache-dir", "cache", "--model.prior", "learned", cwd=tmp_path,
    )  # fmt: skip
    told = json.loads(draw_command("info", "run", "--json", "-", cwd=tmp_path).stdout)
    lines = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    measured = next(line for line in lines if line["kind"] == "validation")
    for name in ("foreseen", "fixed_prior_kl", "standard_prior_kl"):
        assert told[f"validation_{name}_per_glimpse"] == measured[f"{name}_per_glimpse"]
        assert len(measured[f"{name}_per_glimpse"]) == 2
    said = draw_command("evaluate", "run", "--precision", "fp32", cwd=tmp_path).stdout
    assert "foreseen by the learned prior" in said
    drawn = [training_curves(lines, tmp_path / "with.svg").read_text()]
    for line in lines:
        line.pop("fixed_prior_kl_per_glimpse", None)
    drawn.append(training_curves(lines, tmp_path / "without.svg").read_text())
    assert ["the best fixed prior" in one for one in drawn] == [True, False]
