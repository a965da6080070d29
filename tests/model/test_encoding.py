"""Posteriors, latents as a file, and pictures made a model's input."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from draw.config.data import DataConfig
from draw.config.model import ClassifierConfig, DRAWConfig
from draw.errors import DrawError
from draw.model.classifier import Classifier
from draw.model.draw import DRAW
from running import TINY_MODEL

CLASSES = DRAWConfig(
    rows=6, columns=5, glimpses=3, hidden_size=8, latent_size=4, read_size=2, write_size=3,
    condition="class", classes=3,
)  # fmt: skip
IMAGES = np.random.default_rng(1).integers(0, 256, (7, 1, 6, 5), dtype=np.uint8)
X = torch.from_numpy(IMAGES).float() / 255


@pytest.fixture(scope="module")
def model() -> DRAW:
    torch.manual_seed(0)
    return DRAW(TINY_MODEL)


def test_the_posterior_is_that_of_the_bound_and_of_the_drawing(model: DRAW) -> None:
    found = model.encode(X, seed=3)
    assert found.mu.shape == found.z.shape == (3, 7, 4)
    torch.testing.assert_close(found.kl, model(X, model.noise_for(7, 3)).kl)
    torch.testing.assert_close(found.z, found.mu + found.sigma * model.noise_for(7, 3))
    torch.testing.assert_close(found.z, model.codes(X, seed=3))  # the prior is N(0, 1)
    assert not found.mu.requires_grad


def test_latents_do_not_depend_on_the_batch_and_come_back_from_the_file(
    model: DRAW, tmp_path: Path
) -> None:
    whole = model.latents(IMAGES, labels=range(7), seed=3)
    parts = model.latents(
        X, labels=range(7), seed=3, batch_size=2, to=tmp_path / "latents.safetensors"
    )
    torch.testing.assert_close(whole.z, model.encode(X, seed=3).z.transpose(0, 1))
    with safe_open(tmp_path / "latents.safetensors", "pt") as file:
        assert {*file.keys()} == {"mu", "log_sigma", "z", "kl", "labels"}
        assert file.metadata()["seed"] == "3"
        for name, value in whole._asdict().items():
            torch.testing.assert_close(file.get_tensor(name), value)
            torch.testing.assert_close(getattr(parts, name), value)


def test_a_class_conditional_model_is_told_the_classes() -> None:
    model = DRAW(CLASSES)
    labels = torch.arange(7) % 3
    torch.testing.assert_close(
        model.latents(IMAGES, labels=labels).mu[:, 1:],
        model.encode(X, labels=labels).mu.transpose(0, 1)[:, 1:],
    )
    with pytest.raises(DrawError, match="expected labels"):
        model.latents(IMAGES)


@pytest.mark.parametrize(
    ("images", "options", "says"),
    [
        (IMAGES, {"to": "latents.pt"}, "ends in .safetensors, got 'latents.pt'"),
        (IMAGES, {"batch_size": 0}, "batch_size to be a whole number of at least 1, got 0"),
        (IMAGES[:, :, 1:], {}, r"images of \[1, 6, 5\].*got 7 of \[1, 5, 5\]"),
        (IMAGES[:0], {}, "got 0 of"),
        (255 * X, {}, "divide 8-bit"),
        (None, {}, "does not say what it was trained on"),
        ("pictures", {"labels": [1]}, "expected no labels with a folder"),
    ],
)
def test_what_has_no_latents_is_refused(model: DRAW, images, options, says: str) -> None:
    with pytest.raises(DrawError, match=says):
        model.latents(images, **options)


def test_every_form_of_a_picture_comes_to_the_same_input(model: DRAW, tmp_path: Path) -> None:
    picture = Image.fromarray(IMAGES[0, 0])
    picture.save(tmp_path / "picture.png")
    forms = [
        tmp_path / "picture.png", str(tmp_path / "picture.png"), picture, picture.convert("RGB"),
        IMAGES[0], IMAGES[0, 0], X[0], X[0, 0].numpy(),
    ]  # fmt: skip
    for form in forms:
        torch.testing.assert_close(model.preprocess(form), X[:1])
    torch.testing.assert_close(model.preprocess(forms), X[:1].expand(8, -1, -1, -1))


def test_another_size_is_made_to_fit(model: DRAW) -> None:
    picture = Image.new("L", (10, 24), 255)
    assert (model.preprocess(picture) == 1).all()
    padded = model.preprocess(np.full((24, 10), 255, np.uint8), fit="pad")
    assert padded[0, 0, :, [0, 4]].max() == 0
    assert padded.shape == (1, 1, 6, 5)


def test_a_picture_is_treated_as_in_training(tmp_path: Path) -> None:
    model = DRAW(TINY_MODEL)
    model.data = DataConfig("images", binarize="dynamic", background="black", fit="stretch")
    clear = Image.new("LA", (9, 9), (255, 0))
    assert (model.preprocess(clear) == 0).all()
    grey = model.preprocess(np.full((6, 5), 127, np.uint8))
    assert {*grey.unique().tolist()} == {0.0, 1.0}
    torch.testing.assert_close(grey, model.preprocess(np.full((6, 5), 127, np.uint8)))
    model.save_pretrained(tmp_path)
    assert DRAW.from_pretrained(tmp_path).data == model.data


def test_a_classifier_takes_pictures_too() -> None:
    model = Classifier(ClassifierConfig(rows=6, columns=5, glimpses=2, hidden_size=8, classes=3))
    assert model(model.preprocess(IMAGES[0])).logits.shape == (1, 3)


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        ("nowhere.png", "nowhere.png: does not exist"),
        (3, "picture as a path.*got a int"),
        ([], "got an empty list"),
        (255 * X[0], "divide 8-bit"),
        (IMAGES, r"the picture as one image.*got the shape \[7, 1, 6, 5\]; several are a list"),
    ],
)
def test_what_is_no_picture_is_refused(model: DRAW, picture: object, says: str) -> None:
    with pytest.raises(DrawError, match=says):
        model.preprocess(picture)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("picture", [IMAGES[0], np.zeros((9, 9), np.uint8)])
def test_an_unknown_fit_is_refused(model: DRAW, picture: np.ndarray) -> None:
    with pytest.raises(
        DrawError, match="fit to be None or 'crop', 'pad' or 'stretch', got 'croop'"
    ):
        model.preprocess(picture, fit="croop")
