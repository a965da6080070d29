"""Parts of somebody's own that do more than the package's: dropout, weights of the encoder."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from draw import DRAW, DRAWConfig
from draw.attention import ATTENTIONS, SAMPLERS, GaussianSampler
from draw.config.run import Config
from draw.errors import DrawError, KernelArgumentError
from draw.kernels import BACKENDS
from draw.measure.bound import evaluate
from draw.models.storage import load_model
from draw.parts.conditions.known import check_sum_over_pixels
from draw.parts.distribution import Gaussian
from draw.parts.likelihood import LIKELIHOODS
from draw.parts.priors import PRIORS
from draw.parts.priors.standard import StandardPrior
from draw.runs.checkpoint import checkpoints, load_tensors
from draw.training.learning import freeze_decoder
from draw.training.start import resume, start
from running import (
    TINY,
    TINY_DIGITS,
    TINY_MODEL,
    draw_command,
    image_set,
    train_until,
    with_train,
)

pytestmark = pytest.mark.usefixtures("without_shape_checks")

SETS = image_set(10), image_set(7, "validation", seed=1)


class Dropped(nn.Module):
    """A learned prior with dropout and statistics of the batch: another thing in training."""

    description = "a prior with dropout"

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(config.hidden_size, 8), nn.BatchNorm1d(8), nn.Dropout(0.5),
            nn.Linear(8, 2 * config.latent_size),
        )  # fmt: skip

    def forward(self, h_dec: Tensor) -> Gaussian:
        mu, log_sigma = self.net(h_dec).chunk(2, -1)
        return Gaussian(mu, log_sigma)


class Eye(nn.Module):
    """Attention without windows, whose reading has weights of a name that nobody knows."""

    description = "through an eye"

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()
        self.eye = nn.Linear(2 * config.rows * config.columns, 4)
        self.hand = nn.Linear(config.hidden_size, config.rows * config.columns)
        self.features, self.shape = 4, config.image_shape

    def read(self, x: Tensor, x_hat: Tensor, h_dec: Tensor) -> tuple[Tensor, None]:
        return self.eye(torch.cat([x, x_hat], 1).flatten(1)), None

    def write(self, h_dec: Tensor) -> tuple[Tensor, None]:
        return self.hand(h_dec).view(-1, *self.shape), None


@pytest.fixture(autouse=True)
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRIORS, "dropped", Dropped)
    monkeypatch.setitem(ATTENTIONS, "eye", Eye)


def with_prior(**train: object) -> Config:
    return with_train(
        dataclasses.replace(TINY, model=dataclasses.replace(TINY_MODEL, prior="dropped")), **train
    )


def test_a_part_is_evaluated_in_the_mode_of_evaluation_everywhere(tmp_path: Path) -> None:
    trainer = start(with_prior(), tmp_path / "run", *SETS)
    trainer.fit()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    measured = [line for line in map(json.loads, lines) if line["kind"] == "validation"]
    loaded = load_model(str(tmp_path / "run"))
    assert not any(module.training for module in loaded.model.modules())
    best = min(one["bound"] for one in measured)
    images = SETS[1].images
    with trainer.compute.products():
        assert evaluate(loaded.drawing, images).bound == pytest.approx(best, rel=1e-5)
    model = loaded.drawing.train()
    seen = model.get_buffer("prior.net.1.num_batches_tracked").clone()
    found = evaluate(model, images, importance_samples=2)
    assert found == evaluate(model, images, importance_samples=2)
    assert all(module.training for module in model.modules()), "as it was before"
    assert torch.equal(model.get_buffer("prior.net.1.num_batches_tracked"), seen)
    again = load_model(str(tmp_path / "run")).drawing
    one, other = again.generate(2, seed=1), again.generate(2, seed=1)
    assert torch.equal(one.images, other.images)
    assert seen > 0


def test_a_resumed_run_draws_the_same_random_numbers(tmp_path: Path) -> None:
    ends = []
    for name, stops in (("whole", False), ("twice", True)):
        trainer = start(with_prior(steps=6), tmp_path / name, *SETS)
        if stops:
            train_until(trainer, 3)
            trainer.lock.release()
            torch.manual_seed(99)
            resume(trainer.config, tmp_path / name, *SETS).fit()
        else:
            trainer.fit()
        ends.append(load_tensors(checkpoints(tmp_path / name)[-1])[0])
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_the_encoder_of_a_part_is_trained_alone_whatever_its_name(tmp_path: Path) -> None:
    model = dataclasses.replace(TINY_MODEL, attention="eye", read_size=1, write_size=1)
    before = tmp_path / "before"
    start(dataclasses.replace(TINY, model=model), before, *SETS).fit()
    after = with_train(
        dataclasses.replace(TINY, model=model), only="encoder", start_from=str(before)
    )
    trainer = start(after, tmp_path / "after", *SETS)
    was = {name: value.clone() for name, value in trainer.bare_model.named_parameters()}
    train_until(trainer, 3)
    moved = {
        name
        for name, value in trainer.bare_model.named_parameters()
        if not torch.equal(value, was[name])
    }
    assert {"attention.eye.weight", "attention.eye.bias", "mu.weight"} <= moved
    assert not {name for name in moved if name.startswith(("attention.hand", "lstm_dec"))}


def test_a_script_that_adds_a_part_trains_it_by_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line in one table, a window too; its name is among those that a wrong one is told."""
    monkeypatch.setitem(SAMPLERS, "own", type("Own", (GaussianSampler,), {}))
    flags = [*TINY_DIGITS, "--train.steps", "2", "--model.attention", "own", "--out", "run"]
    made = draw_command("train", "digits", *flags, cwd=tmp_path, program="own.py")
    said = made.stdout.partition("next ")[2]
    assert said.split("\n")[0].strip() == "python own.py sample run --nearest"
    assert "python own.py train --resume run --train.steps 4" in said
    assert "draw " not in said.replace("own.py", "")
    assert (
        json.loads((tmp_path / "run" / "run.json").read_text())["config"]["model"]["attention"]
        == "own"
    )
    wrong = ["--model.attention", "owm"]
    refused = draw_command("train", "digits", *wrong, cwd=tmp_path, check=2)
    assert "'own'" in refused.stdout + refused.stderr
    monkeypatch.delitem(SAMPLERS, "own")  # as for the command draw itself
    for verb in (["info", "run"], ["train", "--resume", "run", "--train.steps", "3"]):
        unknown = draw_command(*verb, cwd=tmp_path, check=1)
        assert "'own'; one of your own is known to the script that adds it" in unknown.stderr


def test_a_backend_of_a_script_can_be_asked_for_everywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(BACKENDS, "own", BACKENDS["reference"])
    DRAW(TINY_MODEL).save_pretrained(tmp_path / "model")
    draw_command("info", "model", "--backend", "own", cwd=tmp_path)


def test_a_frozen_weight_stays_frozen_in_an_encoder() -> None:
    model = DRAW(TINY_MODEL)
    model.attention.register_parameter("extra", nn.Parameter(torch.ones(2), requires_grad=False))
    for _ in range(2):
        freeze_decoder(model)
    assert not model.get_parameter("attention.extra").requires_grad
    assert model.mu.weight.requires_grad
    assert not model.lstm_dec.weight_ih.requires_grad


def test_a_window_is_in_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SAMPLERS, "own", type("Own", (GaussianSampler,), {}))
    model = DRAW(dataclasses.replace(TINY_MODEL, attention="own"))
    assert type(model.attention.reader).__name__ == "Own"


@pytest.mark.parametrize("name", ["weight", "view"])
def test_weights_in_one_place_are_not_saved(name: str, tmp_path: Path) -> None:
    model = DRAW(TINY_MODEL)
    if name == "weight":
        model.log_sigma.weight = model.mu.weight
    else:
        both = torch.randn(2, *model.mu.weight.shape)
        model.mu.weight, model.log_sigma.weight = map(nn.Parameter, both)
    with pytest.raises(DrawError, match=r"got (mu|log_sigma)\.weight and .* in one place"):
        model.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model" / "model.safetensors").exists()


class Columns(nn.Module):
    """Bernoulli pixels that count by their column."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.linspace(0.1, 2, 5))

    def forward(self, canvas: Tensor, images: Tensor) -> Tensor:
        cost = binary_cross_entropy_with_logits(canvas, images, reduction="none")
        return (cost * self.weights).flatten(1).sum(1)


class Neighbours(nn.Module):
    """No sum over pixels: neighbours in a row cost where they differ."""

    def forward(self, canvas: Tensor, images: Tensor) -> Tensor:
        cost = binary_cross_entropy_with_logits(canvas, images, reduction="none")
        return cost.flatten(1).sum(1) + canvas.diff(dim=-1).abs().flatten(1).sum(1)


@pytest.mark.parametrize("likelihood", [Columns(), Neighbours()])
def test_a_likelihood_that_is_no_sum_over_equal_pixels_is_refused(likelihood: nn.Module) -> None:
    canvas, images = torch.randn(1, 1, 6, 5), torch.rand(1, 1, 6, 5).round()
    with pytest.raises(DrawError, match="whose parts do not add up"):
        check_sum_over_pixels(likelihood, canvas, images)


class Weighted(DRAW):
    """A loss of one's own."""

    def forward(self, *given: object, **more: object) -> object:
        output = super().forward(*given, **more)  # type: ignore[arg-type]
        return output._replace(bound=output.reconstruction + 4 * output.kl.sum(1))


def test_the_gain_of_refinement_is_of_the_bound(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = Weighted(TINY_MODEL)
    found = evaluate(model, SETS[0].images, refinement_steps=2, importance_samples=1)
    assert found.refined_bound is not None
    assert found.refined_gain == pytest.approx(found.bound - found.refined_bound, abs=1e-4)


class Shifted(StandardPrior):
    """No standard prior, though it extends it."""

    def forward(self, h_dec: Tensor) -> Gaussian:
        mu = h_dec.new_full((len(h_dec), TINY_MODEL.latent_size), 0.5)
        return Gaussian(mu, torch.zeros_like(mu))


def test_a_prior_that_extends_the_standard_one_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(PRIORS, "shifted", Shifted)
    model = DRAW(dataclasses.replace(TINY_MODEL, prior="shifted"))
    found = evaluate(model, SETS[0].images)
    assert found.foreseen_per_glimpse is not None
    assert max(found.foreseen_per_glimpse) < 0


@pytest.mark.parametrize("backend", ["cpp"], indirect=True)
def test_a_second_derivative_is_refused_with_the_way_to_it(backend: str) -> None:
    model = DRAW(TINY_MODEL)
    x = SETS[0].images[:2].astype("float32") / 255
    images, noise = torch.from_numpy(x).requires_grad_(), model.noise_for(2, 0)
    (slope,) = torch.autograd.grad(model(images, noise).bound.sum(), images, create_graph=True)
    with pytest.raises(KernelArgumentError, match=r"model\.backend = 'reference', which does"):
        slope.square().sum().backward()
    model.backend = "reference"
    (slope,) = torch.autograd.grad(model(images, noise).bound.sum(), images, create_graph=True)
    slope.square().sum().backward()
    assert images.grad is not None


@pytest.mark.usefixtures("without_shape_checks")
def test_gradients_of_each_image_by_torch_func() -> None:
    model = DRAW(TINY_MODEL)
    images = torch.from_numpy(SETS[0].images[:3]).float() / 255
    noise, parameters = model.noise_for(3, 0), dict(model.named_parameters())

    def loss(values: dict[str, Tensor], image: Tensor, its_noise: Tensor) -> Tensor:
        given = image[None], its_noise[:, None]
        return torch.func.functional_call(model, values, given).bound.sum()

    each = torch.func.vmap(torch.func.grad(loss), (None, 0, 1))(parameters, images, noise)
    model(images, noise).bound.sum().backward()
    for name, value in parameters.items():
        torch.testing.assert_close(each[name].sum(0), value.grad, rtol=1e-4, atol=1e-5)


class Total(nn.Module):
    """A likelihood that forgets that there are several images."""

    title, values = "total", 2

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()

    def forward(self, canvas: Tensor, images: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(canvas, images, reduction="sum")


class Each(Total):
    """A likelihood that forgets to sum over the pixels."""

    def forward(self, canvas: Tensor, images: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(canvas, images, reduction="none")


class Single(nn.Module):
    """A prior that forgets that there are several images."""

    description = "one for all"

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()
        self.mu = nn.Parameter(torch.ones(config.latent_size))

    def forward(self, h_dec: Tensor) -> Gaussian:
        return Gaussian(self.mu, torch.zeros_like(self.mu))


@pytest.mark.parametrize(
    ("part", "condition"),
    [(Total, "none"), (Each, "none"), (Single, "none"), (Total, "known"), (Each, "known")],
)
def test_a_part_whose_result_is_not_of_each_image_is_refused(
    part: type[nn.Module], condition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sum over the batch would be added to the bound of every image of it, without a word."""
    monkeypatch.setitem(LIKELIHOODS, "own", part)
    monkeypatch.setitem(PRIORS, "own", part)
    named = {"prior": "own"} if part is Single else {"likelihood": "own"}
    model = DRAW(dataclasses.replace(TINY_MODEL, condition=condition, **named))
    model.backend = "reference"
    images = torch.rand(2, *TINY_MODEL.image_shape).round()
    got = {
        Total: r"a loss for each of \d+ images from the likelihood Total, got \[\]; sum",
        Each: r"a loss for each of \d+ images from the likelihood Each, got \[\d+, 1, ",
        Single: r"a prior of the posterior's dimensions, .*, got one of \[",
    }[part]
    known = torch.zeros(2, *TINY_MODEL.image_shape[1:], dtype=torch.bool)
    known[:, 0] = True
    calls = [lambda: model(images, known=known if condition == "known" else None)]
    if part is not Single:
        calls.append(lambda: model.complete(images, known[0], 2))
    for call in calls:
        with pytest.raises(DrawError, match=f"expected {got}"):
            call()
