"""No picture kept for validation or test is trained on, whatever its folders are called."""

import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from draw.config.data import DataConfig
from draw.data import DataError, load_splits
from draw.data.in_memory import image_set
from draw.data.sources.open_source import open_folder
from draw.data.store.splits import SPLITS, assign_splits, split_by_name

NAMES = {
    "train": "train Train TRAIN training train2017 training_set trainA trainB train-images "
    "trainset TrainImages traindata train.v1 DIV2K_train_HR Training_Data trainval",
    "validation": "val valid validation dev VAL val2017 valid_64x64 validation_set valA "
    "valset dev-1",
    "test": "test Test testing test2017 test_set testA testB test-images testset TestImages eval "
    "images_evaluation test.v1 Testing_Data evaluation",
}
NEUTRAL = ["dataset", "images", "data", "v2", "images_background", "archive", "original", "other"]
CLASSES = ["cat", "dog", "0", "test_tube", "Background", "train"]
SPLIT_NAMES = {split: names.split() for split, names in NAMES.items()}

Roles = dict[str, str]
"""For each picture's name the split that it was made for."""


def held_out_in_training(folder: Path, roles: Roles) -> list[str]:
    """Pictures in a split that comes before the one they were made for."""
    stored = open_folder(folder).splits()
    names = {split: [Path(picture.name).stem for picture in of] for split, of in stored.items()}
    assigned, _ = assign_splits({split: len(of) for split, of in names.items()})
    return [
        name
        for split, targets in assigned.items()
        for name, target in zip(names[split], targets, strict=True)
        if 0 <= target < SPLITS.index(roles[name])
    ]


def make(folder: Path, layout: Sequence[tuple[str, Sequence[str]]], each: int = 3) -> Roles:
    """Empty files in folders, for each a role and the folders on the way."""
    roles = {}
    for number, (role, parts) in enumerate(layout):
        place = folder.joinpath(*parts)
        place.mkdir(parents=True, exist_ok=True)
        for picture in range(each):
            name = f"{number}-{picture}"
            (place / f"{name}.png").touch()
            roles[name] = role
    return roles


@st.composite
def layouts(draw: st.DrawFn) -> list[tuple[str, list[str]]]:
    """Splits under any of their names, nested anyhow, with and without classes and strays."""
    above = draw(st.lists(st.sampled_from([*NEUTRAL, "test", "training", "val2"]), max_size=2))
    classes = draw(st.lists(st.sampled_from(CLASSES), unique=True, max_size=3))
    order = draw(st.sampled_from(["split first", "class first", "one level between"]))
    layout = []
    for role in draw(st.lists(st.sampled_from(SPLITS), unique=True, min_size=1)):
        for name in draw(st.lists(st.sampled_from(SPLIT_NAMES[role]), min_size=1, max_size=2)):
            for kind in classes or [""]:
                below = [kind] if kind else []
                middle = {
                    "split first": [name, *below],
                    "class first": [*below, name],
                    "one level between": [name, "images", *below],
                }[order]
                layout.append((role, [*above, *middle]))
    if draw(st.booleans()):
        layout.append(("train", draw(st.lists(st.sampled_from(NEUTRAL), max_size=2))))
    return layout


@given(layouts())
def test_no_layout_lets_a_held_out_picture_into_training(layout) -> None:
    with TemporaryDirectory() as folder:
        roles = make(Path(folder), layout)
        try:
            found = held_out_in_training(Path(folder), roles)
        except DataError:
            return
        assert not found


@settings(max_examples=25)
@given(st.data(), st.sampled_from(["", "data", "{}"]))
def test_no_names_of_shards_let_a_held_out_picture_into_training(data, above) -> None:
    picks = [(role, data.draw(st.sampled_from(SPLIT_NAMES[role]))) for role in ("train", "test")]
    assume(len({name for _, name in picks}) == 2)
    with TemporaryDirectory() as folder:
        for role, name in picks:
            write_shard(Path(folder) / above.format(name) / f"{name}.parquet", [role] * 4)
        try:
            source = open_folder(Path(folder))
            stored = {split: [p.label for p in of] for split, of in source.splits().items()}
            assigned, _ = assign_splits({split: len(of) for split, of in stored.items()})
        except DataError:
            return
        roles = source.classes() or ()
        trained_on = {
            roles[label]
            for split, targets in assigned.items()
            for label, target in zip(stored[split], targets, strict=True)
            if target == SPLITS.index("train")
        }
        assert trained_on == {"train"}


def png(shade: int) -> bytes:
    stream = io.BytesIO()
    Pillow.new("L", (4, 4), shade).save(stream, "PNG")
    return stream.getvalue()


def write_shard(path: Path, labels: Sequence[str | int | None], kind: object = None) -> None:
    features = Features({"image": Image(), "label": kind or Value("string")})
    image = {"bytes": b"", "path": None}
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"image": [image] * len(labels), "label": list(labels)}
    pq.write_table(pa.table(columns, schema=features.arrow_schema), path)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train2017", "val2017"),
        ("training_set", "test_set"),
        ("trainA", "testA"),
        ("dataset/train", "dataset/test"),
        ("a/b/TRAIN", "a/b/Testing"),
        ("TrainImages", "images_evaluation"),
    ],
)
@pytest.mark.parametrize("classes", [["cat", "dog"], [""]])
def test_splits_are_found_with_their_classes(tmp_path: Path, train, test, classes) -> None:
    layout = [("train", [train, kind]) for kind in classes]
    make(tmp_path, layout + [("test", [test, kind]) for kind in classes])
    source = open_folder(tmp_path)
    stored = {split: [p.label for p in of] for split, of in source.splits().items()}
    labels = [None] * 3 if classes == [""] else [0] * 3 + [1] * 3
    assert stored == {"train": labels, "validation" if "val" in test[:3] else "test": labels}
    assert source.classes() == (None if classes == [""] else ("cat", "dog"))


def test_classes_may_come_before_splits(tmp_path: Path) -> None:
    make(tmp_path, [(role, [kind, role]) for kind in ("cat", "dog") for role in ("train", "test")])
    source = open_folder(tmp_path)
    assert source.classes() == ("cat", "dog")
    assert {split: len(list(of)) for split, of in source.splits().items()} == {
        "train": 6,
        "test": 6,
    }


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["images_background", "images_evaluation"], "images_evaluation/.* is one of test"),
        (["plain", "test"], "test/.* is one of test"),
        (["test"], "test/.* is one of test"),
        (["train/val", "train/cat"], r"of several: train \(train\) and val"),
        (["test/train", "test/test"], r"several: test \(test\) and train"),
    ],
)
def test_what_is_unclear_is_refused_by_name(tmp_path: Path, folders, message) -> None:
    make(tmp_path, [("train", name.split("/")) for name in folders])
    with pytest.raises(DataError, match=message):
        open_folder(tmp_path).splits()


def test_names_of_pictures_tell_of_splits_where_all_of_them_do(tmp_path: Path) -> None:
    for name in ("train_1", "train_2", "test_1", "TRAIN-3"):
        (tmp_path / f"{name}.png").touch()
    stored = {split: len(list(of)) for split, of in open_folder(tmp_path).splits().items()}
    assert stored == {"train": 3, "test": 1}
    (tmp_path / "cover.png").touch()
    with pytest.raises(DataError, match=r"got .*3 train.*1 test.*cover\.png.*folder of its own"):
        open_folder(tmp_path).splits()


def test_names_of_pictures_that_tell_of_one_split_say_nothing(tmp_path: Path) -> None:
    for name in ("train_1", "train_2", "car_1"):
        (tmp_path / f"{name}.png").touch()
    assert open_folder(tmp_path).splits().keys() == {"all"}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, split) for split, names in SPLIT_NAMES.items() for name in names),
        *((name, None) for name in [*NEUTRAL, "latest", "trains", "contest", "valley", "protest"]),
        ("train_test_split", None),
    ],
)
def test_what_a_name_tells_of(name: str, split: str | None) -> None:
    assert split_by_name(name) == split


def test_datasets_goes_by_the_same_words() -> None:
    from datasets.data_files import SPLIT_KEYWORDS

    for split, words in SPLIT_KEYWORDS.items():
        for word in words:
            for name in (word, f"{word}2017", f"{word}-a", f"my_{word}", f"my.{word} 2"):
                assert split_by_name(name) == str(split)


# Labels: kept, or said to be dropped.


def said_of(folder: Path, picture: Path | None = None, **fields: object) -> str:
    """What a report says of a folder's pictures, each made one of 4 x 4 pixels first."""
    for path in folder.rglob("*.png"):
        Pillow.new("L", (4, 4), int(path.stem.split("-")[-1]) * 9).save(path)
    cache = str(folder.parent / "cache")
    config = DataConfig("images", path=str(folder), cache_dir=cache, **fields)
    return load_splits(config, progress=False).train.source


def test_a_stray_picture_beside_classes_is_said_to_cost_the_labels(tmp_path: Path, caplog) -> None:
    folder = tmp_path / "set"
    make(folder, [("train", ["cat"]), ("train", ["dog"]), ("train", [])], each=4)
    said = said_of(folder)
    assert "no labels: 4 of 12 pictures, such as 2-0.png, lie outside" in said
    assert said.endswith("the folders of classes (cat, dog)")
    assert "no labels: 4 of 12 pictures" in caplog.text


def test_a_folder_of_masks_is_mentioned(tmp_path: Path, caplog) -> None:
    for name in ("images", "masks"):
        make(tmp_path / "set", [("train", [name])], each=6)
    assert "the pictures in masks are named as others are" in said_of(tmp_path / "set")
    assert "masks" in caplog.text


def test_other_folders_with_the_same_names_are_classes(tmp_path: Path, caplog) -> None:
    for name in ("left", "right"):
        make(tmp_path / "set", [("train", [name])], each=6)
    assert said_of(tmp_path / "set").endswith("by a fixed shuffle")
    warnings = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert all("have one colour alone" in one for one in warnings), "as these pictures do"


def write_metadata(path: Path, rows: list[dict[str, object]]) -> None:
    if path.suffix == ".jsonl":
        text = "\n".join(map(json.dumps, rows))
    else:
        names = list(rows[0])
        lines = [",".join(str(row.get(name, "")) for name in names) for row in rows]
        text = "\n".join([",".join(names), *lines])
    path.write_text(text + "\n")


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv"])
@pytest.mark.parametrize(
    ("labels", "numbers", "classes"),
    [
        ([3, 0, 1], [3, 0, 1], None),
        (["dog", "cat", "dog"], [1, 0, 1], ("cat", "dog")),
    ],
)
def test_metadata_has_the_labels(tmp_path: Path, name, labels, numbers, classes) -> None:
    make(tmp_path, [("train", ["train"]), ("test", ["test"])])
    for number, split in enumerate(("train", "test")):
        rows = [{"file_name": f"{number}-{k}.png", "label": v} for k, v in enumerate(labels)]
        write_metadata(tmp_path / split / name, rows)
    source = open_folder(tmp_path)
    stored = {split: [p.label for p in of] for split, of in source.splits().items()}
    assert stored == {"test": numbers, "train": numbers}
    assert source.classes() == classes
    assert source.remarks() == ()
    before = source.stamp(), source.fingerprint()
    write_metadata(tmp_path / "train" / name, [{"file_name": "0-0.png", "label": 7}])
    again = open_folder(tmp_path)
    assert again.fingerprint() != before[1]
    assert again.stamp() != before[0]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"file_name": "0-0.png", "text": "a cat"}], "no file_name with a label, but file_name"),
        ([{"file_name": "0-0.png", "label": [1, 2]}], "label such as [1, 2]"),
        ([{"file_name": "0-0.png", "label": 0.5}], "label such as 0.5"),
        ([{"file_name": "0-0.png", "label": 10**12}], "label such as 1000000000000"),
        ([{"file_name": "gone.png", "label": 1}], "1 rows of metadata name no picture here"),
        ([{"file_name": "../0-0.png", "label": 1}], "1 rows of metadata name no picture here"),
        ([{"file_name": "0-0.png", "label": 1}], "no labels in all: 11 of 12 pictures, such as"),
    ],
)
def test_labels_of_metadata_that_are_dropped_are_mentioned(tmp_path, caplog, rows, said) -> None:
    folder = tmp_path / "set"
    make(folder, [("train", [])], each=12)
    write_metadata(folder / "metadata.jsonl", rows)
    assert said in said_of(folder)
    assert said in caplog.text


def test_metadata_as_excel_saves_it(tmp_path: Path) -> None:
    make(tmp_path, [("0", []), ("1", [])], each=1)
    lines = ["file_name,caption,label", '0-0.png,"a cat, asleep",3', "1-0.png,a dog,1,,"]
    (tmp_path / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    assert [p.label for p in open_folder(tmp_path).splits()["all"]] == [3, 1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0-0.png,a cat, asleep,3", "line 3: expected 3 columns, .*put a text with commas into"),
        ("0-0.png," + "a" * 200_000 + ",3", "after line 2: expected CSV, field larger"),
    ],
    ids=["comma", "long"],
)
def test_metadata_with_a_line_that_does_not_fit_is_named(
    tmp_path: Path, line: str, message: str
) -> None:
    make(tmp_path, [("0", [])], each=2)
    lines = ["file_name,caption,label", "0-1.png,a dog,1", line]
    (tmp_path / "metadata.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=f"metadata.csv, {message}"):
        open_folder(tmp_path).classes()


@pytest.mark.parametrize("text", ["{", "[]", '{"label": NaN}', "7"])
def test_damaged_metadata_is_named(tmp_path: Path, text: str) -> None:
    make(tmp_path, [("train", [])])
    (tmp_path / "metadata.jsonl").write_text(f'{{"file_name": "0-0.png", "label": 1}}\n{text}\n')
    with pytest.raises(DataError, match=r"metadata\.jsonl, line 2: expected"):
        open_folder(tmp_path).classes()


def test_texts_are_labels_of_shards(tmp_path: Path) -> None:
    write_shard(tmp_path / "train.parquet", ["dog", "cat", None])
    write_shard(tmp_path / "test.parquet", ["emu"])
    source = open_folder(tmp_path)
    assert source.classes() == ("cat", "dog", "emu")
    stored = {split: [p.label for p in of] for split, of in source.splits().items()}
    assert stored == {"train": [1, 0, None], "test": [2]}
    assert source.remarks() == ()


def test_labels_of_shards_that_are_dropped_are_mentioned(tmp_path: Path) -> None:
    write_shard(tmp_path / "train.parquet", [0.5, 1.0], Value("float32"))
    source = open_folder(tmp_path)
    assert source.classes() is None
    assert source.remarks() == ("no labels, which are numbers or texts, not label (float32)",)


@pytest.mark.parametrize("name", ["class", "Target", "y", "digit", "character", "Labels"])
def test_labels_have_the_same_names_in_every_table(tmp_path: Path, name: str) -> None:
    columns = {"image": [{"bytes": png(9), "path": None}] * 2, name: [3, 1], "id": [0, 1]}
    features = Features({"image": Image(), name: Value("int64"), "id": Value("int64")})
    data = Dataset.from_dict(columns, features=features)
    assert image_set(data).labels.tolist() == [3, 1]
    data.save_to_disk(tmp_path / "saved")
    (tmp_path / "shards").mkdir()
    data.to_parquet(tmp_path / "shards" / "train.parquet")
    make(tmp_path / "metadata", [("0", []), ("1", [])], each=1)
    rows = [{"file_name": f"{n}-0.png", name: label} for n, label in enumerate((3, 1))]
    write_metadata(tmp_path / "metadata" / "metadata.csv", rows)
    for folder in ("saved", "shards", "metadata"):
        source = open_folder(tmp_path / folder)
        assert [p.label for of in source.splits().values() for p in of] == [3, 1]
        assert source.remarks() == ()


def test_columns_that_are_not_used_are_mentioned(tmp_path: Path, caplog) -> None:
    columns = {"image": [{"bytes": png(9), "path": None}], "kind": ["cat"], "id": [0]}
    features = Features({"image": Image(), "kind": Value("string"), "id": Value("int64")})
    data = Dataset.from_dict(columns, features=features)
    (tmp_path / "set").mkdir()
    data.to_parquet(tmp_path / "set" / "train.parquet")
    said = "columns not used: kind (string)"
    assert open_folder(tmp_path / "set").remarks() == (said,)
    assert image_set(data).labels is None
    assert said in caplog.text


def test_of_two_columns_of_classes_the_other_is_mentioned(tmp_path: Path) -> None:
    kind = ClassLabel(names=["a", "b"])
    features = Features({"image": Image(), "fine": kind, "coarse": kind})
    columns = {"image": [{"bytes": b"", "path": None}], "fine": [1], "coarse": [0]}
    pq.write_table(pa.table(columns, schema=features.arrow_schema), tmp_path / "train.parquet")
    source = open_folder(tmp_path)
    assert source.remarks() == ("labels are of column fine, not coarse (int64)",)


def test_what_is_not_read_of_a_folder_of_shards_is_mentioned(tmp_path: Path, caplog) -> None:
    write_shard(tmp_path / "train.parquet", [0, 1], Value("int64"))
    write_shard(tmp_path / "background.parquet", [0, 1], Value("int64"))
    (tmp_path / "cover.png").touch()
    source = open_folder(tmp_path)
    assert source.splits().keys() == {"train"}
    assert source.remarks() == (
        "shards of no split, not used: 1 file (1 .parquet)",
        "pictures that no row names, not used: 1 file (1 .png)",
    )
    assert "shards of no split" in caplog.text


def test_pictures_that_rows_name_are_of_the_set(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number}.png").write_bytes(png(9 * number))
    (folder / "cover.png").write_bytes(png(1))
    rows = {"image": [{"bytes": None, "path": f"{number}.png"} for number in range(12)]}
    features = Features({"image": Image()})
    pq.write_table(pa.table(rows, schema=features.arrow_schema), folder / "pictures.parquet")
    config = DataConfig("images", path=str(folder), cache_dir=str(tmp_path / "cache"))
    before = load_splits(config, progress=False).train
    assert "pictures that no row names, not used: 1 file (1 .png)" in before.source
    assert "passed over" not in before.source
    for number in range(12):
        (folder / f"{number}.png").write_bytes(png(9 * number + 100))
    after = load_splits(config, progress=False).train
    assert (after.images == before.images + 100).all()


@pytest.mark.parametrize("card", ["README.md", ".huggingface.yaml"])
def test_a_changed_card_is_noticed(tmp_path: Path, card: str) -> None:
    for name in ("a", "b"):
        write_shard(tmp_path / f"{name}.parquet", [0, 1], Value("int64"))
    found = [(open_folder(tmp_path).stamp(), open_folder(tmp_path).fingerprint())]
    for name in ("a", "b"):
        text = f"configs:\n- config_name: default\n  data_files: {name}.parquet\n"
        (tmp_path / card).write_text(text if card.startswith(".") else f"---\n{text}---\n")
        source = open_folder(tmp_path)
        assert [picture.name for of in source.splits().values() for picture in of] == [
            f"{name}.parquet, row 0", f"{name}.parquet, row 1",
        ]  # fmt: skip
        found.append((source.stamp(), source.fingerprint()))
    assert [len(set(each)) for each in zip(*found, strict=True)] == [3, 3]


@pytest.mark.parametrize(
    ("shards", "splits"),
    [(["pictures"], ["train"]), (["train", "test", "other"], ["test", "train"]),
     (["data/train-00000-of-00001", "data/valid-00000-of-00001"], ["train", "validation"])],
)  # fmt: skip
def test_shards_are_read_beside_more_files_of_another_kind(
    tmp_path: Path, shards: list[str], splits: list[str]
) -> None:
    for name in shards:
        write_shard(tmp_path / f"{name}.parquet", [0, 1], Value("int64"))
    for number in range(9):
        (tmp_path / f"train {number}.csv").write_text("a,b\n1,2\n")
    source = open_folder(tmp_path)
    assert sorted(source.splits()) == splits
    assert source.description().endswith("(passed over: 9 files (9 .csv))")


def test_splits_left_aside_are_mentioned() -> None:
    _, said = assign_splits({"train": 100, "test": 10, "extra": 1000})
    assert said.endswith("fixed shuffle; extra: 1,000, not used")
