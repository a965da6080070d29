"""Folders of pictures: which files count, their splits, classes, sizes and modes."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from draw.config.data import DataConfig
from draw.data import DataError, load_images, load_splits, suggest
from draw.data.store.splits import assign_splits
from draw.errors import DrawError


def save(path: Path, value: int = 0, size: tuple[int, int] = (4, 4), mode: str = "L") -> None:
    """A picture of one shade, `size` in rows and columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size[::-1], value).save(path)


def config(folder: Path, **fields: object) -> DataConfig:
    cache = folder.parent / "cache"
    return DataConfig("images", path=str(folder), cache_dir=str(cache), **fields)


def shades(images: np.ndarray) -> list[int]:
    """The shade of each picture that `save` made."""
    return images[:, 0, 0, 0].tolist()


def all_shades(folder: Path) -> list[int]:
    splits = load_splits(config(folder), progress=False)
    return [
        s for part in (splits.train, splits.validation, splits.test) for s in shades(part.images)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    path.mkdir()
    return path


def test_pictures_are_held_out_once_each_and_always_the_same(folder: Path) -> None:
    for number in range(40):
        save(folder / f"{number:02}.png", number)
    splits = load_splits(config(folder), progress=False)
    parts = [shades(part.images) for part in (splits.train, splits.validation, splits.test)]
    assert [len(part) for part in parts] == [32, 4, 4]
    assert sorted(parts[0] + parts[1] + parts[2]) == list(range(40))
    assert parts[1:] == [[8, 9, 29, 39], [4, 10, 13, 17]]  # the same on every computer
    assert parts[0] == sorted(parts[0])
    assert splits.test.source == (
        f"{folder}; validation and test: 4 each, held out of train by a fixed shuffle"
    )


def test_nested_folders_upper_case_and_links(folder: Path, tmp_path: Path) -> None:
    save(folder / "a.PNG", 1)
    save(folder / "deep" / "er" / "b.JpG", 2)
    save(tmp_path / "elsewhere" / "c.bmp", 3)
    save(tmp_path / "elsewhere" / "d.gif", 4)
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "linked.bmp").symlink_to(tmp_path / "elsewhere" / "c.bmp")
    (folder / "deep" / "round").symlink_to(folder)  # and round, and round
    assert sorted(all_shades(folder)) == [1, 2, 3, 3, 4]


def test_other_files_are_passed_over_and_counted(folder: Path) -> None:
    for number in range(3):
        save(folder / f"{number}.png", number)
    for name in ("Thumbs.db", "notes.txt", "more.txt", "LICENSE", ".hidden.png", "._0.png"):
        (folder / name).write_bytes(b"no picture")
    save(folder / ".thumbnails" / "0.png")
    os.mkfifo(folder / "pipe.png")  # to open it would wait forever
    train = load_images(config(folder), "train", progress=False)
    assert train.count == 1
    assert "passed over: 5 files (2 .txt, 1 without suffix, 1 .db, 1 .png)" in train.source


def test_split_folders_and_classes(folder: Path) -> None:
    shade = 0
    for split, classes in {"Train": "cat dog", "val": "dog", "test": "cat dog"}.items():
        for kind in classes.split():
            for _ in range(2):
                save(folder / split / kind / f"{shade}.png", shade)
                shade += 1
    splits = load_splits(config(folder), progress=False)
    assert shades(splits.train.images) == [0, 1, 2, 3]
    assert shades(splits.validation.images) == [4, 5]
    assert shades(splits.test.images) == [6, 7, 8, 9]
    assert splits.train.labels.tolist() == [0, 0, 1, 1]
    assert splits.validation.labels.tolist() == [1, 1]
    assert splits.test.labels.tolist() == [0, 0, 1, 1]
    assert splits.train.labels.dtype == np.int64
    assert splits.train.source.endswith("splits as stored")


def test_pictures_outside_the_splits_are_mentioned(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(4):
        save(folder / "train" / f"{number}.png", number)
    save(folder / "cover.png", 99)
    save(folder / "extra" / "more.png", 99)
    assert sorted(all_shades(folder)) == [0, 1, 2, 3]
    assert "outside its splits, not used: 2 files (2 .png)" in caplog.text


def test_classes_without_split_folders(folder: Path) -> None:
    for number in range(20):
        save(folder / ("left", "right")[number % 2] / "on" / f"{number}.png", number)
    splits = load_splits(config(folder), progress=False)
    for part in (splits.train, splits.validation, splits.test):
        assert [shade % 2 for shade in shades(part.images)] == part.labels.tolist()


@pytest.mark.parametrize(
    "names", [["0.png", "a/1.png", "b/2.png"], ["a/0.png", "a/1.png", "a/2.png"]]
)
def test_no_classes_where_one_picture_has_none_or_all_the_same(folder: Path, names) -> None:
    for name in names:
        save(folder / name)
    assert load_images(config(folder), "train", progress=False).labels is None


def test_classes_are_those_of_all_splits_or_none(folder: Path) -> None:
    for name in ("train/a/0.png", "train/b/1.png", "val/a/2.png", "test/3.png"):
        save(folder / name)
    assert load_images(config(folder), "train", progress=False).labels is None


@pytest.mark.parametrize("count", [3, 4, 9])
def test_tiny_sets_fill_every_split(folder: Path, count: int) -> None:
    for number in range(count):
        save(folder / f"{number}.png", number)
    splits = load_splits(config(folder), progress=False)
    assert splits.train.count == count - 2
    assert splits.validation.count == splits.test.count == 1


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_pictures(folder: Path, count: int) -> None:
    for number in range(count):
        save(folder / f"{number}.png", number)
    with pytest.raises(DataError, match=f"at least 3 pictures .* got {count}; add pictures"):
        load_splits(config(folder), progress=False)


def test_split_rules() -> None:
    def sizes(**counts: int) -> list[int]:
        assigned, _ = assign_splits(counts)
        assert {name: len(targets) for name, targets in assigned.items()} == counts
        return [sum(int((t == i).sum()) for t in assigned.values()) for i in range(3)]

    assert sizes(train=50_000, validation=10_000, test=10_000) == [50_000, 10_000, 10_000]
    assert sizes(train=60_000, test=10_000) == [50_000, 10_000, 10_000]
    assert sizes(train=50_000, test=10_000) == [45_000, 5_000, 10_000]
    assert sizes(train=300_000, test=7) == [290_000, 10_000, 7]
    assert sizes(train=100, val=7) == [90, 7, 10]
    assert sizes(train=100, dev=7, extra=1000) == [90, 7, 10]
    assert sizes(full=100) == [80, 10, 10]
    assert sizes(train=2, test=1) == [1, 1, 1]
    assert (assign_splits({"train": 60_000, "test": 1})[0]["train"][50_000:] == 1).all()
    assert assign_splits({"train": 100, "test": 0})[0].keys() == {"train"}
    drawn = assign_splits({"train": 10_000, "test": 1})[0]["train"].nonzero()[0]
    assert abs(drawn.mean() - 5_000) < 300  # from everywhere, not from the end
    for held_out in (["test", "validation"], ["test"], ["eval"], ["val2017"]):
        with pytest.raises(DataError, match=f"a split named train, got {', '.join(held_out)}"):
            assign_splits(dict.fromkeys(held_out, 5))


def test_mixed_sizes_need_a_rule(folder: Path) -> None:
    for number in range(4):
        save(folder / f"{number}.png", number, size=(6, 5))
    save(folder / "odd.png", size=(7, 9))
    with pytest.raises(DataError) as error:
        load_splits(config(folder), progress=False)
    message = str(error.value)
    assert f"{folder / '0.png'}: 6x5, as 4 are" in message
    assert f"{folder / 'odd.png'}: 7x9, as 1 is" in message
    assert "most common is 6x5" in message
    assert "--data.size 6 5 --data.fit crop" in message
    with pytest.raises(DataError, match=r"of 8x8, got 2 sizes such as\n.*0\.png: 6x5"):
        load_splits(config(folder, size=(8,)), progress=False)
    train = load_images(config(folder, size=(8, 3), fit="pad"), "train", progress=False)
    assert train.image_shape == (1, 8, 3)
    assert (
        not (folder.parent / "cache").exists()
        or len(list((folder.parent / "cache").iterdir())) == 2
    )


def test_sizes_are_compared_the_right_way_up(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(2):
        save(folder / f"{number}.png", size=(6, 4))
    Image.new("L", (6, 4)).save(folder / "turned.jpg", exif=exif)
    assert load_images(config(folder), "train", progress=False).image_shape == (1, 6, 4)


@pytest.mark.parametrize(
    ("modes", "channels"),
    [
        (["L", "1", "LA"], 1),
        (["L", "L", "RGB"], 3),
        (["RGB", "L", "L"], 3),
        (["RGB", "RGBA", "CMYK"], 3),
        (["I;16"] * 3, 1),
    ],
)
def test_mode_by_nature_and_by_wish(folder: Path, modes: list[str], channels: int) -> None:
    for number, mode in enumerate(modes):
        suffix = "tif" if mode == "CMYK" else "png"
        Image.new(mode, (4, 4)).save(folder / f"{number}.{suffix}")
    assert load_images(config(folder), "train", progress=False).image_shape == (channels, 4, 4)
    for mode, wished in (("grey", 1), ("colour", 3)):
        train = load_images(config(folder, mode=mode), "train", progress=False)
        assert train.image_shape == (wished, 4, 4)


def test_all_bad_files_are_named_up_to_ten(folder: Path) -> None:
    save(folder / "good.png")
    (folder / "empty.png").touch()
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    for number in range(12):
        (folder / f"text{number:02}.jpg").write_text("no picture")
    with pytest.raises(DataError) as error:
        load_splits(config(folder), progress=False)
    message = str(error.value)
    assert message.startswith(f"14 pictures of {folder} cannot be used:")
    assert f"{folder / 'empty.png'}: is empty (0 bytes)" in message
    assert f"{folder / 'gone.png'}: does not exist, or is a link to nothing" in message
    assert f"{folder / 'text07.jpg'}: is no picture of a known format" in message
    assert "text08" not in message
    assert message.endswith("... and 4 more")


def test_pictures_whose_header_is_fine_are_named_too(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    for number in range(5):
        Image.fromarray(noise).save(folder / f"{number}.png")
    for number in (1, 3):
        path = folder / f"{number}.png"
        path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError) as error:
        load_splits(config(folder), progress=False)
    message = str(error.value)
    assert message.startswith(f"2 pictures of {folder} cannot be used:")
    assert f"{folder / '1.png'}: is damaged" in message
    assert f"{folder / '3.png'}: is damaged" in message
    assert list((folder.parent / "cache").iterdir()) == []


def test_a_folder_without_pictures(folder: Path) -> None:
    with pytest.raises(
        DataError, match=f"pictures in {folder}, found nothing; pass a folder with some"
    ):
        load_splits(config(folder), progress=False)
    (folder / "a.txt").touch()
    (folder / "b.mp4").touch()
    with pytest.raises(DataError, match=r"found 2 files \(1 .txt, 1 .mp4\); .* video"):
        load_splits(config(folder), progress=False)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/nowhere/at/all", "there is no folder or file /nowhere/at/all; check the spelling"),
        ("./owner/name", r"there is no folder or file .*/owner/name"),
        ("https://example.org/a.zip", r"got the address https.*; download it first .* its path$"),
        ("~/surely-not-here", "there is no folder or file /.*/surely-not-here"),
        ("x" * 300, "File name too long"),
    ],
)
def test_paths_that_are_none(path: str, message: str, no_network: None) -> None:
    with pytest.raises(DataError, match=message):
        load_splits(DataConfig("images", path=path), progress=False)


def test_a_file_that_is_no_data_set(folder: Path) -> None:
    (folder / "notes.txt").touch()
    with pytest.raises(DataError, match=r"got the file .*notes\.txt; pass the folder it is in"):
        load_splits(config(folder / "notes.txt"), progress=False)


@pytest.mark.parametrize(("above", "asked"), [(False, True), (True, False)])
def test_a_missing_folder_comes_before_a_name_on_the_hub(
    above: bool, asked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """data/mnist is a folder that is missing where there is a folder data."""
    names = []

    def fetch(name: str, *_: object) -> Path:
        names.append(name)
        raise DrawError("not on the Hub")

    monkeypatch.setattr("draw.hub.fetch", fetch)
    monkeypatch.chdir(tmp_path)
    if above:
        (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match=f"there is no folder or file {tmp_path}/data/mnist"):
        load_splits(DataConfig("images", "data/mnist"), progress=False)
    assert names == (["data/mnist"] if asked else [])


def test_a_folder_that_cannot_be_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(DataError, match=f"got {folder}: Permission denied; check"):
        load_splits(config(folder), progress=False)


def test_a_name_that_is_no_text(folder: Path) -> None:
    for number in range(3):
        save(folder / f"{number}.png", number)
    os.rename(os.fsencode(folder / "1.png"), os.fsencode(folder) + b"/caf\xe9.png")
    assert sorted(all_shades(folder)) == [0, 1, 2]
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png")).write_bytes(b"")
    with pytest.raises(DataError, match=r"caf.*is empty") as error:
        load_splits(config(folder), progress=False)
    str(error.value).encode()  # can be printed


def test_suggestion(folder: Path) -> None:
    for number in range(3):
        save(folder / f"{number}.png", number, size=(6, 5))
    save(folder / "odd.jpg", 7, size=(7, 9))
    found = suggest(str(folder), progress=False)
    assert (found.count, found.sizes) == (4, ((6, 5, 3), (7, 9, 1)))
    assert (found.modes, found.mode, found.same_size) == ({"L": 4}, "grey", False)
    save(folder / "colour.png", 0, mode="RGB")
    (folder / "odd.jpg").unlink()
    found = suggest(str(folder), progress=False)
    assert found.mode == "colour"
    assert found.modes == {"L": 3, "RGB": 1}


def test_unknown_name_and_unknown_split(folder: Path) -> None:
    with pytest.raises(DataError, match=r"one of mnist, binarized_mnist, digits.* got 'minst'"):
        load_splits(DataConfig("minst"))
    with pytest.raises(DataError, match="one of train, validation, test, got 'val'"):
        load_images(config(folder), "val")
    with pytest.raises(DataError, match=r"images needs a path: pass --data\.path"):
        load_splits(DataConfig("images"))


def test_progress_is_plain_lines_where_there_is_no_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    for number in range(3):
        save(folder / f"{number}.png", number)
    load_splits(config(folder))
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr("draw.progress.SECONDS_BETWEEN_LINES", 0.0)
    save(folder / "3.png", 3)
    load_splits(config(folder))
    out, err = capfd.readouterr()
    assert out == ""
    assert "decoding 2/4" in err
    assert "looking through all 2" in err


def test_progress_is_a_bar_on_a_terminal(folder: Path, monkeypatch, capfd) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    for number in range(3):
        save(folder / f"{number}.png", number)
    load_splits(config(folder))
    out, err = capfd.readouterr()
    assert out == ""
    assert "decoding" in err
    assert "3/3" in err


def test_names_of_held_out_pictures_are_refused_where_none_is_of_train(folder: Path) -> None:
    for name in ("test_1", "test_2", "val_1", "val_2"):
        save(folder / f"{name}.png")
    with pytest.raises(DataError, match=r"test_1.png is one of test by .* none is one of train"):
        load_splits(config(folder), progress=False)
    save(folder / "1.png")
    with pytest.raises(DataError, match=r"of none, got 1 without, 2 test, 2 validation \(.*1.png"):
        load_splits(config(folder), progress=False)
    for path in sorted(folder.glob("val*")):  # one word alone may mean something else
        path.unlink()
    assert len(all_shades(folder)) == 3
