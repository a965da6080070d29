"""House numbers: boxes grown, clipped, refused or skipped, on shards of the Hub's schema."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, Image, List, Value
from PIL import Image as Pillow

from draw.config.data import DataConfig
from draw.data import KNOWN_SETS, DataError, RandomCrop, check, load_images, load_splits
from draw.data.sets.svhn import box_round, grow
from draw.data.store.splits import assign_splits
from running import draw_command

BOXES, NAMES = List(List(Value("int32"), length=4)), ClassLabel(num_classes=10)
AS_DICTIONARY = Features({"image": Image(), "digits": {"bbox": BOXES, "label": List(NAMES)}})
"""As the Hub has it."""
AS_LIST = Features({"image": Image(), "digits": List({"bbox": BOXES.feature, "label": NAMES})})
PLAIN = Features({"image": Image()})

Row = tuple[Pillow.Image, list[list[int]] | None]


def house(boxes: list[list[int]] | None, size: tuple[int, int] = (60, 40), shade: int = 255) -> Row:
    """A black picture (columns, rows) with its digits in one colour."""
    picture = Pillow.new("RGB", size)
    for x, y, width, height in boxes or ():
        picture.paste((shade, 128, 0), (x, y, x + width, y + height))
    return picture, boxes


def stored(row: Row, features: Features) -> dict[str, Any]:
    stream = io.BytesIO()
    row[0].save(stream, "PNG")
    values: dict[str, Any] = {"image": {"bytes": stream.getvalue(), "path": None}}
    if features is PLAIN:
        return values
    boxes = row[1]
    if boxes is None:
        digits: Any = None
    elif features is AS_LIST:
        digits = [{"bbox": box, "label": 1} for box in boxes]
    else:
        digits = {"bbox": boxes, "label": [1] * len(boxes)}
    return {**values, "digits": digits}


def write(folder: Path, split: str, rows: list[Row], features: Features = AS_DICTIONARY) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(
        [stored(row, features) for row in rows], schema=features.arrow_schema
    )
    pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")


@pytest.fixture
def config(tmp_path: Path, no_network: None) -> DataConfig:
    return DataConfig("svhn", str(tmp_path / "svhn"), cache_dir=str(tmp_path / "cache"))


GOOD = house([[10, 10, 10, 20], [20, 10, 10, 20]])


@pytest.mark.parametrize("features", [AS_DICTIONARY, AS_LIST], ids=["dictionary", "list"])
def test_digits_are_cut_out_with_a_margin(config: DataConfig, features: Features) -> None:
    folder = Path(str(config.path))
    write(folder, "train", [GOOD] * 9, features)
    write(folder, "test", [GOOD, house([[30, 5, 10, 10]], (50, 30))], features)
    test = load_images(
        dataclasses.replace(config, name="images", size=(64,), fit="stretch"), "test"
    )
    splits = load_splits(config, progress=False)
    assert splits.train.stored_shape == (3, 64, 64)
    assert splits.train.image_shape == splits.test.image_shape == (3, 54, 54)
    assert not np.array_equal(test.images[:, :, 5:59, 5:59], splits.test.images)
    assert splits.train.labels is None
    for image in splits.train.images:
        bright = image[0] > 127
        rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
        margin = (1 - 1 / 1.3) / 2 * 64  # on each side of the 20x20 pixels
        for found in (rows, columns):
            assert abs(found[0] - margin) <= 1
            assert abs(63 - found[-1] - margin) <= 1
        assert bright[rows[2] : rows[-2], columns[2] : columns[-2]].all()
    reading = load_images(config, "test", progress=False)
    np.testing.assert_array_equal(reading.images, splits.test.images)


def test_boxes_are_grown_about_their_centre_and_clipped() -> None:
    assert box_round({"bbox": [[36, 7, 13, 32], [50, 9, 12, 33]]}) == (36, 7, 62, 42)
    assert grow((20.0, 10.0, 40.0, 30.0), 100, 100) == (17, 7, 43, 33)
    assert grow((20.0, 10.0, 30.0, 50.0), 100, 200) == (
        18,
        4,
        32,
        56,
    )  # 1.5 and 6 pixels, outwards
    assert grow((0.0, 0.0, 100.0, 50.0), 50, 100) == (0, 0, 100, 50)
    assert grow((-5.0, 40.0, 5.0, 60.0), 50, 100) == (0, 37, 7, 50)
    assert grow((99.0, 49.0, 100.0, 50.0), 50, 100) == (98, 48, 100, 50)  # a single pixel


def test_train_and_extra_are_one_and_give_validation(config: DataConfig) -> None:
    folder = Path(str(config.path)) / "full_numbers"
    for split, count, first in (("train", 8, 100), ("extra", 22, 150), ("test", 4, 200)):
        rows = [house(GOOD[1], shade=first + number) for number in range(count)]
        write(folder, split, rows)
    write(folder.parent / "cropped_digits", "train", [GOOD], PLAIN)
    splits = load_splits(config, progress=False)
    assert (splits.train.count, splits.validation.count, splits.test.count) == (27, 3, 4)
    middles = {
        name: set(images[:, 0, 27, 27].tolist())
        for name, images in (
            ("train", splits.train.images), ("validation", splits.validation.images),
        )
    }  # fmt: skip
    assert not middles["train"] & middles["validation"]
    assert middles["train"] | middles["validation"] == {*range(100, 108), *range(150, 172)}
    assert "validation: 3 each, held out of train by a fixed shuffle" in splits.train.source
    assert "whole" not in splits.train.source


def test_the_paper_holds_4701_out() -> None:
    known = KNOWN_SETS["svhn"]
    assigned, _ = assign_splits({"train": 33_402 + 202_353, "test": 13_068}, known.held_out)
    counts = np.bincount(np.concatenate(list(assigned.values())))
    assert tuple(counts.tolist()) == known.sizes == (231_054, 4_701, 13_068)
    assert known.view == RandomCrop(54, 64)


BAD = {
    "has no box": [None, []],
    "has a box without area": [[[5, 5, 0, 9]], [[10, 10, 10, 20], [5, 5, 4, -1]]],
    "outside of its 60x40 pixels": [[[60, 0, 5, 5]], [[-9, 3, 9, 5]], [[1, 40, 5, 5]]],
}
REASONS = [(reason, boxes) for reason, choices in BAD.items() for boxes in choices]


def with_bad_boxes(config: DataConfig) -> None:
    bad = [(GOOD[0], boxes) for _, boxes in REASONS]
    write(Path(str(config.path)), "train", [*[GOOD] * 13, *bad])
    write(Path(str(config.path)), "test", [GOOD, (GOOD[0], [])])


def test_bad_boxes_are_refused_and_named(config: DataConfig) -> None:
    with_bad_boxes(config)
    with pytest.raises(DataError) as error:
        load_splits(config, progress=False)
    message = str(error.value)
    assert "7 of 20 train pictures" in message
    assert "--data.bad-boxes skip" in message
    for row, (reason, _) in enumerate(REASONS, start=13):
        line = next(line for line in message.splitlines() if f"row {row}:" in line)
        assert "train-00000-of-00001.parquet" in line
        assert reason in line


def test_bad_boxes_are_skipped_and_counted(config: DataConfig, caplog) -> None:
    with_bad_boxes(config)
    skipping = dataclasses.replace(config, bad_boxes="skip")
    splits = load_splits(skipping, progress=False)
    assert (splits.train.count, splits.validation.count, splits.test.count) == (12, 1, 1)
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == 2
    assert told[0].startswith("skipped 7 of 20 train pictures")
    assert "row 13: has no box" in told[0]
    assert "skipped 1 of 2 test pictures" in told[1]
    for _ in range(2):  # from the cache too
        source = load_images(skipping, "test", progress=False).source
        assert "8 without a box that can be used were skipped" in source
    with pytest.raises(DataError, match=r"--data\.bad-boxes skip"):
        load_splits(config, progress=False)


def test_boxes_beyond_the_edge_are_cut_off_and_counted(config: DataConfig, caplog) -> None:
    folder = Path(str(config.path))
    caplog.set_level("INFO", "draw")
    write(folder, "train", [GOOD, house([[-3, 10, 20, 20]]), house([[50, 30, 12, 11]]), GOOD])
    write(folder, "test", [house([[0, 0, 60, 40]])])
    splits = load_splits(config, progress=False)
    assert splits.train.count + splits.validation.count == 4
    assert "2 with boxes beyond the edge of the picture were cut off there" in splits.train.source
    told = " ".join(record.getMessage() for record in caplog.records)
    assert "2 of 4 train pictures" in told
    assert "row 1" in told


def test_pictures_without_boxes_are_whole_and_said_to_be(config: DataConfig) -> None:
    folder = Path(str(config.path))
    write(folder, "train", [house([[0, 0, 60, 40]])] * 5, PLAIN)
    write(folder, "test", [house([[0, 0, 60, 40]])], PLAIN)
    splits = load_splits(config, progress=False)
    assert splits.train.stored_shape == (3, 64, 64)
    assert (splits.test.images[:, 0] == 255).all()
    text = "6 of 6 pictures come without boxes of digits and are whole"
    assert text in splits.train.source
    assert text in check(config, progress=False).source


def test_a_picture_that_cannot_be_read_is_named(config: DataConfig) -> None:
    folder = Path(str(config.path))
    row = stored(GOOD, AS_DICTIONARY)
    row["image"] = {"bytes": b"junk", "path": None}
    table = pa.Table.from_pylist([row] * 2, schema=AS_DICTIONARY.arrow_schema)
    folder.mkdir()
    pq.write_table(table, folder / "train-00000-of-00001.parquet")
    with pytest.raises(DataError, match=r"2 pictures (?s:.)* row 0: is no picture"):
        load_splits(config, progress=False)


@pytest.mark.parametrize("box", [[1, 2, 3], [1, 2, None, 4], None, 7, [1, 2, float("nan"), 4]])
def test_boxes_that_are_not_four_numbers(box: Any) -> None:
    for digits in ({"bbox": [box]}, [{"bbox": box}]):
        with pytest.raises(DataError, match="expected boxes of x, y, width, height, got"):
            box_round(digits)


def test_the_hub_is_asked_for_the_full_numbers_alone(tmp_path: Path, monkeypatch) -> None:
    import huggingface_hub

    hub, asked = tmp_path / "hub", []
    write(hub / "full_numbers", "train", [GOOD] * 12)

    def snapshot_download(name: str, **options: object) -> str:
        asked.append((name, options["allow_patterns"]))
        return str(hub)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, timeout: None)
    config = DataConfig("svhn", cache_dir=str(tmp_path / "cache"))
    for _ in range(2):
        assert load_images(config, "train", progress=False).stored_shape == (3, 64, 64)
    assert asked == [("ufldl-stanford/svhn", ["full_numbers/*.parquet"])]


def test_the_command_line_trains_on_house_numbers(config: DataConfig, tmp_path: Path) -> None:
    folder = Path(str(config.path))
    write(folder, "train", [*[GOOD] * 30, (GOOD[0], [])])
    write(folder, "test", [GOOD] * 3)
    command = [
        "train", "svhn", "--data.path", "svhn", "--data.cache-dir", "cache", "--data.size", "32",
        "--model.glimpses", "2", "--model.hidden-size", "8", "--model.latent-size", "3",
        "--model.read-size", "2", "--model.write-size", "2", "--train.batch-size", "4",
        "--train.steps", "2", "--precision", "fp32", "--out", "run",
    ]  # fmt: skip
    refused = draw_command(*command, cwd=tmp_path, check=1)
    assert "--data.bad-boxes skip" in refused.stderr
    done = draw_command(*command, "--data.bad-boxes", "skip", cwd=tmp_path)
    assert "27 images of 27x27x3" in done.stdout
    assert "each is 27x27 of 32x32 at random places, made anew for every batch" in done.stdout
    assert "1 without a box that can be used were skipped" in done.stdout
