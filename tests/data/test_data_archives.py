"""Archives of pictures: read like the folder that was packed, and never a danger."""

import io
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from draw.config.data import DataConfig
from draw.data import DataError, load_images
from draw.data.sources import unpack
from draw.data.sources.open_source import open_source
from draw.data.sources.source import Source
from draw.data.store.splits import assign_splits


def png(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (4, 4), shade).save(stream, "PNG")
    return stream.getvalue()


FILES = {
    f"pictures/{split}/{kind}/{number}.png": png(10 * number)
    for split in ("train", "test")
    for kind in "ab"
    for number in range(3)
}


def write_zip(path: Path, files: dict[str, bytes] = FILES) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def write_tar(path: Path, files: dict[str, bytes] = FILES) -> None:
    mode = {".gz": "w:gz", ".tgz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}.get(path.suffix, "w")
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where archives are unpacked: nothing may be left there."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def opened(path: Path) -> Source:
    return open_source(DataConfig("images", str(path)))


def labels(source: Source) -> dict[str, list[int | None]]:
    return {split: [one.label for one in of] for split, of in source.splits().items()}


@pytest.mark.parametrize("end", [".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"])
def test_an_archive_is_read_like_its_folder(end: str, tmp_path: Path, scratch: Path) -> None:
    path = tmp_path / f"pictures{end}"
    (write_zip if end == ".zip" else write_tar)(path)
    source = opened(path)
    assert source.description() == str(path)
    assert list(scratch.iterdir()) == []  # nothing is unpacked before it is read
    splits = source.splits()
    del source  # whoever reads the pictures keeps them
    assert {split: [one.label for one in of] for split, of in splits.items()} == {
        "train": [0, 0, 0, 1, 1, 1],
        "test": [0, 0, 0, 1, 1, 1],
    }
    del splits
    assert list(scratch.iterdir()) == []


def test_archives_in_a_folder_are_splits_by_their_names(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_zip(tmp_path / f"{split}.zip", {f"{n}.png": png(n) for n in range(2)})
    assert labels(opened(tmp_path)) == {"train": [None] * 2, "test": [None] * 2}


def test_any_format_may_be_packed_but_no_archive_in_it(tmp_path: Path) -> None:
    inner = io.BytesIO()
    np.savez(inner, x_train=np.zeros((5, 6, 6), np.uint8), y_train=np.arange(5))
    write_zip(tmp_path / "a.zip", {"a/mnist.npz": inner.getvalue(), "a/more.zip": b"PK"})
    source = opened(tmp_path / "a.zip")
    assert labels(source) == {"train": [0, 1, 2, 3, 4]}
    assert any("not unpacked, as links, devices or archives: 1, such as a/more.zip" in remark
               for remark in source.remarks())  # fmt: skip
    write_zip(tmp_path / "b.zip", {"more.zip": b"PK"})
    with pytest.raises(DataError, match="found nothing"):
        opened(tmp_path / "b.zip").splits()


def with_link(path: Path) -> None:
    if path.suffix == ".zip":
        write_zip(path)
        with zipfile.ZipFile(path, "a") as archive:
            info = zipfile.ZipInfo("pictures/train/a/link.png")
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
        return
    write_tar(path)
    with tarfile.open(path, "a") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo(f"pictures/train/a/{kind.decode()}.png")
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)


@pytest.mark.parametrize("end", [".zip", ".tar"])
def test_links_and_devices_are_left_out_and_said(end: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{end}"
    with_link(path)
    source = opened(path)
    assert labels(source)["train"] == [0, 0, 0, 1, 1, 1]
    assert "not unpacked, as links" in source.remarks()[0]


ESCAPES = ("../out.png", "a/../../out.png", "/tmp/out.png", "C:\\out.png", "a\\..\\..\\out.png")


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("write", [write_zip, write_tar], ids=["zip", "tar"])
def test_no_name_leads_out(
    name: str, write: Callable[..., None], tmp_path: Path, scratch: Path
) -> None:
    path = tmp_path / ("a.zip" if write is write_zip else "a.tar")
    write(path, {**FILES, name: png(0)})
    with pytest.raises(DataError, match="which leads elsewhere; do not trust"):
        opened(path).splits()
    assert {one.name for one in tmp_path.rglob("*")} == {"scratch", path.name}


@pytest.mark.parametrize("end", [".zip", ".tar.gz", ".tar.xz", ".tar.bz2"])
def test_a_bomb_is_not_unpacked(
    end: str, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "FREE_BYTES", 2**18)
    monkeypatch.setattr(unpack, "MOST_TIMES", 2)
    path = tmp_path / f"a{end}"
    (write_zip if end == ".zip" else write_tar)(path, {"a.png": bytes(2**20)})
    with pytest.raises(DataError, match="unpacks to more than"):
        opened(path).splits()
    assert list(scratch.iterdir()) == []


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    for end in (".zip", ".tar", ".tar.gz", ".tar.xz"):
        path = tmp_path / f"a{end}"
        (write_zip if end == ".zip" else write_tar)(path)
        path.write_bytes(path.read_bytes()[:300])
        with pytest.raises(DataError, match="is damaged, encrypted, or no archive"):
            opened(path).splits()
        path.write_bytes(b"")
        with pytest.raises(DataError, match="is damaged, encrypted, or no archive"):
            opened(path).splits()


BAD = b"nothing of its kind"
DAMAGED: dict[str, tuple[dict[str, dict[str, bytes]], str]] = {
    "a picture": ({"a.zip": {"train/b.png": BAD}}, "a.zip/train/b.png"),
    "a table": ({"a.zip": {"train.parquet": BAD}}, "a.zip"),
    "an array": ({"a.tar.gz": {"train.npy": BAD}}, "a.tar.gz/train.npy"),
    "one of two": ({"train.zip": {"b.png": png(1)}, "test.zip": {"b.png": BAD}}, "test.zip/b.png"),
    "names that begin alike": (
        {"a.zip": {"b.png": png(1)}, "a2.zip": {"b.png": BAD}},
        "a2.zip/b.png",
    ),
    "one name, two kinds": ({"a.zip": {"b.png": png(1)}, "a.tar": {"c.png": BAD}}, "a/c.png"),
    "labels": ({"a.zip": {"b.png": png(1), "metadata.jsonl": BAD}}, "a.zip/metadata.jsonl"),
}
"""Archives of which something in them is damaged, and what an error names."""


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_is_wrong_in_an_archive_is_named_by_the_archive(
    kind: str, tmp_path: Path, scratch: Path
) -> None:
    archives, name = DAMAGED[kind]
    folder = tmp_path / "of mine"
    folder.mkdir()
    for file, content in archives.items():
        (write_zip if file.endswith(".zip") else write_tar)(folder / file, content)
    path = folder if len(archives) > 1 else folder / next(iter(archives))
    config = DataConfig("images", str(path), cache_dir=str(tmp_path / "cache"))
    with pytest.raises(DataError) as told:
        load_images(config, "train")
    assert str(folder / name) in str(told.value)
    assert str(scratch) not in str(told.value)


def test_a_warning_about_an_archive_names_it(
    tmp_path: Path, scratch: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = b"file_name,label\na.png,1\nz.png,1\n"
    write_zip(tmp_path / "a.zip", {"a.png": png(1), "metadata.csv": labels})
    opened(tmp_path / "a.zip").classes()
    assert f"{tmp_path / 'a.zip'}: 1 rows of metadata name no picture" in caplog.text
    assert str(scratch) not in caplog.text


def test_a_file_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", png(0))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.png", png(1))
    with pytest.raises(DataError, match=f"has a file twice, {tmp_path / 'a.zip' / 'a.png'}"):
        opened(tmp_path / "a.zip").splits()


def test_two_archives_of_one_name_but_for_its_end_are_both_read(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", {f"{n}.png": png(n) for n in range(3)})
    write_tar(tmp_path / "a.tar.gz", {f"{n}.png": png(n) for n in range(3, 7)})
    assert sum(map(len, labels(opened(tmp_path)).values())) == 7
    write_tar(tmp_path / "a.tar.gz", {"0.png": png(9)})
    with pytest.raises(DataError, match="has a file twice"):
        opened(tmp_path).splits()


def test_archives_keep_the_folders_they_lie_in(tmp_path: Path) -> None:
    for names in ("ab", "aa"):  # the same names of pictures are no file twice
        folder = tmp_path / names
        for split, name in zip(("train", "test"), names, strict=True):
            (folder / split).mkdir(parents=True)
            pictures = {f"{name}{number}.png": png(number) for number in range(2)}
            write_zip(folder / split / "images.zip", pictures)
        assert labels(opened(folder)) == {"train": [None] * 2, "test": [None] * 2}


def test_folders_of_archives_are_classes(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        write_zip(tmp_path / name / "images.zip", {f"{name}.png": png(0)})
    assert labels(opened(tmp_path)) == {"all": [0, 1]}


def packed_parquet() -> dict[str, bytes]:
    stream, rows = io.BytesIO(), {"image": [{"bytes": png(0), "path": None}] * 3}
    pq.write_table(pa.table(rows), stream)
    return {"data.parquet": stream.getvalue()}


@pytest.mark.parametrize("files", [{"1.png": png(0)}, packed_parquet()], ids=["png", "parquet"])
def test_an_archive_of_a_split_is_of_that_split(files: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    write_zip(tmp_path / "train" / "images.zip", files)
    write_zip(tmp_path / "test.zip", files)
    assert {*opened(tmp_path).splits()} == {"test", "train"}
    (tmp_path / "train" / "images.zip").unlink()
    for path in (tmp_path, tmp_path / "test.zip"):
        with pytest.raises(
            DataError, match=r"test.zip is of test by|train, got test, and no train"
        ):
            assign_splits({name: len([*of]) for name, of in opened(path).splits().items()})
    write_zip(tmp_path / "test set.zip")  # what is in it tells of splits itself
    assert {*opened(tmp_path / "test set.zip").splits()} == {"test", "train"}
    write_zip(tmp_path / "test.zip", {"train/1.png": png(0)})
    with pytest.raises(DataError, match=r"test.zip.* is of test by its name.* of train"):
        opened(tmp_path / "test.zip").splits()
