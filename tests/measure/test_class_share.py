"""The share of drawings that show the class that was asked for."""

import copy
import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from draw.config.model import ConvnetConfig, DRAWConfig
from draw.errors import DrawError
from draw.measure.accuracy import wilson_interval
from draw.measure.class_share import ClassShare, drawing_count, measure_class_share
from draw.model.convnet import Convnet
from draw.model.draw import DRAW
from draw.model.pretrained import Model
from running import TINY_DIGITS, draw_command

CLASSES, N, SEED = 3, 20, 5
TOLD = DRAWConfig(
    rows=6, columns=5, glimpses=3, hidden_size=6, latent_size=3, read_size=2, write_size=3,
    condition="class", classes=CLASSES, label_dropout=0.1,
)  # fmt: skip
ANSWERS = ConvnetConfig(
    rows=6, columns=5, filters=2, filter_size=3, stride=1, hidden_size=4, classes=CLASSES
)
STRENGTHS = (0.0, 1.0, 2.5)


def randomised(model: Model, scale: float) -> None:
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=random))


@pytest.fixture(scope="module")
def pair() -> tuple[DRAW, Convnet]:
    drawing, answering = DRAW(TOLD), Convnet(ANSWERS)
    randomised(drawing, 0.7)
    randomised(answering, 1.0)
    with torch.no_grad():  # so that it does not answer with the same class to everything
        last = answering.layers[-1]
        last.bias -= answering(drawing.generate(60, seed=8).images[-1]).logits.mean(0)
    return drawing.requires_grad_(False), answering.requires_grad_(False)


@torch.no_grad()
def by_hand(
    pair: tuple[DRAW, Convnet], first: int, guidance: float, temperature: float = 1.0
) -> np.ndarray:
    """Whether each of N drawings is right, from the first on, of the drawings of the seed."""
    drawing, answering = pair
    count = first + N
    labels = torch.tensor([i % CLASSES for i in range(count)])
    drawn = drawing.generate(
        count, seed=SEED, labels=labels, guidance=guidance, temperature=temperature
    )
    return np.asarray((answering(drawn.images[-1]).logits.argmax(1) == labels)[first:].numpy())


def measured(
    pair: tuple[DRAW, Convnet], guidance: tuple[float, ...], batch_size: int
) -> ClassShare:
    return measure_class_share(*pair, N, guidance=guidance, seed=SEED, batch_size=batch_size)


@pytest.mark.parametrize("guidance", STRENGTHS)
def test_it_counts_the_drawings_of_draw_sample(pair: tuple[DRAW, Convnet], guidance: float) -> None:
    found, right = measured(pair, (guidance,), 7), by_hand(pair, 0, guidance)
    assert 0 < right.mean() < 1
    assert found.right == pytest.approx(100 * right.mean())
    by_class = [100 * right[one::CLASSES].mean() for one in range(CLASSES)]
    assert found.right_by_class == pytest.approx(by_class)
    assert (found.drawings, found.guidance, found.choice) == (N, guidance, ())
    low, high = wilson_interval(int(right.sum()), N)
    assert (found.right_low, found.right_high) == pytest.approx((100 * low, 100 * high))
    assert found == measured(pair, (guidance,), 250)


@pytest.mark.parametrize("which", [0, 1])
def test_either_may_be_in_double_precision(pair: tuple[DRAW, Convnet], which: int) -> None:
    models = [*map(copy.deepcopy, pair)]
    models[which].double()
    found = measure_class_share(*models, N, seed=SEED)
    assert found.right == pytest.approx(100 * by_hand(pair, 0, 1.0).mean(), abs=100 / N)


def test_it_counts_drawings_of_another_temperature(pair: tuple[DRAW, Convnet]) -> None:
    found = measure_class_share(*pair, N, temperature=0.3, seed=SEED)
    assert found.temperature == 0.3
    assert found.right == pytest.approx(100 * by_hand(pair, 0, 1.0, 0.3).mean())
    assert found.right_by_class != measured(pair, (1.0,), 250).right_by_class


def test_guidance_is_chosen_on_other_drawings(pair: tuple[DRAW, Convnet]) -> None:
    found = measured(pair, (*STRENGTHS, 1.0), 7)
    there = {one: by_hand(pair, N, one).mean() for one in STRENGTHS}
    here = {one: by_hand(pair, 0, one).mean() for one in STRENGTHS}
    assert {one.guidance: one.right for one in found.choice} == pytest.approx(
        {one: 100 * share for one, share in there.items()}
    )
    assert found.guidance == max(there, key=lambda one: there[one])
    assert found.right == pytest.approx(100 * here[found.guidance])
    assert here != there


def test_of_equal_strengths_the_one_nearest_to_what_was_learned(
    pair: tuple[DRAW, Convnet],
) -> None:
    drawing, answering = pair[0], Convnet(ANSWERS)  # it answers with the same class to everything
    for parameter in answering.parameters():
        torch.nn.init.zeros_(parameter)
    found = measure_class_share(drawing, answering, N, guidance=(3.0, 0.5, 1.25, 0.0))
    assert len({one.right for one in found.choice}) == 1
    assert found.guidance == 1.25


def test_progress_counts_every_drawing(pair: tuple[DRAW, Convnet]) -> None:
    for guidance in ((1.0,), STRENGTHS):
        counts: list[int] = []
        measure_class_share(
            *pair, N, guidance=guidance, batch_size=6,
            on_progress=lambda done, text, counts=counts: counts.append(done),
        )  # fmt: skip
        assert counts == sorted(counts)
        assert counts[-1] == drawing_count(N, guidance)


@pytest.mark.parametrize(
    ("changes", "answers", "n", "guidance", "words"),
    [
        ({"condition": "none", "label_dropout": 0.0}, {}, N, (1.0,), "told the class .* told noth"),
        ({}, {"rows": 7}, N, (1.0,), r"images of shape \(1, 6, 5\), got one of \(1, 7, 5\)"),
        ({}, {"classes": 4}, N, (1.0,), "classes, in number 3, got one of 4"),
        ({}, {}, CLASSES - 1, (1.0,), "drawing of each of 3 classes at least, got 2"),
        ({}, {}, N, (), "strength of guidance or several, got none"),
        ({"label_dropout": 0.0}, {}, N, (1.5,), "guidance"),
    ],
)
def test_what_cannot_be_counted_is_refused(
    changes: dict[str, object],
    answers: dict[str, int],
    n: int,
    guidance: tuple[float, ...],
    words: str,
) -> None:
    model = DRAW(dataclasses.replace(TOLD, **changes))  # type: ignore[arg-type]
    classifier = Convnet(dataclasses.replace(ANSWERS, **answers))
    with pytest.raises(DrawError, match=words):
        measure_class_share(model, classifier, n, guidance=guidance)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a class-conditional run, one that is told nothing, and a classifier."""
    place = tmp_path_factory.mktemp("judge")
    shared = ("--train.steps", "1", "--data.cache-dir", str(place / "cache"), "--precision", "fp32")
    told = ("--model.condition", "class", "--model.label-dropout", "0.1")
    draw_command("train", "digits", "--out", "told", *TINY_DIGITS, *shared, *told, cwd=place)
    draw_command("train", "digits", "--out", "untold", *TINY_DIGITS, *shared, cwd=place)
    small = ("--model.filters", "2", "--model.stride", "6", "--data.name", "digits")
    draw_command("train", "mnist-convnet", "--out", "judge", *shared, *small, cwd=place)
    return place


def test_the_verb(place: Path) -> None:
    said = draw_command(
        "judge", "told", "judge", "--n", "12", "--guidance", "1", "1.5", "--temperature", "0.5",
        "--json", "a.json", "--split", "validation", "--precision", "fp32", cwd=place,
    )  # fmt: skip
    found = json.loads((place / "a.json").read_text())
    assert found["drawings"] == 12
    assert [one["guidance"] for one in found["choice"]] == [1.0, 1.5]
    assert f"guidance {found['guidance']:g}, temperature 0.5" in said.stdout
    assert found["temperature"] == 0.5
    alone = draw_command(
        "evaluate", "judge", "--split", "validation", "--json", "-", "--precision", "fp32",
        cwd=place,
    )  # fmt: skip
    assert found["classifier"]["error"] == json.loads(alone.stdout)["error"]
    assert f"{found['classifier']['error']:.2f} %" in said.stdout
    draw_command("judge", "told", "judge/best", "--n", "12", "--weights", "last", cwd=place)


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (("told", "untold"), "expected a classifier to say what drawings show, got"),
        (("judge", "judge"), "expected a model that draws"),
        (("untold", "judge"), "told the class"),
        (("told", "cluttered"), r"trained on \(digits\), whose classes .* cluttered-mnist"),
    ],
)
def test_models_that_do_not_go_together(place: Path, models: tuple[str, str], words: str) -> None:
    failed = draw_command("judge", *models, cwd=place, check=1)
    assert re.search(words, failed.stderr), failed.stderr
