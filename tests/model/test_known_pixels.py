"""A model that is told the known pixels of what it is to draw: P(x_hidden | x_known)."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from draw.config.model import DRAWConfig
from draw.errors import DrawError
from draw.model.draw import DRAW
from draw.parts.conditions.known import BLANK_SHARE, hidden_loss, random_masks
from draw.parts.likelihood import make_likelihood
from draw.tasks import Needs
from draw.training.feed import Batcher, feed_at
from draw.training.start import start
from draw.visualize import training_curves
from draw.visualize.completions import half_mask
from running import TINY, TINY_DIGITS, draw_command, image_set, with_normal_weights, with_train

TOLD = DRAWConfig(
    rows=5, columns=4, glimpses=2, hidden_size=5, latent_size=2, read_size=2, write_size=3,
    condition="known",
)  # fmt: skip
LEFT = half_mask("left", (1, 5, 4))


def randomised(config: DRAWConfig = TOLD, scale: float = 0.6) -> DRAW:
    return with_normal_weights(DRAW(config), scale).requires_grad_(False)


def inputs(batch: int = 3, channels: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Images, noise and a mask of each image."""
    random = torch.Generator().manual_seed(3)
    images = torch.randint(2, (batch, channels, 5, 4), generator=random).float()
    noise = torch.randn(2, batch, 2, generator=random)
    return images, noise, torch.rand(batch, 5, 4, generator=random) < 0.5


# What is told


def test_hidden_pixels_are_not_told_and_known_ones_are() -> None:
    model, (x, _, known) = randomised(), inputs()
    told = model.known_context(x, known)
    for one, same in zip(
        told, model.known_context(x.where(known[:, None], 1 - x), known), strict=True
    ):
        assert torch.equal(one, same)
    for one, other in zip(told, model.known_context(1 - x, known), strict=True):
        assert (one != other).any(1).all()
    for one, other in zip(told, model.known_context(x, ~known), strict=True):
        assert (one != other).any(1).all()


def test_that_a_pixel_is_black_is_more_than_nothing() -> None:
    model, (x, _, known) = randomised(), inputs()
    black = torch.zeros_like(x)
    for one, other in zip(
        model.known_context(black, known),
        model.known_context(black, torch.zeros_like(known)),
        strict=True,
    ):
        assert (one != 0).any(1).all()
        assert torch.equal(other, torch.zeros_like(other))


def test_where_nothing_is_known_it_is_the_paper_s_model() -> None:
    model, (x, noise, known) = randomised(), inputs()
    plain = DRAW(dataclasses.replace(TOLD, condition="none")).requires_grad_(False)
    plain.load_state_dict(
        {name: one for name, one in model.state_dict().items() if "condition" not in name}
    )
    for found in (model(x, noise), model(x, noise, known=torch.zeros_like(known))):
        torch.testing.assert_close(found.bound, plain(x, noise).bound)
    assert torch.equal(model.generate(3, seed=2).images, plain.generate(3, seed=2).images)


def test_training_begins_at_the_paper_s_model() -> None:
    torch.manual_seed(0)
    told, (x, _, known) = DRAW(TOLD), inputs()
    context = told.known_context(x, known)
    assert not any(one.any() for one in context if one is not None)


# What is learned


@pytest.mark.parametrize("likelihood", ["bernoulli", "logistic"])
@pytest.mark.parametrize("channels", [1, 3])
def test_hidden_pixels_alone_are_counted(likelihood: str, channels: int) -> None:
    """By the likelihood of images that have no other pixels."""
    config = dataclasses.replace(TOLD, likelihood=likelihood, channels=channels)
    loss, (x, _, known) = make_likelihood(config).double(), inputs(channels=channels)
    x = (0.8 * x + 0.1).double()
    canvas = torch.randn(x.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    found = hidden_loss(loss, canvas, x, known)
    for i, mask in enumerate(~known):
        only = loss(canvas[i : i + 1, :, mask][:, :, None], x[i : i + 1, :, mask][:, :, None])
        torch.testing.assert_close(found[i : i + 1], only)


def test_known_pixels_cost_no_digits_of_the_hidden_ones() -> None:
    """Sharp pixels cost much where they are far off: nothing of that is added and taken off."""
    config = dataclasses.replace(TOLD, rows=32, columns=32, likelihood="logistic", channels=3)
    random = torch.Generator().manual_seed(5)
    x = (255 * torch.rand(1, 3, 32, 32, generator=random)).round() / 255
    canvas = x.clamp(0.02, 0.98).logit() + 0.3 * torch.randn(x.shape, generator=random)
    known = torch.rand(1, 32, 32, generator=random) < 0.98
    found = []
    for dtype in (torch.float32, torch.float64):
        loss = make_likelihood(config).to(dtype)
        for parameter in loss.parameters():
            parameter.requires_grad_(False).fill_(-7.0)
        found.append(float(hidden_loss(loss, canvas.to(dtype), x.to(dtype), known)))
    assert found[0] == pytest.approx(found[1], rel=2e-6)


@pytest.mark.parametrize("likelihood", ["bernoulli", "logistic"])
def test_training_says_that_it_counts_hidden_pixels(
    likelihood: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bits are of the pixels that were counted, and curves tell the two bounds apart."""
    kind = dataclasses.replace(TINY.model, condition="known", likelihood=likelihood)
    config, grey = with_train(TINY, steps=4, log_every=2), image_set(10)
    config = dataclasses.replace(config, model=kind)
    if likelihood == "logistic":
        noise = np.random.default_rng(0).integers(0, 256, grey.images.shape, np.uint8)
        grey = dataclasses.replace(grey, images=noise)
    start(config, tmp_path / "run", grey, grey).fit()
    text = (tmp_path / "run" / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    training = [line for line in lines if line["kind"] == "train"]
    assert len(training) == 2
    pixels = math.prod(kind.image_shape)
    for line in training:
        assert 0.2 < line["hidden_share"] < 1
        if likelihood == "logistic":
            counted = pixels * line["hidden_share"]
            assert line["bits_per_dimension"] == pytest.approx(
                line["bound"] / counted / math.log(2)
            )
    for line in lines:
        if line["kind"] == "validation":
            assert "hidden_share" not in line
            if likelihood == "logistic":
                assert line["bits_per_dimension"] == pytest.approx(
                    line["bound"] / pixels / math.log(2)
                )
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    training_curves(lines, tmp_path / "curves.png")
    bound = figures[0].axes[0]
    labels = [line.get_label() for line in bound.lines]
    assert "training, hidden pixels alone" in labels
    if likelihood == "logistic":
        (bits,) = bound.child_axes
        measured = next(line for line in lines if line["kind"] == "validation")
        there = bits._functions[0](measured["bound"])
        assert there == pytest.approx(measured["bits_per_dimension"])


class Scaled(nn.Module):
    """Bernoulli pixels, of which some count for more than others."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.5, 2, 20).view(5, 4))

    def forward(self, canvas: Tensor, images: Tensor) -> Tensor:
        cost = binary_cross_entropy_with_logits(canvas, images, reduction="none")
        return (self.scale * cost).flatten(1).sum(1)


@pytest.mark.usefixtures("without_shape_checks")
def test_a_likelihood_that_differs_by_pixel_is_refused() -> None:
    """Of the known pixels' share of it nothing could be taken off."""
    model, (x, noise, known) = randomised(), inputs()
    model.likelihood = Scaled()
    assert model(x, noise).bound.isfinite().all()
    with pytest.raises(DrawError, match="the same at all of them, got Scaled"):
        model(x, noise, known=known)
    with pytest.raises(DrawError, match="got Scaled"):
        model.complete(x, known, 1)


def test_the_bound_is_one_on_the_hidden_given_the_known() -> None:
    """Above -log p(x_hidden | x_known), which enough codes of the prior come near to."""
    model, (x, _, known) = randomised(scale=0.8), inputs(2)
    with torch.no_grad():
        for affine in (model.mu, model.log_sigma):
            for parameter in affine.parameters():
                parameter *= 0.2
    random = torch.Generator().manual_seed(5)
    noises = torch.randn(150, 2, 2, 2, generator=random)
    bound = torch.stack([model(x, noise, known=known).bound for noise in noises]).mean(0)
    for i in range(2):
        context = model.known_context(x[i : i + 1], known[i : i + 1])
        many = type(context)(*(one.expand(5_000, -1) for one in context))  # type: ignore[union-attr]
        noise = torch.randn(2, 5_000, 2, generator=random)
        canvas = model.trajectory(None, noise, many).canvases[-1]
        cost = binary_cross_entropy_with_logits(canvas, x[i].expand_as(canvas), reduction="none")
        hidden = cost[:, 0][:, ~known[i]].sum(1).double()
        truth = math.log(5_000) - float((-hidden).logsumexp(0))
        assert truth - 0.05 < float(bound[i]) < truth + 6


@pytest.mark.parametrize("backend", ["reference", "cpp"])
def test_backends_and_dropout_take_it(backend: str) -> None:
    config = dataclasses.replace(TOLD, hidden_size=18, latent_size=5)
    model = randomised(config, 0.3)
    model.backend = backend
    random = torch.Generator().manual_seed(3)
    x, _, known = inputs()
    noise = torch.randn(2, 3, 5, generator=random)
    found = model(x, noise, known=known)
    model.backend = "reference"
    for one, other in zip(found, model(x, noise, known=known), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    everything = model(x, noise, known=known, unit_mask=torch.ones(3, 18))
    torch.testing.assert_close(everything.bound, found.bound, rtol=1e-4, atol=1e-4)


def test_masks_of_all_kinds() -> None:
    masks = random_masks(np.random.default_rng(1), 4000, 12, 10)
    nothing = ~masks.reshape(4000, -1).any(1)
    assert BLANK_SHARE < nothing.mean() < BLANK_SHARE + 0.08  # a few of the others know none
    assert 0.35 < masks.mean() < 0.55
    for half in ("left", "right", "top", "bottom"):
        known = half_mask(half, (1, 12, 10)).numpy()  # type: ignore[arg-type]
        assert (masks == known).all((1, 2)).mean() > 0.002
    assert (masks.mean(0) > 0.3).all()
    assert (masks.mean(0) < 0.6).all()


def test_masks_are_of_seed_and_step_alone() -> None:
    images = image_set(50)
    train = dataclasses.replace(TINY.train, batch_size=40, seed=3)
    needs = Needs((2, 3), binarize=False, labels=False, masks=True)

    def known(step: int, own: slice) -> Tensor:
        feed = feed_at(step, images, needs, train, own)
        found = Batcher(needs, 3, own)(feed, torch.tensor(step)).known
        assert found is not None
        return found

    whole = known(4, slice(0, 40))
    assert torch.equal(whole, known(4, slice(0, 40)))
    assert torch.equal(whole[20:], known(4, slice(20, 40)))
    assert not torch.equal(whole, known(5, slice(0, 40)))
    plain = feed_at(4, images, needs._replace(masks=False), train, slice(0, 40))
    assert plain.known is None


@pytest.mark.usefixtures("without_shape_checks")
def test_training_learns_from_masks(tmp_path: Path) -> None:
    model = dataclasses.replace(TINY.model, condition="known")
    config = with_train(dataclasses.replace(TINY, model=model), steps=3)
    sets = [image_set(count, split) for count, split in ((10, "train"), (7, "validation"))]
    trainer = start(config, tmp_path / "run", *sets)
    trainer.fit()
    for name in ("enc", "dec"):
        assert trainer.bare_model.get_submodule(f"condition.{name}").weight.any()


# Completion


def test_answers_are_drawn_by_what_is_known() -> None:
    model, (x, _, known) = randomised(), inputs()
    found = model.complete(x, known, 4, seed=1)
    assert found.known_nats is None
    assert found.effective_samples is None
    for i, mask in enumerate(known):
        assert torch.equal(found.images[:, i, :, mask], x[i, :, mask].expand(4, -1, -1))
    few = model.complete(x[:2], known[:2], 2, seed=1)
    torch.testing.assert_close(few.images, found.images[:2, :2])
    other = model.complete(x.where(known[:, None], 1 - x), known, 4, seed=1)
    assert torch.equal(other.images, found.images)
    assert not torch.equal(other.hidden_nats, found.hidden_nats)
    changed = model.complete(1 - x, known, 4, seed=1).images
    for i, mask in enumerate(~known):
        assert (changed[:, i, :, mask] != found.images[:, i, :, mask]).any()


def test_answers_come_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, _, known) = randomised(), inputs()
    whole = model.complete(x, known, 5)
    monkeypatch.setattr("draw.model.completion.AT_ONCE", 2)
    parts = model.complete(x, known, 5)
    torch.testing.assert_close(parts.images, whole.images)
    torch.testing.assert_close(parts.hidden_nats, whole.hidden_nats)


def test_hidden_nats_of_particles_are_those_of_their_mixture() -> None:
    """With all particles alike it is the likelihood of the hidden half under the prior's codes."""
    model = randomised(dataclasses.replace(TOLD, condition="none"), 0.9)
    with torch.no_grad():
        for affine in (model.mu, model.log_sigma):
            for parameter in affine.parameters():
                parameter.zero_()  # Q is the prior, so that w = P(x_known | z)
    x, _, _ = inputs(2)
    found = model.complete(x, LEFT, 4, particles=2000, rounds=0, seed=1)
    canvas = model.generate(10_000, seed=5).canvases[-1]
    for image, nats in zip(x, found.hidden_nats, strict=True):
        cost = binary_cross_entropy_with_logits(canvas, image.expand_as(canvas), reduction="none")
        whole, half = (
            (-cost[:, 0][:, mask].sum(1).double()).logsumexp(0)
            for mask in (torch.ones_like(LEFT), LEFT)
        )
        assert float(nats) == pytest.approx(float(half - whole), abs=0.1)


@pytest.mark.parametrize("condition", ["known", "none"])
@pytest.mark.parametrize("unknown", [math.nan, -1.0, 7.0])
def test_what_is_not_known_need_not_be_a_number(condition: str, unknown: float) -> None:
    """As people mark what they do not have; then it has no price either."""
    model, (x, _, known) = randomised(dataclasses.replace(TOLD, condition=condition)), inputs()
    some = known.clone()
    some[2] = True  # of the last image all is known
    marked = x.where(some[:, None], unknown)
    found, expected = (model.complete(images, some, 2) for images in (marked, x))
    assert torch.equal(found.images, expected.images)
    assert found.hidden_nats[:2].isnan().all()
    assert torch.equal(found.hidden_nats[2:], expected.hidden_nats[2:])
    with pytest.raises(DrawError, match=r"expected images in \[0, 1\]"):
        model.complete(marked, torch.ones_like(some), 1)
    if condition == "known":
        for one, other in zip(
            model.known_context(marked, some), model.known_context(x, some), strict=True
        ):
            assert torch.equal(one, other)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("condition", ["known", "class"])
def test_images_and_labels_that_do_not_fit_are_refused(condition: str) -> None:
    model, (x, _, known) = randomised(dataclasses.replace(TOLD, condition=condition)), inputs()
    labels = torch.tensor([0, 1, 2]) if condition == "class" else None
    for wrong in (x.double(), (255 * x).byte(), x[0], x[:, :, :4], x.expand(-1, 3, -1, -1)):
        with pytest.raises(DrawError, match="expected images"):
            model.complete(wrong, known, 1, labels=labels)
    if labels is not None:
        for some in (labels[:1], torch.tensor([0, 1, 2, 2]), [0, 1, 2], None):
            with pytest.raises(DrawError, match=r"expected .*labels"):
                model.complete(x, known, 1, labels=some)
    model.mu.bias.data[0] = math.nan
    with pytest.raises(DrawError, match="finite"):
        model.complete(x, known, 1, labels=labels)


@pytest.mark.usefixtures("without_shape_checks")
def test_what_cannot_work_is_refused() -> None:
    (x, noise, known), told = inputs(), randomised()
    plain = randomised(dataclasses.replace(TOLD, condition="none"))
    with pytest.raises(DrawError, match="expected no mask for a model of condition 'none'"):
        plain(x, noise, known=known)
    for wrong in (known.float(), known[:2], known[:, :3]):
        with pytest.raises(DrawError, match=r"expected a mask of torch\.bool, .* \[3, 5, 4\], got"):
            told.known_context(x, wrong)
    for option in ({"particles": 4}, {"rounds": 0}):
        with pytest.raises(DrawError, match=f"expected no {next(iter(option))} for a model"):
            told.complete(x, known, 1, **option)
    with pytest.raises(DrawError, match="expected n to be a whole number of at least 1, got 0"):
        told.complete(x, known, 0)
    with pytest.raises(DrawError, match="expected no labels"):
        told.complete(x, known, 1, labels=torch.zeros(3, dtype=torch.int64))
    with pytest.raises(DrawError, match=r"model\.label_dropout .*condition known"):
        dataclasses.replace(TOLD, label_dropout=0.1)


@pytest.mark.usefixtures("without_shape_checks")
def test_the_verb(tmp_path: Path) -> None:
    draw_command(
        "train", "digits", "--out", "run", *TINY_DIGITS, "--train.steps", "1",
        "--data.cache-dir", "cache", "--model.condition", "known", cwd=tmp_path,
    )  # fmt: skip
    Image.new("L", (28, 28), 255).save(tmp_path / "a.png")
    draw_command(
        "complete", "run", "a.png", "--n", "2", "--out", "b.png", "--json", "b.json", cwd=tmp_path
    )
    found = json.loads((tmp_path / "b.json").read_text())
    assert found["known_pixels"] == 392
    assert "particles" not in found
    failed = draw_command("complete", "run", "a.png", "--particles", "4", cwd=tmp_path, check=1)
    assert "expected no particles" in failed.stderr
