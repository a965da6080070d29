"""Files as they lie on disk: each format, made small, and read to the same pictures and labels."""

import gzip
import hashlib
import io
import json
import re
import shutil
import struct
import sys
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.io
from datasets import Dataset, DatasetDict
from PIL import Image

from draw.config.data import DataConfig
from draw.data import DataError, check, load_images
from draw.data.sets.official import text_sum
from draw.data.sets.table import KNOWN_SETS
from draw.data.sources import number_lines
from draw.data.sources.open_source import open_source
from draw.data.sources.source import Source
from draw.data.sources.source_table import SOURCES
from draw.data.store.decode import Conversion, decode

RANDOM = np.random.default_rng(0)
PICTURES = {
    "train": RANDOM.integers(0, 256, (7, 6, 6), dtype=np.uint8),
    "test": RANDOM.integers(0, 256, (4, 6, 6), dtype=np.uint8),
}
LABELS = {"train": np.arange(7) % 3, "test": np.arange(4) % 3}

Content = tuple[dict[str, list[bytes]], dict[str, list[int | None]]]


def opened(path: Path, **fields: Any) -> Source:
    return open_source(DataConfig("images", str(path), **fields))


def content(source: Source, size: tuple[int, int] = (6, 6), mode: str = "grey") -> Content:
    """Pixels and labels of each split."""
    pictures = {split: list(of) for split, of in source.splits().items()}
    pixels = {
        split: [decode(one, Conversion(size, mode)).tobytes() for one in of]
        for split, of in pictures.items()
    }
    return pixels, {split: [one.label for one in of] for split, of in pictures.items()}


def expected(
    pictures: Mapping[str, np.ndarray] = PICTURES, labels: Mapping[str, np.ndarray] | None = LABELS
) -> Content:
    return (
        {split: [one.tobytes() for one in of] for split, of in pictures.items()},
        {
            split: [None] * len(of) if labels is None else labels[split].tolist()
            for split, of in pictures.items()
        },
    )


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    head = struct.pack(">HBB", 0, kind, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype({8: ">u1", 12: ">i4"}[kind]).tobytes()


def write_idx(folder: Path, prefix: str = "", end: str = "", turned: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pack = gzip.compress if end == ".gz" else bytes
    for split, name in (("train", "train"), ("test", "test" if prefix else "t10k")):
        pictures = PICTURES[split].swapaxes(1, 2) if turned else PICTURES[split]
        for kind, array in (("images-idx3", pictures), ("labels-idx1", LABELS[split])):
            (folder / f"{prefix}{name}-{kind}-ubyte{end}").write_bytes(pack(idx(array)))


def csv_text(pictures: np.ndarray, labels: Any = None, header: bool = True, by: str = ",") -> str:
    rows = pictures.reshape(len(pictures), -1).tolist()
    if labels is not None:
        rows = [[label, *row] for label, row in zip(labels, rows, strict=True)]
    names = ["label"] * (labels is not None) + [f"pixel{at}" for at in range(36)]
    lines = [names] * header + rows
    return "\n".join(by.join(map(str, line)) for line in lines) + "\n"


def write_csv(folder: Path, **options: Any) -> None:
    for split in PICTURES:
        text = csv_text(PICTURES[split], LABELS[split], **options)
        (folder / f"mnist_{split}.csv").write_text(text)


def write_npz(folder: Path, names: str, **change: Callable[[np.ndarray], np.ndarray]) -> None:
    turn = change.get("pictures", lambda array: array)
    arrays = {}
    for split in PICTURES:
        pictures, labels = (name.format(split) for name in names.split())
        arrays[pictures], arrays[labels] = turn(PICTURES[split]), LABELS[split]
    np.savez(folder / "digits.npz", **arrays)


def write_npy(folder: Path) -> None:
    for split in PICTURES:
        np.save(folder / f"x_{split}.npy", PICTURES[split])
        np.save(folder / f"y_{split}.npy", LABELS[split])


def rows_of(split: str, **columns: Callable[[np.ndarray], Any]) -> Dataset:
    rows: dict[str, Any] = {"label": LABELS[split].tolist()}
    for name, convert in columns.items():
        rows[name] = [convert(picture) for picture in PICTURES[split]]
    return Dataset.from_dict(rows)


def png(picture: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def struct_of(picture: np.ndarray) -> dict[str, Any]:
    return {"bytes": png(picture), "path": None}


def write_parquet(folder: Path, **columns: Callable[[np.ndarray], Any]) -> None:
    for split in PICTURES:
        table = rows_of(split, **columns).data.table.replace_schema_metadata()  # as of pandas
        pq.write_table(table, folder / f"{split}.parquet")


def write_saved(folder: Path, **columns: Callable[[np.ndarray], Any]) -> None:
    DatasetDict({split: rows_of(split, **columns) for split in PICTURES}).save_to_disk(folder)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "idx": write_idx,
    "idx packed": lambda folder: write_idx(folder, end=".gz"),
    "idx, both": lambda folder: (write_idx(folder), write_idx(folder, end=".gz")),
    "idx, torchvision": lambda folder: write_idx(folder / "FashionMNIST" / "raw"),
    "emnist": lambda folder: write_idx(folder, "emnist-letters-", turned=True),
    "csv": write_csv,
    "csv, no header": lambda folder: write_csv(folder, header=False),
    "csv, semicolons": lambda folder: write_csv(folder, by=";"),
    "npz, Keras": lambda folder: write_npz(folder, "x_{} y_{}"),
    "npz, MedMNIST": lambda folder: write_npz(folder, "{}_images {}_labels"),
    "npz, planes": lambda folder: write_npz(folder, "X_{} y_{}", pictures=lambda x: x[:, None]),
    "npz, flat": lambda folder: write_npz(
        folder, "x_{} y_{}", pictures=lambda x: x.reshape(len(x), -1)
    ),
    "npz, by column": lambda folder: write_npz(folder, "x_{} y_{}", pictures=np.asfortranarray),
    "npz, 0 to 1": lambda folder: write_npz(
        folder, "x_{} y_{}", pictures=lambda x: (x / 255).astype(np.float32)
    ),
    "npz, wide": lambda folder: write_npz(
        folder, "x_{} y_{}", pictures=lambda x: x.astype(np.float64)
    ),
    "npy": write_npy,
    "parquet, struct": lambda folder: write_parquet(folder, image=struct_of),
    "parquet, bytes": lambda folder: write_parquet(folder, image=png),
    "parquet, lists": lambda folder: write_parquet(folder, image=lambda x: x.tolist()),
    "parquet, one list": lambda folder: write_parquet(folder, pixels=lambda x: x.ravel().tolist()),
    "parquet, 0 to 1": lambda folder: write_parquet(folder, image=lambda x: (x / 255).tolist()),
    "saved": lambda folder: write_saved(folder, image=struct_of),
    "saved, lists": lambda folder: write_saved(folder, image=lambda x: x.tolist()),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_gives_the_same_pictures_and_labels(layout: str, tmp_path: Path) -> None:
    LAYOUTS[layout](tmp_path)
    assert content(opened(tmp_path)) == expected()


def write_pictures(folder: Path) -> None:
    for split, pictures in PICTURES.items():
        for number, picture in enumerate(pictures):
            file = folder / split / f"class {LABELS[split][number]}" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(picture))


def write_metadata(folder: Path) -> None:
    for split, pictures in PICTURES.items():
        (folder / split).mkdir()
        lines = [f"{number}.png,{LABELS[split][number]}" for number in range(len(pictures))]
        (folder / split / "metadata.csv").write_text("\n".join(["file_name,label", *lines]))
        for number, picture in enumerate(pictures):
            (folder / split / f"{number}.png").write_bytes(png(picture))


def write_parquet_of_names(folder: Path) -> None:
    for split, pictures in PICTURES.items():
        names = [f"{split}-{number}.png" for number in range(len(pictures))]
        for name, picture in zip(names, pictures, strict=True):
            (folder / name).write_bytes(png(picture))
        rows = {"image": [{"bytes": None, "path": name} for name in names], "label": LABELS[split]}
        pq.write_table(Dataset.from_dict(rows).data.table, folder / f"{split}.parquet")


def write_card(folder: Path) -> None:
    write_parquet(folder, image=png)
    files = [{"split": split, "path": f"{split}.parquet"} for split in PICTURES]
    card = {"configs": [{"config_name": "default", "data_files": files}]}
    (folder / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n")


def write_archive(folder: Path, kind: str) -> None:
    inner = folder.parent / "packed"
    inner.mkdir()
    write_pictures(inner)
    shutil.make_archive(str(folder / "pictures"), kind, inner)


def write_matrices(folder: Path) -> None:
    for split, pictures in PICTURES.items():
        values = {"X": np.stack([pictures] * 3, -1).transpose(1, 2, 3, 0), "y": LABELS[split] + 1}
        scipy.io.savemat(folder / f"{split}_6x6.mat", values)


SINGLE = re.compile(r".*\.(parquet|csv|npz|zip|tar\.gz|mat)|x_.*\.npy|.*images.*-ubyte(\.gz)?")
"""Names of files that hold pictures, alone or with their labels."""
AT_HAND: dict[str, Callable[[Path], None]] = LAYOUTS | {
    "pictures": write_pictures,
    "pictures, metadata": write_metadata,
    "parquet, names": write_parquet_of_names,
    "parquet, card": write_card,
    "zip": lambda folder: write_archive(folder, "zip"),
    "tar": lambda folder: write_archive(folder, "gztar"),
    "mat": write_matrices,
}


@pytest.mark.parametrize("layout", AT_HAND)
def test_what_is_in_the_working_folder_needs_no_longer_path(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    AT_HAND[layout](folder)

    def found(path: str) -> tuple[Any, ...]:
        source = open_source(DataConfig("images", path))
        facts = source.location(), source.stamp(), source.fingerprint(), source.classes()
        return content(source), *facts, source.remarks()

    (folder / "inner").mkdir()
    whole = found(str(folder))
    assert sum(map(len, whole[0][0].values())) == 11
    files = [file.name for file in folder.iterdir() if SINGLE.fullmatch(file.name)]
    alone = {name: found(str(folder / name)) for name in files}
    monkeypatch.chdir(folder)
    assert found(".") == whole
    assert {name: found(name) for name in files} == alone
    monkeypatch.chdir(folder / "inner")
    assert found("..") == whole
    assert {name: found(f"../{name}") for name in files} == alone


def test_one_file_is_a_place_of_its_own(tmp_path: Path) -> None:
    write_npz(tmp_path, "x_{} y_{}")
    write_csv(tmp_path)
    assert content(opened(tmp_path / "digits.npz")) == expected()
    (pixels, labels) = content(opened(tmp_path / "mnist_train.csv"))
    assert (pixels["train"], labels["train"]) == (expected()[0]["train"], LABELS["train"].tolist())
    write_idx(tmp_path / "idx")
    alone = opened(tmp_path / "idx" / "train-images-idx3-ubyte")
    assert content(alone)[1] == {"train": [None] * 7}
    assert alone.remarks() == ("no labels beside train-images-idx3-ubyte",)


def amat(pictures: np.ndarray, labels: np.ndarray | None = None, by: str = " ") -> str:
    rows = pictures.reshape(len(pictures), -1)
    if labels is not None:
        rows = np.concatenate([rows, labels[:, None]], axis=1)
    return "".join(by.join(f"{number:g}" for number in row) + "\n" for row in rows)


@pytest.mark.parametrize(("by", "end"), [(" ", "\n"), ("   ", "\n"), (" ", "\r\n")])
def test_amat(tmp_path: Path, by: str, end: str) -> None:
    binary = {split: (of > 127).astype(np.uint8) for split, of in PICTURES.items()}
    for split, name in (("train", "train"), ("validation", "valid"), ("test", "test")):
        text = amat(binary.get(split, binary["test"]), by=by)
        (tmp_path / f"binarized_mnist_{name}.amat").write_text(text, newline=end)
    white = {split: 255 * of for split, of in {"validation": binary["test"], **binary}.items()}
    source = opened(tmp_path)
    assert content(source) == expected(white, labels=None)
    assert source.remarks() == ("pixels from 0 to 1, of which 1 is white",)


def test_a_long_file_of_carriage_returns_is_no_long_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(number_lines, "LINE_BYTES", 20)
    (tmp_path / "a_train.amat").write_bytes(b"1 0 1 1\r" * 12)
    with pytest.raises(DataError, match="got carriage returns alone"):
        content(opened(tmp_path))


def test_amat_with_labels(tmp_path: Path) -> None:
    (tmp_path / "mnist_train.amat").write_text(amat(PICTURES["train"] / 255, LABELS["train"]))
    source = opened(tmp_path)
    assert content(source)[1] == {"train": LABELS["train"].tolist()}
    assert "the last number of a line is its label" in source.remarks()


def test_the_official_files_are_known_by_their_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = (PICTURES["train"] > 127).astype(np.uint8)
    text = "\n".join(" ".join(map(str, row.ravel())) for row in binary) + "\n"
    sum_of_text = hashlib.sha256(text.encode()).hexdigest()
    assert text_sum(255 * binary[:, None]) == sum_of_text
    for name in ("train", "valid", "test"):
        (tmp_path / f"binarized_mnist_{name}.amat").write_text(text)
    config = DataConfig("binarized_mnist", str(tmp_path), cache_dir=str(tmp_path / "cache"))
    assert check(config, progress=False).official is False
    known = KNOWN_SETS["binarized_mnist"]
    files = tuple(replace(file, sha256=sum_of_text) for file in known.published_files)
    known = replace(known, published_files=files)
    monkeypatch.setitem(KNOWN_SETS, "binarized_mnist", known)
    assert check(config, progress=False).official is True
    assert check(replace(config, name="images"), progress=False).official is None


def test_labels_may_be_texts_and_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(csv_text(PICTURES["train"], list("abcabca")))
    (tmp_path / "test.csv").write_text(csv_text(PICTURES["test"]))
    source = opened(tmp_path)
    assert content(source)[1] == {"test": [None] * 4, "train": [0, 1, 2, 0, 1, 2, 0]}
    assert source.classes() == ("a", "b", "c")
    np.savez(tmp_path / "texts.npz", x=PICTURES["train"], y=np.array(list("bacabca")))
    source = opened(tmp_path / "texts.npz")
    assert (content(source)[1]["all"], source.classes()) == ([1, 0, 2, 0, 1, 2, 0], tuple("abc"))


def test_a_file_for_each_class(tmp_path: Path) -> None:
    """As Quick, Draw! has it."""
    for name in ("cat", "dog"):
        np.save(tmp_path / f"{name}.npy", PICTURES["test"].reshape(4, 36))
    source = opened(tmp_path)
    assert (content(source)[1]["all"], source.classes()) == ([0] * 4 + [1] * 4, ("cat", "dog"))


def test_colours(tmp_path: Path) -> None:
    pictures = RANDOM.integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
    for name, array in (("last", pictures), ("first", pictures.transpose(0, 3, 1, 2))):
        np.save(tmp_path / f"{name}.npy", array)
        pixels, _ = content(opened(tmp_path / f"{name}.npy"), (4, 6), "colour")
        assert pixels["all"] == [one.transpose(2, 0, 1).tobytes() for one in pictures]


def test_arrays_that_are_no_pictures_nor_labels_are_named(tmp_path: Path) -> None:
    values = np.zeros((7, 4))
    np.savez(tmp_path / "sprites.npz", imgs=PICTURES["train"], latents=values, about=np.array([{}]))
    assert opened(tmp_path).remarks() == ("arrays not used: latents, about",)


def test_one_parquet_file(tmp_path: Path) -> None:
    write_parquet(tmp_path, image=png)
    source = opened(tmp_path / "train.parquet")
    assert content(source)[1] == {"train": LABELS["train"].tolist()}
    assert source.description() == str(tmp_path / "train.parquet")
    assert source.location() != opened(tmp_path).location()


def test_lists_of_different_sizes_are_refused(tmp_path: Path) -> None:
    Dataset.from_dict({"image": [[[1, 2], [3, 4]], [[1, 2, 3]]]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="expected lists of pixels of one size in each row"):
        content(opened(tmp_path), (2, 2))


@pytest.mark.parametrize("name", ["../secret.arrow", "/etc/secret.arrow", "a/b.arrow", "a.txt", 3])
def test_a_saved_set_reads_its_own_files_alone(name: object, tmp_path: Path) -> None:
    write_saved(tmp_path, image=struct_of)
    state = tmp_path / "train" / "state.json"
    state.write_text(
        json.dumps({**json.loads(state.read_text()), "_data_files": [{"filename": name}]})
    )
    with pytest.raises(DataError, match="expected the Arrow files of its own folder"):
        opened(tmp_path).splits()


def test_svhn_as_matlab_has_it(tmp_path: Path) -> None:
    colours = {split: np.stack([of] * 3, -1) for split, of in PICTURES.items()}
    for split, of in colours.items():
        labels = np.where(LABELS[split] == 0, 10, LABELS[split])[:, None]
        values = {"X": of.transpose(1, 2, 3, 0), "y": labels.astype(np.uint8)}
        scipy.io.savemat(tmp_path / f"{split}_6x6.mat", values)
    assert content(opened(tmp_path)) == expected()
    (tmp_path / "test_6x6.mat").write_bytes(b"MATLAB 7.3")
    with pytest.raises(DataError, match=r"test_6x6\.mat: expected MATLAB's format 5"):
        opened(tmp_path).splits()
    scipy.io.savemat(tmp_path / "test_6x6.mat", {"Y": np.zeros(3)})
    with pytest.raises(DataError, match="expected an array X of rows x columns x 3 x pictures"):
        opened(tmp_path).splits()


@pytest.mark.parametrize(("names", "labels_each"), [
    (("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"), 1),
    (("train.bin", "test.bin"), 2),
])  # fmt: skip
def test_cifar(names: tuple[str, ...], labels_each: int, tmp_path: Path) -> None:
    pictures = RANDOM.integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
    for name in names:
        rows = [
            bytes([9] * (labels_each - 1) + [at]) + x.tobytes() for at, x in enumerate(pictures)
        ]
        (tmp_path / name).write_bytes(b"".join(rows))
    (tmp_path / "batches.meta.txt").write_text("airplane\nautomobile\n\n")
    source = opened(tmp_path)
    pixels, labels = content(source, (32, 32), "colour")
    assert pixels["test"] == [one.tobytes() for one in pictures]
    assert labels == {"train": [0, 1] * (len(names) - 1), "test": [0, 1]}
    assert source.classes() == ("airplane", "automobile")


def write_house_numbers(folder: Path) -> None:
    """Two pictures with a digitStruct.mat, which says where one digit is, and where two are."""
    h5py = pytest.importorskip("h5py")
    folder.mkdir()
    with h5py.File(folder / "digitStruct.mat", "w") as file:
        names, boxes = [], []
        for number, count in ((1, 1), (2, 2)):
            Image.new("RGB", (60, 40)).save(folder / f"{number}.png")
            name = file.create_dataset(
                f"#refs#/n{number}", data=[[ord(c)] for c in f"{number}.png"]
            )
            group = file.create_group(f"#refs#/b{number}")
            for edge, start in (("left", 5), ("top", 10), ("width", 20), ("height", 30)):
                values = [start + 25 * at * (edge == "left") for at in range(count)]
                if count > 1:
                    values = [
                        [file.create_dataset(f"#refs#/{edge}{at}", data=[[float(v)]]).ref]
                        for at, v in enumerate(values)
                    ]
                kind = h5py.ref_dtype if count > 1 else None
                group.create_dataset(edge, data=np.array(values, dtype=kind).reshape(count, 1))
            names.append([name.ref])
            boxes.append([group.ref])
        for what, of in (("name", names), ("bbox", boxes)):
            file.create_dataset(f"digitStruct/{what}", data=np.array(of, dtype=h5py.ref_dtype))


HOUSE_NUMBERS = [{"bbox": [[5, 10, 20, 30]]}, {"bbox": [[5, 10, 20, 30], [30, 10, 20, 30]]}]


@pytest.mark.parametrize("splits", [("train",), ("train", "test")])
def test_archives_of_house_numbers_have_the_boxes_of_their_folders(
    splits: tuple[str, ...], tmp_path: Path
) -> None:
    for split in splits:
        write_house_numbers(tmp_path / split)
        with tarfile.open(tmp_path / f"{split}.tar.gz", "w:gz") as archive:
            archive.add(tmp_path / split, split)
        shutil.rmtree(tmp_path / split)
    paths = [tmp_path] if len(splits) > 1 else [tmp_path, tmp_path / "train.tar.gz"]
    for path in paths:
        found = open_source(DataConfig("svhn", str(path))).splits()
        assert {split: [one.digits for one in of] for split, of in found.items()} == dict.fromkeys(
            splits, HOUSE_NUMBERS
        )


def test_other_files_that_are_named_like_idx_are_none(tmp_path: Path) -> None:
    write_idx(tmp_path / "raw", end=".gz")
    for path in [*(tmp_path / "raw").iterdir()]:
        for end in (".md5", ".txt"):
            path.with_name(path.name + end).write_text("not IDX")
    source = opened(tmp_path / "raw")
    assert content(source) == expected()
    assert "passed over: 8 files (4 .md5, 4 .txt)" in source.description()
    (tmp_path / "photos").mkdir()
    for number in range(3):
        Image.new("L", (4, 4)).save(tmp_path / "photos" / f"sample_idx{number}.png")
    (tmp_path / "photos" / "ubyte.txt").write_text("not IDX")
    assert len([*opened(tmp_path / "photos").splits()["all"]]) == 3


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "marked"])
def test_texts_are_labels_without_a_header(place: str, mark: str, tmp_path: Path) -> None:
    names = ["cat", "dog", "", "cat", "dog", "cat", "emu"]
    rows = [",".join(map(str, row)) for row in X.reshape(7, -1).tolist()]
    lines = [
        f"{name},{row}" if place == "first" else f"{row},{name}"
        for name, row in zip(names, rows, strict=True)
    ]
    (tmp_path / "train.csv").write_text(mark + "\n".join(lines) + "\n")
    source = opened(tmp_path)
    pixels, labels = content(source)
    assert pixels == {"train": expected()[0]["train"]}
    assert labels == {"train": [0, 1, None, 0, 1, 0, 2]}
    assert source.classes() == ("cat", "dog", "emu")
    assert source.remarks() == (f"train.csv has no header: what is {place} in a line is its label",)
    (tmp_path / "train.csv").write_text(f"1.png,cat,{rows[0]}\n")
    with pytest.raises(DataError, match=r"expected one label .* got 2 columns without a number"):
        content(opened(tmp_path))


def test_a_header_of_numbers(tmp_path: Path) -> None:
    names = ",".join(map(str, range(36)))
    (tmp_path / "train.csv").write_text(csv_text(X, LABELS["train"]).replace(
        csv_text(X, LABELS["train"]).split("\n")[0], f"label,{names}", 1))  # fmt: skip
    assert content(opened(tmp_path))[1] == {"train": LABELS["train"].tolist()}


@pytest.mark.parametrize(
    "name", ["train-images.idx3-ubyte", "train-images-ubyte", "qmnist-images-idx3-int.gz",
             "images.idx3", "train-images-idx3-ubyte (1)", "Train-Images-IDX3-Ubyte.GZ"],
)  # fmt: skip
def test_names_of_idx(name: str, tmp_path: Path) -> None:
    packed = gz(idx(X)) if name.lower().endswith(".gz") else idx(X)
    (tmp_path / name).write_bytes(packed)
    assert len(content(opened(tmp_path))[0]) == 1


def test_boxes_of_house_numbers(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    folder = tmp_path / "train"
    write_house_numbers(folder)
    source = open_source(DataConfig("svhn", str(tmp_path)))
    assert [one.digits for one in source.splits()["train"]] == HOUSE_NUMBERS
    plain = opened(tmp_path)
    assert [one.box for one in plain.splits()["train"]] == [None, None]
    assert plain.remarks() == ("boxes of digitStruct.mat not used: --data.name svhn cuts out",)
    with h5py.File(folder / "digitStruct.mat", "a") as file:
        del file["digitStruct/name"]
        file["digitStruct/name"] = h5py.ExternalLink("/etc/passwd", "/name")
    with pytest.raises(DataError, match="has no name of its own"):
        list(open_source(DataConfig("svhn", str(tmp_path))).splits()["train"])


def test_without_h5py_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "digitStruct.mat").touch()
    Image.new("L", (4, 4)).save(tmp_path / "1.png")
    with pytest.raises(DataError, match=r"found no h5py; .* ufldl-stanford/svhn"):
        list(open_source(DataConfig("svhn", str(tmp_path))).splits()["all"])


def test_a_readme_with_several_configurations(tmp_path: Path) -> None:
    for name in ("small", "large"):
        (tmp_path / name).mkdir()
        rows_of("train", image=png).to_parquet(tmp_path / name / "train-0.parquet")
    entries = "".join(f"- config_name: {name}\n  data_files: {name}/train-*\n"
                      for name in ("small", "large"))  # fmt: skip
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n{entries}---\n")
    with pytest.raises(DataError, match="2 sets: large, small; pass"):
        opened(tmp_path)
    source = opened(tmp_path, config="small")
    assert content(source)[1] == {"train": LABELS["train"].tolist()}
    assert source.fingerprint() != opened(tmp_path, config="large").fingerprint()
    with pytest.raises(DataError, match="expected a set named middle"):
        opened(tmp_path, config="middle")
    text = f"---\nconfigs:\n{entries}  default: true\n---\n"
    (tmp_path / "README.md").write_text(text)
    assert content(opened(tmp_path))[1] == {"train": LABELS["train"].tolist()}


def test_a_configuration_is_refused_where_there_is_none(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "one.png")
    with pytest.raises(DataError, match=r"expected a set named full .* has one set alone"):
        opened(tmp_path, config="full")
    with pytest.raises(DataError, match=r"expected no --data\.config for digits"):
        open_source(DataConfig("digits", config="full"))


@pytest.mark.parametrize(
    ("prefixes", "name"), [(("emnist-letters-", "emnist-digits-"), "emnist-digits")]
)
def test_of_several_sets_one_is_chosen(
    tmp_path: Path, prefixes: tuple[str, ...], name: str
) -> None:
    for prefix in prefixes:
        write_idx(tmp_path, prefix, turned=True)
    with pytest.raises(DataError, match="2 sets: emnist-digits, emnist-letters; pass"):
        opened(tmp_path).splits()
    assert content(opened(tmp_path, config=name)) == expected()
    with pytest.raises(DataError, match="expected a set named letters"):
        opened(tmp_path, config="letters").splits()
    assert (
        opened(tmp_path, config=name).fingerprint()
        != opened(tmp_path, config="emnist-letters").fingerprint()
    )


def test_sets_beside_each_other_are_never_mixed(tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw")
    write_idx(tmp_path / "FashionMNIST" / "raw")
    with pytest.raises(DataError, match="2 sets: fashionmnist/raw, mnist/raw"):
        opened(tmp_path).splits()
    np.savez(tmp_path / "a.npz", x_train=PICTURES["train"])
    np.savez(tmp_path / "b.npz", x_train=PICTURES["train"])
    with pytest.raises(DataError, match="2 sets: a, b; pass"):
        open_folder_of(tmp_path, ".npz").splits()


def open_folder_of(folder: Path, suffix: str) -> Source:
    """The files of a folder with a suffix, as if nothing else lay in it."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix != suffix:
            path.unlink()
    return opened(folder)


def save(folder: Path, name: str, **arrays: Any) -> None:
    np.savez(folder / name, **arrays)


X = PICTURES["train"]
SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "signed": (lambda f: save(f, "a.npz", x=X / 127.5 - 1), "got numbers from -1 to 1 "),
    "16 bits": (lambda f: save(f, "a.npz", x=X.astype(int) * 257), "whole numbers .* to 65535"),
    "not finite": (lambda f: save(f, "a.npz", x=np.where(X > 250, np.nan, X)), "numbers from nan"),
    "no picture": (lambda f: save(f, "a.npz", v=np.zeros((7, 3))), r"got v \(7, 3\) float64"),
    "objects": (lambda f: save(f, "a.npz", x=np.array([{}, None])), "are a pickle that could run"),
    "one picture": (lambda f: np.save(f / "a.npy", np.zeros((64, 64))), "stack them"),
    "one in colour": (lambda f: np.save(f / "a.npy", np.zeros((6, 6, 3))), "stack them"),
    "masks": (lambda f: save(f, "a.npz", x=X, masks=X), "got x, masks, each of which may be"),
    "cut npy": (lambda f: cut(f / "a.npy", lambda p: np.save(p, X)), "ends in the middle"),
    "cut npz": (lambda f: cut(f / "a.npz", lambda p: np.savez(p, x=X)), "damaged, or no .npz"),
    "no npy": (lambda f: (f / "a.npy").write_bytes(b"text"), "expected an array of NumPy"),
    "cut idx": (lambda f: cut(f / "train-images-idx3-ubyte", idx_file), "ends in the middle"),
    "cut gz": (
        lambda f: cut(f / "train-images-idx3-ubyte.gz", lambda p: p.write_bytes(gz(idx(X)))),
        "is damaged",
    ),
    "no idx": (lambda f: (f / "train-images-idx3-ubyte").write_text("<html>"), "not begin as one"),
    "labels alone": (
        lambda f: (f / "train-labels-idx1-ubyte").write_bytes(idx(LABELS["train"])),
        "found IDX files of labels alone",
    ),
    "labels of others": (
        lambda f: (idx_file(f / "train-images-idx3-ubyte"),
                   (f / "train-labels-idx1-ubyte").write_bytes(idx(LABELS["test"]))),
        "7 pictures in .* and 4 labels",
    ),
    "two splits in a name": (
        lambda f: (f / "train").mkdir() or idx_file(f / "train" / "t10k-images-idx3-ubyte"),
        r"of several: test .* and train",
    ),
    "csv with words": (
        lambda f: (f / "a.csv").write_text(csv_text(X).replace("\n", "\nno", 1)),
        "equally many numbers",
    ),
    "csv of uneven lines": (
        lambda f: (f / "a.csv").write_text(csv_text(X) + "1,2\n"), "equally many numbers",
    ),
    "csv of carriage returns": (
        lambda f: (f / "a.csv").write_bytes(csv_text(X).replace("\n", "\r").encode()),
        "line feed, got carriage returns alone.*tr",
    ),
    "csv with a cell of a book": (
        lambda f: (f / "a.csv").write_text(f'"{"x" * 200_000}",p0,p1,p2,p3\n1,0,0,0,1\n'),
        r"expected pictures in .*1 \.csv",
    ),
    "csv without a label at the end": (
        lambda f: (f / "a.csv").write_text("p0,p1,p2,p3,label\n0,0,0,1,a\n0,0,1,1\n"),
        "expected a label in column 5 of each line",
    ),
    "csv of no square": (
        lambda f: (f / "a.csv").write_text("label,pixel0,pixel1,pixel2\n1,0,0,0\n"), "got 3; for",
    ),
    "csv with a column of splits": (
        lambda f: (f / "a.csv").write_text("usage,p0,p1,p2,p3\ntrain,0,0,0,0\n"),
        "tells of splits",
    ),
    "amat of carriage returns": (
        lambda f: (f / "a_train.amat").write_bytes(b"1 0 1 1\r" * 12),
        "line feed, got carriage returns alone.*tr",
    ),
    "amat of no square": (lambda f: (f / "a_train.amat").write_text("1 0 1 1 1 1\n"), "got 6"),
    "amat of uneven lines": (
        lambda f: (f / "a_train.amat").write_text("1 0 1 1\n1 0\n"), "equally many numbers",
    ),
    "one file without a split": (
        lambda f: (np.save(f / "x_train.npy", X), np.save(f / "x.npy", X)),
        r"is of train and .*x\.npy of none",
    ),
    "a test split alone": (lambda f: np.save(f / "x_test.npy", X), "expected a split named train"),
    "a bomb": (
        lambda f: (f / "train-images-idx3-ubyte.gz").write_bytes(gz(idx_head(2**31, 28, 28) +
                                                                   bytes(2**26 + 1))),
        "unpacks to more than 500 times",
    ),
    "absurd sides": (
        lambda f: (f / "train-images-idx3-ubyte").write_bytes(idx_head(1, 2**31, 2**31)),
        "1 to 64,000,000 pixels",
    ),
}  # fmt: skip


def gz(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def idx_file(path: Path) -> None:
    path.write_bytes(idx(X))


def idx_head(*shape: int) -> bytes:
    return struct.pack(">HBB", 0, 8, len(shape)) + struct.pack(f">{len(shape)}I", *shape)


def cut(path: Path, write: Callable[[Path], object]) -> None:
    write(path)
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize("fault", SPOILT)
def test_what_is_spoilt_is_refused_with_the_reason(fault: str, tmp_path: Path) -> None:
    spoil, said = SPOILT[fault]
    folder = tmp_path / "data"
    folder.mkdir()
    spoil(folder)
    with pytest.raises(DataError, match=said):
        load_images(DataConfig("images", str(folder), cache_dir=str(tmp_path / "c")), "train")
    assert not any((tmp_path / "c").glob("*/meta.json"))


FOREIGN_FILES = {
    "data_batch_1": "CIFAR-10's Python version, a pickle.*cifar-10-binary",
    "mnist.pkl.gz": "a pickle, which could run any program.*pickle.load",
    "training.pt": "PyTorch's.*weights_only=True",
    "data.h5": "HDF5.*h5py.File",
    "emnist-letters.mat": "MATLAB's.*scipy.io.loadmat",
    "mnist-train.tfrecord-00000-of-00001": "TFRecord.*tensorflow_datasets",
    "data.mdb": "LMDB.*lmdb.open",
    "mnist_784.arff": "ARFF.*fetch_openml",
    "pictures.rar": "an archive of a kind that is not unpacked: unpack it",
    "film.mp4": "a video.*ffmpeg",
    "logo.svg": "a drawing of lines",
    "scan.dcm": "a medical image",
}


@pytest.mark.parametrize("name", FOREIGN_FILES)
def test_a_foreign_format_is_named_with_the_lines_that_convert_it(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(b"content")
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(DataError, match=re.compile(FOREIGN_FILES[name], re.S)):
            opened(path).splits()


def test_one_picture_is_no_data_set(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "one.png")
    with pytest.raises(DataError, match=r"one\.png; pass the folder it is in"):
        opened(tmp_path / "one.png")


def test_pictures_come_before_tables_beside_them(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "one.png")
    write_csv(tmp_path)
    np.save(tmp_path / "features.npy", X)
    source = opened(tmp_path)
    assert source.description() == f"{tmp_path} (passed over: 3 files (2 .csv, 1 .npy))"


def test_every_format_of_the_table_is_in_the_documents() -> None:
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    assert [name for name in SOURCES if name not in text] == []
