"""The studio draws the rest of half an image, five times."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from draw.config.data import DataConfig
from draw.errors import DrawError
from draw.studio.inpainting import ANSWERS, complete
from draw.studio.models import Catalogue, Shelf
from studio_runs import COLOUR, DRAWS, make_run

KINDS = {
    "plain": DRAWS,
    "class": dataclasses.replace(DRAWS, condition="class"),
    "both": dataclasses.replace(DRAWS, condition="class", label_dropout=0.1),
    "colour": COLOUR,
}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    root: Path = tmp_path_factory.mktemp("completion") / "runs"
    for name, model in KINDS.items():
        make_run(root / name, model, DataConfig("images", binarize="none"))
    shelf = Shelf(Catalogue(None, root), most=len(KINDS))
    with shelf.use("runs/class") as loaded:
        for parameter in loaded.drawing.condition.parameters():
            torch.nn.init.normal_(parameter)
    return shelf


@pytest.mark.parametrize("kind", KINDS)
def test_the_rest_of_half_an_image(shelf: Shelf, kind: str) -> None:
    shape = KINDS[kind].image_shape
    pixels = np.full(shape, 200, np.uint8)
    show, words = complete(shelf, f"runs/{kind}", pixels, "left", 3)
    sent = json.loads(show.to_json())
    assert sent["captions"] == ["known", *(f"answer {k}" for k in range(1, ANSWERS + 1))]
    assert sent["parts"][0]["count"] == 1 + ANSWERS
    assert sent["steps"] == 1
    assert words.startswith("The left half is known: ")
    changed = pixels.copy()
    changed[:, :, shape[2] // 2 + 1 :] = 0
    same, again = complete(shelf, f"runs/{kind}", changed, "left", 3)
    assert (same.parts[0]["sheet"], again) == (show.parts[0]["sheet"], words)
    told = re.findall(r"of class (\d), under which the known half costs the fewest nats\.", words)
    assert len(told) == (kind == "class")
    _, words = complete(shelf, f"runs/{kind}", changed, "left", 3, label=1)
    assert words.endswith(" of class 1.") == (kind == "class")


def test_another_half_is_refused(shelf: Shelf) -> None:
    with pytest.raises(DrawError, match="expected a half of left, right, top, bottom, got 'mid'"):
        complete(shelf, "runs/plain", np.zeros((1, 28, 28), np.uint8), "mid")
