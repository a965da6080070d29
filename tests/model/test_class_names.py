"""Classes by the names that folders of pictures had: kept with a model, and taken for a label."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from draw.config.model import DRAWConfig
from draw.errors import DrawError
from draw.model.draw import DRAW
from draw.models.storage import load_model
from running import draw_command

NAMES = {0: "cat", 1: "dog", 2: "7"}
TOLD = DRAWConfig(
    rows=6, columns=5, glimpses=2, hidden_size=4, latent_size=2, condition="class", classes=3
)


def named() -> DRAW:
    model = DRAW(TOLD)
    model.class_names = NAMES
    return model


@pytest.mark.parametrize(("label", "number"), [("dog", 1), ("cat", 0), ("2", 2), (1, 1)])
def test_a_name_is_a_label_and_a_number_stays_one(label: int | str, number: int) -> None:
    labels = named().labels_for(2, label)
    assert labels is not None
    assert labels.tolist() == [number, number]


@pytest.mark.parametrize("wrong", ["dgo", "", "-1", "1.5", "Dog"])
def test_a_name_that_is_none_is_refused_with_those_there_are(wrong: str) -> None:
    got = rf"or its name, or none, got {wrong!r}.*; 0 cat, 1 dog, 2 7"
    with pytest.raises(DrawError, match=got):
        named().labels_for(1, wrong)
    with pytest.raises(DrawError, match=f"or none, got {wrong!r}; its classes are 0 to 2"):
        DRAW(TOLD).labels_for(1, wrong)
    with pytest.raises(DrawError, match="expected no label for a model of condition 'none'"):
        DRAW(DRAWConfig()).labels_for(1, wrong)


@pytest.mark.parametrize("wrong", [3, -2, -1, 10**30, -(10**30), "7", "9" * 20, "9" * 5000])
def test_a_number_of_no_class_is_refused(wrong: int | str) -> None:
    with pytest.raises(DrawError, match=r"0 to 2|0 cat, 1 dog, 2 7"):
        named().labels_for(1, wrong)
    with pytest.raises(DrawError, match="expected no label for a model of condition 'none'"):
        DRAW(DRAWConfig()).labels_for(1, wrong)


@pytest.mark.parametrize("wrong", [True, torch.tensor([0, 1]), torch.tensor(1.0)])
def test_what_is_no_whole_number_is_no_label(wrong: Any) -> None:
    with pytest.raises(DrawError, match="expected label to be a whole number"):
        named().labels_for(1, wrong)


@pytest.mark.parametrize("number", [np.int64(1), np.uint8(1), torch.tensor(1)])
def test_numbers_of_numpy_and_torch_are_labels(number: Any) -> None:
    assert torch.equal(named().labels_for(2, number), torch.tensor([1, 1]))


def test_names_are_kept_with_a_model(tmp_path: Path) -> None:
    named().save_pretrained(tmp_path / "saved")
    for load in (DRAW.from_pretrained, lambda folder: load_model(str(folder)).model):
        assert load(tmp_path / "saved").class_names == NAMES
    DRAW(TOLD).save_pretrained(tmp_path / "without")
    assert "class_names" not in json.loads((tmp_path / "without/config.json").read_text())
    file = tmp_path / "saved/config.json"
    values = json.loads(file.read_text())
    for wrong in ({"one": "cat"}, {"0": 3}, ["cat"], None):
        file.write_text(json.dumps({**values, "class_names": wrong}))
        for load in (DRAW.from_pretrained, lambda folder: load_model(str(folder)).model):
            with pytest.raises(DrawError, match="class_names"):
                load(tmp_path / "saved")


def test_pictures_in_folders_are_drawn_by_the_names_of_these(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for number in range(12):
            place = tmp_path / "pets" / name / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (6, 5), np.uint8)).save(place)
    tiny = ["--model.glimpses", "2", "--model.hidden-size", "4", "--model.latent-size", "2"]
    draw_command(
        "train", "images", "--data.path", "pets", "--data.size", "6", "--data.mode", "grey",
        "--model.condition", "class", *tiny, "--train.steps", "1", "--train.batch-size", "4",
        "--out", "run", cwd=tmp_path,
    )  # fmt: skip
    draw_command("export", "run", "--to", "model", cwd=tmp_path)
    for model in ("run", "model"):
        windows = []
        for label in ("dog", "1"):
            out = ["--out", f"{model}-{label}.gif", "--json", "-"]
            made = draw_command("animate", model, "--n", "2", "--label", label, *out, cwd=tmp_path)
            windows.append(json.loads(made.stdout)["write_windows"])
        assert windows[0] == windows[1]
        refused = draw_command("sample", model, "--label", "dgo", cwd=tmp_path, check=1)
        assert re.search(r"got 'dgo' \(did you mean dog\?\); 0 cat, 1 dog", refused.stderr)
        said = json.loads(draw_command("info", model, "--json", "-", cwd=tmp_path).stdout)
        assert said["classes"] == {"0": "cat", "1": "dog"}
