"""Labels left out in training, drawings without a class, and guidance between the two."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from draw.config.model import DRAWConfig
from draw.errors import DrawError
from draw.model.draw import DRAW
from draw.models.onnx import DRAWING_FILE, make_generator
from draw.models.storage import load_model
from draw.parts.state import NO_LABEL
from draw.studio import generation
from draw.studio.models import Catalogue, Shelf
from draw.tasks import Needs
from draw.training.feed import feed_at
from running import TINY, TINY_DIGITS, draw_command, image_set, with_normal_weights

SIZES = {
    "rows": 5, "columns": 4, "glimpses": 3, "hidden_size": 5, "latent_size": 3, "read_size": 2,
    "write_size": 2, "classes": 3,
}  # fmt: skip
NONE = torch.full((4,), NO_LABEL)


def randomised(**parts: object) -> DRAW:
    """A float64 model without a zero anywhere, on the reference or what takes it."""
    model = DRAW(DRAWConfig(**SIZES, **parts)).double()  # type: ignore[arg-type]
    return with_normal_weights(model, 0.4)


def both_kinds(prior: str = "standard") -> tuple[DRAW, DRAW]:
    """A model of both kinds of use, and the unconditional one of the same weights."""
    model = randomised(condition="class", label_dropout=0.2, prior=prior)
    alone = randomised(prior=prior)
    missing = alone.load_state_dict(model.state_dict(), strict=False)
    assert all(name.startswith("condition.") for name in missing.unexpected_keys)
    return model, alone


def inputs(model: DRAW) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(2)
    images = torch.rand(4, 1, 5, 4, generator=random, dtype=torch.float64)
    return images, torch.randn(3, 4, 3, generator=random, dtype=torch.float64)


# Training


def needs(dropout: float) -> Needs:
    return Needs((2, 3), binarize=False, labels=True, label_dropout=dropout)


def test_labels_are_left_out_by_seed_and_step_alone() -> None:
    count = 400
    images = dataclasses.replace(image_set(count), labels=np.arange(count, dtype=np.int64) % 10)
    train = dataclasses.replace(TINY.train, batch_size=count, seed=5)
    whole, again = (feed_at(7, images, needs(0.25), train, slice(0, count)) for _ in range(2))
    kept = feed_at(7, images, needs(0.0), train, slice(0, count))
    assert whole.labels is not None
    assert again.labels is not None
    assert kept.labels is not None
    assert torch.equal(whole.labels, again.labels)
    dropped = whole.labels == NO_LABEL
    assert 0.15 < dropped.float().mean() < 0.35
    assert torch.equal(whole.labels[~dropped], kept.labels[~dropped])
    assert (kept.labels >= 0).all()
    half = feed_at(7, images, needs(0.25), train, slice(count // 2, count)).labels
    assert half is not None
    assert torch.equal(half, whole.labels[count // 2 :])
    other = feed_at(8, images, needs(0.25), train, slice(0, count)).labels
    assert other is not None
    assert not torch.equal(other == NO_LABEL, dropped)


def test_dropout_changes_neither_images_nor_noise() -> None:
    images = dataclasses.replace(image_set(9), labels=np.zeros(9, np.int64))
    one, other = (feed_at(3, images, needs(p), TINY.train, slice(0, 4)) for p in (0.0, 0.9))
    assert one.noise is not None
    assert other.noise is not None
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.noise, other.noise)


def test_dropout_of_no_labels_is_refused() -> None:
    with pytest.raises(
        DrawError, match=r"model\.label_dropout to be 0 .* condition none, .* got 0\.1"
    ):
        DRAWConfig(label_dropout=0.1)


# Drawings without a class


@pytest.mark.parametrize("prior", ["standard", "learned"])
def test_without_a_class_it_is_the_unconditional_model(prior: str) -> None:
    model, alone = both_kinds(prior)
    images, noise = inputs(model)
    for labels in (None, NONE):
        for one, other in zip(model(images, noise, labels), alone(images, noise), strict=True):
            torch.testing.assert_close(one, other)
        drawn = model.reconstruct(images, noise, labels=labels).canvases
        torch.testing.assert_close(drawn, alone.reconstruct(images, noise).canvases)
    new = model.generate(4, noise=noise, labels=NONE).canvases
    torch.testing.assert_close(new, alone.generate(4, noise=noise).canvases)


def test_classes_and_none_in_one_batch() -> None:
    model, alone = both_kinds()
    always = randomised(condition="class")
    always.load_state_dict(model.state_dict())
    images, noise = inputs(model)
    labels = torch.tensor([2, NO_LABEL, 0, NO_LABEL])
    mixed = model(images, noise, labels).bound
    told = always(images, noise, labels.clamp_min(0)).bound
    torch.testing.assert_close(mixed, told.where(labels >= 0, alone(images, noise).bound))


@pytest.mark.usefixtures("without_shape_checks")
def test_a_model_that_was_always_told_cannot_do_without() -> None:
    model = randomised(condition="class")
    images, noise = inputs(model)
    with pytest.raises(DrawError, match=r"got -1 for none: .* --model\.label-dropout"):
        model(images, noise, NONE)
    with pytest.raises(DrawError, match="expected labels, a whole number"):
        model(images, noise)
    with pytest.raises(DrawError, match=r"expected labels from 0 to 2 \(or none, .* -1\), got -2"):
        both_kinds()[0](images, noise, NONE - 1)


# Guidance


@pytest.mark.parametrize("prior", ["standard", "learned"])
def test_the_canvas_goes_beyond_that_of_the_told_decoder(prior: str) -> None:
    """Both decoders draw from the same codes, which are those of the told one's prior."""
    model, alone = both_kinds(prior)
    _, noise = inputs(model)
    labels = torch.tensor([2, 0, 1, 2])
    told = model.generate(4, noise=noise, labels=labels)
    state, codes = model.initial_state(4), []
    for noise_t in noise:
        codes.append(model.prior(state.h_dec).sample(noise_t))
        state, _ = model.generate_step(noise_t, state, model.context(labels, 4))
    state, canvases = alone.initial_state(4), []
    for z in codes:
        same = alone.prior(state.h_dec).noise_of(z)
        state, _ = alone.generate_step(same, state)
        canvases.append(state.canvas)
    untold = torch.stack(canvases)
    for guidance in (0.0, 0.5, 1.0, 2.5):
        drawn = model.generate(4, noise=noise, labels=labels, guidance=guidance)
        expected = untold + guidance * (told.canvases - untold)
        torch.testing.assert_close(drawn.canvases, expected)
    assert drawn.write_windows is not None
    assert told.write_windows is not None
    torch.testing.assert_close(drawn.write_windows.numbers, told.write_windows.numbers)


def test_for_bernoulli_pixels_it_is_the_product_of_powers() -> None:
    """log p~ = s log D(x | C) + (1 - s) log D(x | U) up to what does not depend on x."""
    model, _ = both_kinds()
    _, noise = inputs(model)
    told, untold, guided = (
        model.generate(4, noise=noise, labels=labels, guidance=s).canvases[-1, 0]
        for labels, s in ((torch.ones_like(NONE), 1.0), (NONE, 1.0), (torch.ones_like(NONE), 3.0))
    )
    pictures = torch.randint(2, (50, 1, 5, 4), generator=torch.Generator().manual_seed(1)).double()

    def log_d(canvas: Tensor) -> Tensor:
        many = canvas.expand(50, -1, -1, -1)
        cost = binary_cross_entropy_with_logits(many, pictures, reduction="none")
        return -cost.flatten(1).sum(1)

    rest = log_d(guided) - 3 * log_d(told) + 2 * log_d(untold)
    torch.testing.assert_close(rest, rest[:1].expand(50))


@pytest.mark.parametrize("guidance", [-0.1, float("nan"), float("inf")])
def test_guidance_without_meaning_is_refused(guidance: float) -> None:
    with pytest.raises(DrawError, match="expected a guidance of at least 0"):
        both_kinds()[0].generate(4, guidance=guidance)


def test_guidance_where_no_class_is_told_is_refused() -> None:
    """Both decoders would be told the same, and guidance have no effect."""
    model, _ = both_kinds()
    with pytest.raises(DrawError, match=r"drawings of a class for a guidance of 3, got none"):
        model.generate(4, guidance=3.0, labels=NONE)
    mixed = torch.tensor([0, NO_LABEL, 1, NO_LABEL])
    guided, plain = (model.generate(4, guidance=s, labels=mixed).canvases for s in (3.0, 1.0))
    torch.testing.assert_close(guided[:, 1], plain[:, 1])
    assert not torch.allclose(guided[:, 0], plain[:, 0])


@pytest.mark.parametrize("parts", [{}, {"condition": "class"}])
def test_guidance_of_a_model_that_did_not_learn_for_it_is_refused(parts: dict[str, str]) -> None:
    with pytest.raises(DrawError, match=r"expected a guidance of 1 .*got 2\.0: .*label-dropout"):
        randomised(**parts).generate(4, guidance=2.0)


# Everywhere


@pytest.mark.slow
@pytest.mark.usefixtures("without_shape_checks")
def test_every_use(tmp_path: Path) -> None:
    draw_command(
        "train", "digits", "--out", "runs/one", *TINY_DIGITS, "--train.steps", "3",
        "--model.condition", "class", "--model.label-dropout", "0.3", "--data.cache-dir", "cache",
        cwd=tmp_path,
    )  # fmt: skip
    for verb in (
        ("sample", "--label", "7", "--guidance", "1.5", "--out", "a.png", "--json", "a.json"),
        ("sample", "--label", "none", "--out", "b.png"),
        ("animate", "--n", "2", "--label", "7", "--guidance", "2", "--out", "c.gif"),
        ("evaluate",),
    ):
        draw_command(verb[0], "runs/one", *verb[1:], cwd=tmp_path)
    assert json.loads((tmp_path / "a.json").read_text())["guidance"] == 1.5
    failed = draw_command("sample", "runs/one", "--guidance", "-1", cwd=tmp_path, check=1)
    assert "expected --guidance to be" in failed.stderr
    model = load_model(str(tmp_path / "runs/one")).drawing
    session = onnxruntime.InferenceSession(make_generator(model).files[DRAWING_FILE])
    noise, labels = model.noise_for(2, 3), torch.tensor([NO_LABEL, 4])
    fed = {"z": noise.numpy(), "labels": labels.numpy()}
    drawn = model.generate(2, noise=noise, labels=labels).canvases
    np.testing.assert_allclose(session.run(["canvases"], fed)[0], drawn, rtol=1e-3, atol=1e-3)
    shelf = Shelf(Catalogue(None, tmp_path / "runs"))
    assert generation.guides(shelf, "runs/one")
    asked = generation.request("runs/one", 6, 1, 1.0, 7, 1.5)
    parts = [*generation.generate(shelf, asked)][-1].parts
    assert sum(part["count"] for part in parts) == 6
    whole = generation.trajectory(shelf, asked).canvases
    seven = torch.full((6,), 7)
    torch.testing.assert_close(
        whole, model.generate(6, seed=1, labels=seven, guidance=1.5).canvases
    )
