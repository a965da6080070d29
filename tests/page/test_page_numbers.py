"""The page's JavaScript against PyTorch, for the same noise: all models, all that it computes."""

import json
import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load

from draw.attention.window import Window
from draw.config.model import ClassifierConfig, DRAWConfig
from draw.errors import DrawError
from draw.model.classifier import Classifier
from draw.model.draw import DRAW
from draw.models.kinds import KINDS
from draw.models.storage import load_model
from draw.page.portable import ENCODES, OPTIONS, page_models, portable
from draw.randomness import COMPLETION, image_noise

SCRIPT = Path(__file__).parent / "numbers.js"
TOLERANCE = 1e-3

needs_node = pytest.mark.skipif(
    shutil.which("node") is None, reason="needs Node, which is not here (apt-get install nodejs)"
)


def computed(folder: Path, config: dict[str, Any], weights: bytes, **case: Any) -> Any:
    """What the page's JavaScript makes of a model and its noise."""
    (folder / "weights.safetensors").write_bytes(weights)
    case = {
        key: value.tolist() if isinstance(value, torch.Tensor) else value
        for key, value in case.items()
    }
    (folder / "case.json").write_text(json.dumps({"config": config, **case}))
    command = ["node", "--no-warnings", str(SCRIPT), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def digit(rows: int, columns: int, channels: int = 1) -> torch.Tensor:
    """A stroke, grey at its border."""
    y = torch.linspace(-1, 1, rows)[:, None]
    x = torch.linspace(-1, 1, columns)
    ink = (1.2 - 6 * (x - 0.4 * (3 * y).sin()).abs()).clamp(0, 1) * (y.abs() < 0.7)
    return ink.expand(1, channels, rows, columns).contiguous()


def assert_windows(said: list[Any], windows: Any) -> None:
    """Centre, stride and width agree, in pixels, and the intensity and the angle."""
    if windows is None:
        assert said == [None] * len(said)
        return
    assert isinstance(windows, Window)
    for name, values in windows.numbers.items():
        mine = [window[name] for window in said]
        np.testing.assert_allclose(mine, values[:, 0], rtol=1e-3, atol=1e-3, err_msg=name)
    assert {window["size"] for window in said} == {windows.size}
    for mine, theirs in (("frames", windows.outline - 0.5), ("lines", windows.line_widths)):
        drawn = [window[mine] for window in said]
        np.testing.assert_allclose(drawn, theirs[:, 0], rtol=1e-3, atol=1e-3, err_msg=mine)


def assert_drawing(said: Any, wanted: Any) -> None:
    canvases = torch.tensor([step["canvas"] for step in said["steps"]])
    images = canvases.sigmoid().view_as(wanted.images[:, 0])
    assert (images - wanted.images[:, 0]).abs().max() < TOLERANCE
    assert_windows([step["writeWindow"] for step in said["steps"]], wanted.write_windows)


@torch.no_grad()
def assert_agreement(
    folder: Path, model: DRAW, config: dict[str, Any], weights: bytes, label: int | None = None
) -> None:
    """Generation and, where the weights of the encoder are there, reconstruction."""
    model.backend = "reference"
    shape = model.config.glimpses, 1, model.config.latent_size
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    x = digit(model.config.rows, model.config.columns, model.config.channels)
    said = computed(folder, config, weights, noise=noise[:, 0], images=x.flatten(), label=label)
    labels = None if label is None else torch.tensor([label])
    assert_drawing(said["generation"], model.generate(1, noise=noise, labels=labels))
    assert ("reconstruction" in said) == ("mu.weight" in load(weights))
    if "reconstruction" not in said:
        return
    drawing, losses = model.reconstruct(x, noise, labels=labels), model(x, noise, labels)
    assert_drawing(said["reconstruction"], drawing)
    steps = said["reconstruction"]["steps"]
    assert_windows([step["readWindow"] for step in steps], drawing.read_windows)
    np.testing.assert_allclose(
        [step["kl"][0] for step in steps], losses.kl[0], rtol=1e-3, atol=1e-3
    )
    assert said["reconstruction"]["loss"][0] == pytest.approx(losses.reconstruction.item(), 1e-3)


@torch.no_grad()
def assert_answers(folder: Path, model: Classifier, config: dict[str, Any], weights: bytes) -> None:
    """The probabilities after every glimpse, and where the classifier looks."""
    model.backend = "reference"
    x = digit(model.config.rows, model.config.columns, model.config.channels)
    looks = computed(folder, config, weights, images=x.flatten())["looks"]
    said = model(x)
    probabilities = [look["probabilities"] for look in looks]
    wanted = said.logits_by_glimpse[:, 0].softmax(-1)
    np.testing.assert_allclose(probabilities, wanted, atol=TOLERANCE)
    assert_windows([look["window"] for look in looks], said.windows)


@needs_node
@pytest.mark.parametrize("name", page_models())
def test_the_models_of_the_package(name: str, tmp_path: Path) -> None:
    model = load_model(name).model
    made = portable(name)
    if isinstance(model, Classifier):
        assert_answers(tmp_path, model, made.config, made.weights)
    else:
        assert isinstance(model, DRAW)
        label = 7 if model.condition.takes_labels else None
        assert_agreement(tmp_path, model, made.config, made.weights, label)


CONFIGS = {
    "odd and coloured": DRAWConfig(
        rows=7, columns=10, channels=3, glimpses=3, hidden_size=9, latent_size=5, read_size=3,
        write_size=1,
    ),
    "no attention": DRAWConfig(
        rows=6, columns=5, glimpses=3, hidden_size=7, latent_size=3, attention="none"
    ),
    "class": DRAWConfig(
        rows=6, columns=6, glimpses=3, hidden_size=8, latent_size=4, read_size=2, write_size=2,
        condition="class", label_dropout=0.2,
    ),
    "windows that turn": DRAWConfig(
        rows=9, columns=7, channels=3, glimpses=3, hidden_size=8, latent_size=4, read_size=2,
        write_size=3, attention="rotated",
    ),
    "classifier": ClassifierConfig(rows=12, columns=9, glimpses=3, hidden_size=8, read_size=4),
    "classifier whose windows turn": ClassifierConfig(
        rows=12, columns=9, glimpses=3, hidden_size=8, read_size=3, attention="rotated"
    ),
}  # fmt: skip


def random_model(config: Any) -> Any:
    """A model of large weights, of 16 bits, whose windows move far: off the image too."""
    torch.manual_seed(1)
    model = KINDS[config.kind].model(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter).mul(0.7).half())
    return model.requires_grad_(False)


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder / "model")
    return folder / "model"


@needs_node
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_every_option_that_the_page_knows(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And colours, which its equations know and its pictures do not."""
    monkeypatch.setitem(OPTIONS, "channels", (1, 3))
    model = random_model(config)
    made = portable(str(saved(model, tmp_path)))
    if isinstance(model, Classifier):
        assert_answers(tmp_path, model, made.config, made.weights)
        return
    for label in [None, 2] if model.condition.takes_labels else [None]:
        if label is None and model.condition.takes_labels:
            labels = torch.tensor([-1])
            noise = torch.randn(3, 1, 4, generator=torch.Generator().manual_seed(3))
            said = computed(tmp_path, made.config, made.weights, noise=noise[:, 0], label=None)
            assert_drawing(said["generation"], model.generate(1, noise=noise, labels=labels))
        else:
            assert_agreement(tmp_path, model, made.config, made.weights, label)


@needs_node
@torch.no_grad()
@pytest.mark.parametrize("guidance", [0.0, 1.0, 2.5])
def test_guidance(guidance: float, tmp_path: Path) -> None:
    """The same canvases as `draw.model.guidance`, also where a hand comes in half way."""
    model = random_model(CONFIGS["class"])
    made = portable(str(saved(model, tmp_path)))
    noise = torch.randn(3, 1, 4, generator=torch.Generator().manual_seed(3))
    said = computed(
        tmp_path, made.config, made.weights, noise=noise[:, 0], label=2, guidance=guidance
    )["guided"]
    wanted = model.generate(1, noise=noise, labels=torch.tensor([2]), guidance=guidance)
    for canvases in said:
        images = torch.tensor(canvases).sigmoid().view_as(wanted.images[:, 0])
        assert (images - wanted.images[:, 0]).abs().max() < TOLERANCE


@needs_node
@torch.no_grad()
def test_a_model_that_needs_a_class_draws_with_one(tmp_path: Path) -> None:
    """Where nobody asks for a class: PyTorch refuses to draw without."""
    model = random_model(replace(CONFIGS["class"], label_dropout=0.0))
    made = portable(str(saved(model, tmp_path)))
    noise = torch.randn(3, 1, 4, generator=torch.Generator().manual_seed(3))
    said = computed(
        tmp_path, made.config, made.weights, noise=noise[:, 0], label=None, guidance=1.0
    )["guided"]
    wanted = model.generate(1, noise=noise, labels=torch.tensor([0]))
    for canvases in said:
        images = torch.tensor(canvases).sigmoid().view_as(wanted.images[:, 0])
        assert (images - wanted.images[:, 0]).abs().max() < TOLERANCE


@needs_node
@pytest.mark.parametrize("name", [name for name, whole in ENCODES.items() if not whole])
def test_a_model_without_its_encoder_draws_as_before(name: str, tmp_path: Path) -> None:
    if name not in page_models():
        pytest.skip(f"needs the model {name}, which this package does not bring")
    made = portable(name, encodes=False)
    model = load_model(name).model
    if isinstance(model, DRAW):
        label = 7 if model.condition.takes_labels else None
        assert_agreement(tmp_path, model, made.config, made.weights, label)
    else:
        assert isinstance(model, Classifier)
        assert_answers(tmp_path, model, made.config, made.weights)


@needs_node
@torch.no_grad()
def test_completion(tmp_path: Path) -> None:
    """The same particles with the same weights as `draw.model.completion`."""
    config = DRAWConfig(
        rows=6, columns=8, glimpses=3, hidden_size=8, latent_size=4, read_size=2, write_size=3
    )
    model = random_model(config)
    made = portable(str(saved(model, tmp_path)))
    particles, rounds, x = 4, 2, digit(6, 8)
    known = torch.zeros(6, 8, dtype=torch.bool)
    known[:, :4] = True
    wanted = model.complete(x, known, 1, seed=5, particles=particles, rounds=rounds)
    passes = [
        image_noise(5, COMPLETION, range(particles), (3, 4), sample).flatten(1).tolist()
        for sample in range(rounds + 2)
    ]
    said = computed(
        tmp_path, made.config, made.weights, noise=torch.zeros(3, 4), images=x.flatten(),
        known=known.flatten().int(), completion={"particles": particles, "passes": passes},
    )["completion"]  # fmt: skip
    weights = torch.tensor(said["logWeights"], dtype=torch.float64)
    nats = math.log(particles) - weights.logsumexp(0)
    assert nats.item() == pytest.approx(wanted.known_nats.item(), abs=1e-2)
    effective = (2 * weights.logsumexp(0) - (2 * weights).logsumexp(0)).exp()
    assert effective.item() == pytest.approx(wanted.effective_samples.item(), rel=1e-2)
    candidates = torch.tensor(said["images"]).view(particles, 1, 6, 8)
    assert (candidates - wanted.images[0]).abs().amax((1, 2, 3)).min() < TOLERANCE


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": 3}, "channels is 1 for the page, got 3"),
        ({"prior": "learned"}, "prior is standard for the page, got learned"),
        ({"write_heads": 2}, "write_heads is 1 for the page, got 2"),
        (
            {"attention": "cauchy"},
            "attention is gaussian or rotated or none for the page, got cauchy",
        ),
        ({"likelihood": "logistic"}, "likelihood is bernoulli for the page, got logistic"),
    ],
)
def test_other_models_are_refused(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    config = DRAWConfig(rows=6, columns=6, glimpses=2, hidden_size=4, latent_size=2, **change)
    folder = saved(DRAW(config), tmp_path)
    with pytest.raises(DrawError, match=words):
        portable(str(folder))


def test_the_models_of_the_page_are_in_the_package() -> None:
    needed = {"mnist", "mnist-class", "mnist-no-attention", "two-digits", "cluttered"}
    assert needed <= {*page_models()} <= {*ENCODES}
