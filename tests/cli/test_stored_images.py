"""The verbs of draw data: what they take of a data set's options, and what they refuse."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from draw.cli.datasets import CopyOptions, DataSetOptions
from draw.config.data import DataConfig
from draw.config.presets import PRESETS
from draw.errors import DrawError
from draw.training.experiment import train
from running import draw_command


def asked(data: DataConfig) -> DataConfig:
    return DataSetOptions("images", data).config()


def copied(data: DataConfig) -> DataConfig:
    return CopyOptions("pictures", Path("copy.npz"), data).config()


@pytest.mark.parametrize("config", [asked, copied])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"binarize": "dynamic"}, r"expected no --data\.binarize of draw data"),
        ({"augment": ("affine",)}, r"expected no --data\.augment of draw data"),
        ({"augment": None}, r"expected no --data\.augment of draw data"),
        ({"bad_boxes": "skip"}, r"--data\.bad-boxes skip with --data\.name svhn.* got images"),
    ],
    ids=str,
)
def test_what_has_no_effect_on_stored_images_is_refused(
    config: Callable[[DataConfig], DataConfig], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DrawError, match=message):
        config(dataclasses.replace(DataConfig("images"), **changes))


def test_boxes_are_skipped_of_house_numbers_alone(tmp_path: Path) -> None:
    assert DataSetOptions("svhn", DataConfig("images", bad_boxes="skip")).config().bad_boxes
    with pytest.raises(DrawError, match=r"expected --data\.bad-boxes skip .* got digits"):
        train("digits", out=tmp_path / "run", changes={"data.bad_boxes": "skip", "train.steps": 1})
    told = draw_command(
        "train", "digits", "--data.bad-boxes", "skip", "--dry-run", cwd=tmp_path, check=1
    ).stderr
    assert "expected --data.bad-boxes skip with --data.name svhn" in told


def test_pictures_of_ones_own_fit_as_in_their_preset(tmp_path: Path) -> None:
    fit = PRESETS["images"]().data.fit
    assert [config(DataConfig("images")).fit for config in (asked, copied)] == [fit, fit]
    assert asked(DataConfig("images", fit="pad")).fit == "pad"
    assert DataSetOptions("digits").config().fit is None  # which has its own
    (tmp_path / "pictures").mkdir()
    for number in range(10):
        Image.new("RGB", (40 + number, 30), (9 * number, 0, 0)).save(
            tmp_path / "pictures" / f"{number}.png"
        )
    command = "data check images --data.path pictures --data.size 32 --data.mode colour"
    cache = ["--data.cache-dir", "cache", "--json", "-"]
    done = draw_command(*command.split(), *cache, cwd=tmp_path)
    assert json.loads(done.stdout)["image_shape"] == [3, 32, 32]
