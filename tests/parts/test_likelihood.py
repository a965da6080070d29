"""The discretized logistic: 256 probabilities, in float32 too; bits only where they are bits."""

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from draw.config.data import Binarization
from draw.config.model import DRAWConfig
from draw.errors import DrawError, Interruption
from draw.measure.bound import evaluate
from draw.model.draw import DRAW
from draw.models.storage import load_model
from draw.parts.likelihood import START_LOG_SCALE, check_pixels, in_bits, meaning
from draw.parts.objective import bits_per_dimension, discretized_logistic_loss
from draw.runs.checkpoint import checkpoints, load_tensors
from draw.runs.metrics import read_metrics
from draw.training.start import resume, resumed_config, start
from draw.training.trainer import Trainer
from running import TINY, TINY_DIGITS, draw_command, image_set, with_train

LOGISTIC = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, likelihood="logistic"))
TRAINING, VALIDATION = image_set(10), image_set(7, "validation", seed=1)
CANVASES = (-1e4, -40.0, -6.0, -0.3, 0.0, 0.01, 2.0, 15.0, 1e4)
LOG_SCALES = (-100.0, -20.0, -9.0, -5.5, -2.0, 0.0, 4.0, 20.0, 100.0)

canvases = pytest.mark.parametrize("logit", CANVASES)
scales = pytest.mark.parametrize("log_scale", LOG_SCALES)


def loss_of_all_values(
    logit: float, log_scale: float, dtype: torch.dtype = torch.float64
) -> Tensor:
    """-log P(v), v = 0 .. 255, of a pixel."""
    images = (torch.arange(256, dtype=dtype) / 255).view(256, 1, 1, 1)
    canvas = torch.full_like(images, logit)
    return discretized_logistic_loss(canvas, images, torch.full((1, 1, 1), log_scale, dtype=dtype))


def in_plain_loops(x: np.ndarray, canvas: np.ndarray, log_scale: np.ndarray) -> float:
    """The definition, for one image: differences of the distribution function, the ends open."""

    def below(edge: float, mean: float, s: float) -> float:
        return 1 / (1 + math.exp(-(edge - mean) / s))

    total = 0.0
    for place in np.ndindex(x.shape):
        v = round(255 * float(x[place]))
        mean, s = 1 / (1 + math.exp(-float(canvas[place]))), math.exp(float(log_scale[place]))
        upper = 1.0 if v == 255 else below((v + 0.5) / 255, mean, s)
        lower = 0.0 if v == 0 else below((v - 0.5) / 255, mean, s)
        total -= math.log(upper - lower)
    return total


@pytest.fixture
def eight_bits() -> Tensor:
    """Images of which some pixels are 0 and some 255."""
    values = torch.randint(-60, 316, (4, 3, 5, 4)).clamp(0, 255)
    assert (values == 0).any()
    assert (values == 255).any()
    return values.double() / 255


# The distribution


@canvases
@scales
def test_probabilities_of_the_256_values_add_up_to_1(logit: float, log_scale: float) -> None:
    loss = loss_of_all_values(logit, log_scale)
    assert (loss >= 0).all()
    assert loss.isfinite().all()
    assert (-loss).exp().sum().item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("shape", [(3, 5, 4), (3, 1, 1), (1, 1, 1)])
def test_loss_is_that_of_plain_loops(eight_bits: Tensor, shape: tuple[int, ...]) -> None:
    canvas = 2 * torch.randn(4, 3, 5, 4, dtype=torch.float64)
    log_scale = torch.randn(shape, dtype=torch.float64) - 1.5
    ours = discretized_logistic_loss(canvas, eight_bits, log_scale)
    scale = log_scale.expand(3, 5, 4).numpy()
    each = zip(eight_bits.numpy(), canvas.numpy(), strict=True)
    expected = torch.tensor([in_plain_loops(x, c, scale) for x, c in each], dtype=torch.float64)
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("value", [0, 1, 100, 254, 255])
@pytest.mark.parametrize("log_scale", [-6.0, -4.0, -2.0])
def test_probability_falls_on_both_sides_of_the_mean(value: int, log_scale: float) -> None:
    """The ends take a tail each: they are left out, for a wide scale they are higher."""
    mean = torch.tensor(value / 255, dtype=torch.float64)
    loss = loss_of_all_values(mean.logit().item(), log_scale)[1:255]
    steps, peak = loss.diff(), min(max(value, 1), 254) - 1
    assert loss.argmin() == peak
    assert (steps[:peak] < 0).all()
    assert (steps[peak:] > 0).all()


@pytest.mark.parametrize("value", [1, 100, 254])
def test_a_value_is_likeliest_where_the_mean_is_that_value(value: int) -> None:
    means = torch.arange(0.25, 255, 0.25, dtype=torch.float64) / 255
    canvas = means.logit().view(-1, 1, 1, 1)
    images = torch.full_like(canvas, value / 255)
    loss = discretized_logistic_loss(canvas, images, torch.full((1, 1, 1), -3.0).double())
    assert 255 * means[loss.argmin()] == pytest.approx(value)


def test_a_scale_far_below_the_width_of_a_value_is_certain_and_one_far_above_is_the_ends() -> None:
    narrow = loss_of_all_values(torch.tensor(100 / 255).double().logit().item(), -12.0)
    assert narrow[100] == pytest.approx(0, abs=1e-9)
    assert narrow[101] > 100
    wide = loss_of_all_values(0.0, 15.0)
    assert wide[[0, 255]].tolist() == pytest.approx([math.log(2)] * 2, rel=1e-6)
    assert wide[1:255].tolist() == pytest.approx([math.log(4 * 255) + 15] * 254, rel=1e-6)


def test_images_count_as_the_nearest_of_the_256_values(eight_bits: Tensor) -> None:
    canvas, log_scale = torch.randn_like(eight_bits), torch.full((1, 1, 1), -2.0).double()
    exact = discretized_logistic_loss(canvas, eight_bits, log_scale)
    off = (eight_bits + 0.8 * (torch.rand_like(eight_bits) - 0.5) / 255).clamp(0, 1)
    assert torch.equal(discretized_logistic_loss(canvas, off, log_scale), exact)


# Numbers


@canvases
@scales
def test_float32_and_its_gradients_are_finite(logit: float, log_scale: float) -> None:
    images = (torch.arange(256) / 255).view(256, 1, 1, 1)
    canvas = torch.full_like(images, logit).requires_grad_()
    scale = torch.full((1, 1, 1), log_scale, requires_grad=True)
    loss = discretized_logistic_loss(canvas, images, scale)
    assert loss.isfinite().all()
    for gradient in torch.autograd.grad(loss.sum(), (canvas, scale)):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("logit", CANVASES)
@pytest.mark.parametrize("log_scale", [-7.0, -5.5, -2.0, 0.0, 4.0, 20.0])
def test_float32_is_float64(logit: float, log_scale: float) -> None:
    rounded = loss_of_all_values(logit, log_scale, torch.float32)
    exact = loss_of_all_values(logit, log_scale)
    torch.testing.assert_close(rounded.double(), exact, rtol=2e-6, atol=5e-4)


@pytest.mark.parametrize("shape", [(3, 2, 2), (3, 1, 1)])
def test_gradients_are_those_of_differences(shape: tuple[int, ...]) -> None:
    images = torch.tensor([0, 1, 7, 130, 254, 255]).repeat(4).view(2, 3, 2, 2).double() / 255
    canvas = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    log_scale = (torch.randn(shape, dtype=torch.float64) - 2).requires_grad_()

    def loss(canvas: Tensor, log_scale: Tensor) -> Tensor:
        return discretized_logistic_loss(canvas, images, log_scale)

    assert torch.autograd.gradcheck(loss, (canvas, log_scale))


def test_bfloat16_rounds_nothing_of_it(eight_bits: Tensor) -> None:
    images, canvas = eight_bits.float(), 2 * torch.randn(4, 3, 5, 4)
    log_scale = torch.full((3, 1, 1), -3.0)
    expected = discretized_logistic_loss(canvas, images, log_scale)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = discretized_logistic_loss(canvas, images, log_scale)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)
    rounded = canvas.bfloat16()
    loss = discretized_logistic_loss(rounded, images.bfloat16(), log_scale)
    expected = discretized_logistic_loss(rounded.float(), images, log_scale)
    assert torch.equal(loss, expected)


# Bits per dimension


def test_uniform_values_are_8_bits() -> None:
    assert bits_per_dimension(60 * math.log(256), 60) == pytest.approx(8)


def test_no_scale_takes_uniform_values_below_8_bits_and_the_best_comes_close() -> None:
    bits = [
        bits_per_dimension(loss_of_all_values(0.0, log_scale).mean().item(), 1)
        for log_scale in torch.linspace(-6, 6, 200).tolist()
    ]
    assert 8 < min(bits) < 8.3


def test_bits_are_only_for_the_logistic() -> None:
    assert in_bits(LOGISTIC.model, 30 * math.log(256)) == pytest.approx(8)
    assert in_bits(LOGISTIC.model, None) is None
    assert in_bits(TINY.model, 30 * math.log(256)) is None


@pytest.mark.parametrize("binarization", get_args(Binarization))
def test_words_for_bernoulli_pixels_know_no_bits(binarization: Binarization) -> None:
    words = meaning(TINY.model, binarization)
    assert "Bernoulli" in words
    assert "bits" not in words
    assert ("cross-entropy, no likelihood" in words) == (binarization == "none")
    assert "bits per dimension" in meaning(LOGISTIC.model, "none")


# The model


@pytest.fixture
def model(random_model) -> DRAW:
    return random_model(
        rows=5, columns=4, channels=3, glimpses=3, hidden_size=4, latent_size=3,
        likelihood="logistic",
    )  # fmt: skip


def test_only_the_reconstruction_differs_and_either_kernel_runs(
    model: DRAW, backend: str, random_batch
) -> None:
    assert model.choice.name == backend
    other = DRAW(dataclasses.replace(model.config, likelihood="bernoulli")).double()
    other.backend = backend
    assert other.choice.name == backend
    weights = model.state_dict()
    log_scale = weights.pop("likelihood.log_scale")
    other.load_state_dict(weights)  # and has no more
    images, noise = random_batch(model)
    ours, bernoulli = model(images, noise), other(images, noise)
    for name in ("canvas", "kl"):
        assert torch.equal(getattr(ours, name), getattr(bernoulli, name))
    expected = discretized_logistic_loss(ours.canvas, images, log_scale)
    torch.testing.assert_close(ours.reconstruction, expected)
    torch.testing.assert_close(ours.bound, expected + ours.kl.sum(1))
    torch.testing.assert_close(
        ours.log_weight - bernoulli.log_weight, bernoulli.reconstruction - expected
    )
    for draw in (lambda m: m.generate(2, noise=noise), lambda m: m.reconstruct(images, noise)):
        assert torch.equal(draw(model).images, draw(other).images)
        assert torch.equal(draw(model).images, draw(model).canvases.sigmoid())


def test_every_parameter_is_reached(model: DRAW, random_batch) -> None:
    model(*random_batch(model)).bound.sum().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad != 0).any(), name


def test_the_likelihood_changes_no_other_starting_weight() -> None:
    models = []
    for config in (TINY.model, LOGISTIC.model):
        torch.manual_seed(4)
        models.append(DRAW(config).state_dict())
    bernoulli, logistic = models
    assert (logistic.pop("likelihood.log_scale") == START_LOG_SCALE).all()
    assert bernoulli.keys() == logistic.keys()
    assert all(torch.equal(bernoulli[name], logistic[name]) for name in bernoulli)


def test_saved_and_loaded(model: DRAW, tmp_path: Path, no_network: None) -> None:
    model.float().save_pretrained(tmp_path)
    loaded = DRAW.from_pretrained(tmp_path)
    assert loaded.config == model.config
    assert torch.equal(loaded.likelihood.log_scale, model.likelihood.log_scale)


def test_a_config_from_before_is_bernoulli() -> None:
    values = dataclasses.asdict(TINY.model)
    del values["likelihood"]
    assert DRAWConfig(**values) == TINY.model


# Runs


def fresh(run: Path, **train: object) -> Trainer:
    return start(with_train(LOGISTIC, **train), run, TRAINING, VALIDATION)


def test_training_lowers_the_bound_and_moves_the_scale(tmp_path: Path) -> None:
    trainer = fresh(tmp_path / "run", steps=60, evaluate_every=30)
    trainer.fit()
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl")
    bounds = [line["bound"] for line in lines]
    assert np.mean(bounds[-5:]) < bounds[0] - 0.5
    for line in lines:
        bits = line["bound"] / (30 * math.log(2))
        assert line["bits_per_dimension"] == pytest.approx(bits)
    assert "bits per dimension" in trainer.text
    for weights in (trainer.bare_model, trainer.average.module):
        assert (weights.likelihood.log_scale - START_LOG_SCALE).abs().min() > 1e-3


def test_interrupted_and_resumed_ends_with_the_same_bits(tmp_path: Path) -> None:
    fresh(tmp_path / "straight").fit()
    run = tmp_path / "run"
    trainer = fresh(run)
    one_step = trainer._one_step

    def watched() -> bool:
        trainer.stop_asked = trainer.step == 4
        return one_step()

    trainer._one_step = watched  # type: ignore[method-assign]
    with pytest.raises(Interruption):
        trainer.fit()
    resume(resumed_config(run), run, TRAINING, VALIDATION).fit()
    straight, resumed = (
        load_tensors(checkpoints(folder)[-1])[0] for folder in (tmp_path / "straight", run)
    )
    assert "model.likelihood.log_scale" in straight
    assert straight.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())
    best = load_model(str(run)).model
    assert best.config.likelihood == "logistic"
    assert (best.likelihood.log_scale != START_LOG_SCALE).all()


def test_a_run_stays_with_its_likelihood(tmp_path: Path) -> None:
    fresh(tmp_path / "run")
    with pytest.raises(DrawError, match=r"model\.likelihood is 'logistic' .* got 'bernoulli'"):
        resumed_config(tmp_path / "run", TINY)


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_binary_pixels_are_refused_before_anything_is_written(tmp_path: Path, kind: str) -> None:
    data = dataclasses.replace(LOGISTIC.data, binarize="dynamic" if kind == "dynamic" else "none")
    training = image_set(10, binary=kind == "static")
    with pytest.raises(DrawError, match=r"expected images of 256 values.*likelihood bernoulli"):
        start(dataclasses.replace(LOGISTIC, data=data), tmp_path / "run", training, VALIDATION)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("binarization", get_args(Binarization))
def test_binary_pixels_are_the_bernoullis(binarization: Binarization) -> None:
    check_pixels(TINY.model, binarization, source="anywhere")


def test_evaluation_has_both_bounds_in_bits() -> None:
    torch.manual_seed(3)
    model, images = DRAW(LOGISTIC.model), image_set(5).images
    result = evaluate(model, images, importance_samples=3)
    scale = 30 * math.log(2)
    assert result.bits_per_dimension == pytest.approx(result.bound / scale)
    assert result.importance_weighted is not None
    assert result.importance_weighted_bits_per_dimension == pytest.approx(
        result.importance_weighted / scale
    )
    assert "importance_weighted_bits_per_dimension" not in evaluate(model, images).to_dict()
    bernoulli = evaluate(DRAW(TINY.model), images, importance_samples=3).to_dict()
    assert not [name for name in bernoulli if "bits" in name]


# The command line


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures of 256 values, and with some of two."""
    place = tmp_path_factory.mktemp("likelihood")
    random = np.random.default_rng(0)
    for folder, highest in (("grey", 256), ("black-and-white", 2)):
        (place / folder).mkdir()
        for i in range(12):
            pixels = random.integers(0, highest, (6, 6)) * (255 if highest == 2 else 1)
            Image.fromarray(pixels.astype(np.uint8)).save(place / folder / f"{i}.png")
    return place


def trained(place: Path, likelihood: str, *more: str, check: int = 0) -> str:
    done = draw_command(
        "train", "images", "--data.path", "grey", "--data.size", "6", "--data.mode", "grey",
        *TINY_DIGITS, "--data.cache-dir", str(place / "cache"), "--train.steps", "3",
        "--model.likelihood", likelihood, "--out", likelihood, *more, cwd=place, check=check,
    )  # fmt: skip
    return done.stdout + done.stderr


def measured(place: Path, run: str) -> tuple[str, dict[str, object]]:
    command = ["evaluate", run, "--importance-samples", "2", "--json", f"{run}.json"]
    said = draw_command(*command, cwd=place).stdout + draw_command("info", run, cwd=place).stdout
    return said, json.loads((place / f"{run}.json").read_text())


def test_logistic_from_the_command_line(place: Path) -> None:
    said = trained(place, "logistic", "--json", "result.json")
    assert "8-bit pixels, discretized logistic likelihood: nats, and bits per dimension" in said
    assert re.search(r"train 3/3 .* nats, [\d.]+ bits per dimension", said)
    assert re.search(r"test bound .*\n= [\d.]+ bits per dimension\n", said)
    lines = read_metrics(place / "logistic" / "metrics.jsonl")
    assert all(line["bits_per_dimension"] > 0 for line in lines)
    result = json.loads((place / "result.json").read_text())
    assert result["test"]["bits_per_dimension"] == lines[-1]["bits_per_dimension"]

    said, values = measured(place, "logistic")
    assert values["likelihood"] == "logistic"
    scale = 36 * math.log(2)
    assert values["bits_per_dimension"] == pytest.approx(values["bound"] / scale)
    for name in ("bits_per_dimension", "importance_weighted_bits_per_dimension"):
        assert f"{values[name]:.4f}" in said
    for words in ("model.likelihood", "nats per image, and bits per dimension"):
        assert words in said
    assert "validation_bits_per_dimension" in said

    for more in (["--data.path", "black-and-white"], ["--data.binarize", "dynamic"]):
        said = trained(place, "logistic", *more, "--out", "other", check=1)
        assert "expected images of 256 values" in said
        assert not (place / "other").exists()
    command = ["evaluate", "logistic", "--data.path", "black-and-white"]
    done = draw_command(*command, cwd=place, check=1)
    assert "expected images of 256 values" in done.stderr


def test_no_word_of_bits_for_bernoulli_pixels(place: Path) -> None:
    said = trained(place, "bernoulli", "--json", "-")
    assert "grey values: nats are a cross-entropy, no likelihood" in said
    more, values = measured(place, "bernoulli")
    assert "cross-entropy, no likelihood" in more
    assert values["likelihood"] == "bernoulli"
    files = [path for path in (place / "bernoulli").rglob("*") if path.is_file()]
    texts = [path.read_text() for path in files if path.suffix in (".json", ".jsonl")]
    assert len(texts) >= 3
    for text in (said, more, json.dumps(values), *texts):
        assert not re.search(r"\bbits|bits[ _]per|bpd", text, re.IGNORECASE)
