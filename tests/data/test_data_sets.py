"""The known data sets, parquet folders as on the Hub, and the Hub itself."""

import io
import os
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import datasets
import huggingface_hub
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, Image, Value
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from PIL import Image as Pillow

from draw import DRAW, DRAWConfig
from draw.config.data import DataConfig
from draw.data import KNOWN_SETS, DataError, load_images, load_splits
from draw.data.load import conversion_of, without_places
from draw.data.sets.digits import Digits
from draw.data.store.decode import Conversion
from draw.model.preprocessing import images_of


def png(shade: int, mode: str = "L", size: tuple[int, int] = (4, 4)) -> bytes:
    stream = io.BytesIO()
    Pillow.new(mode, size, shade).save(stream, "PNG")
    return stream.getvalue()


def write(
    folder: Path,
    shard: str,
    pictures: list[bytes | None],
    labels: list[int] | None = None,
    column: str = "image",
    label: ClassLabel | Value | None = None,
) -> None:
    """A shard with the metadata that the Hub's have."""
    features = Features({column: Image()})
    stored = [None if data is None else {"bytes": data, "path": None} for data in pictures]
    columns = {column: stored}
    if labels is not None:
        features["label"] = label or ClassLabel(names=["a", "b", "c"])
        columns["label"] = labels
    path = folder / f"{shard}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns, schema=features.arrow_schema), path)


def shades(images: np.ndarray) -> list[int]:
    return images[:, 0, 0, 0].tolist()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data set"


@pytest.fixture
def config(folder: Path, tmp_path: Path, no_network: None) -> DataConfig:
    return DataConfig("images", path=str(folder), cache_dir=str(tmp_path / "cache"))


@pytest.mark.parametrize("column", ["image", "img", "picture"])
@pytest.mark.parametrize("label", [ClassLabel(names=["a", "b", "c"]), Value("int32")])
def test_shards_splits_and_columns(folder: Path, config: DataConfig, column, label, capfd) -> None:
    write(folder, "data/train-00000-of-00002", [png(1), png(2)], [0, 1], column, label)
    write(folder, "data/train-00001-of-00002", [png(3)], [2], column, label)
    write(folder, "data/validation-00000-of-00001", [png(4)], [1], column, label)
    write(folder, "data/test-00000-of-00001", [png(5), png(6)], [0, 2], column, label)
    splits = load_splits(config, progress=False)
    assert shades(splits.train.images) == [1, 2, 3]
    assert shades(splits.validation.images) == [4]
    assert shades(splits.test.images) == [5, 6]
    assert splits.train.labels.tolist() == [0, 1, 2]
    assert splits.test.labels.tolist() == [0, 2]
    assert splits.train.source == f"{folder}; splits as stored"
    assert capfd.readouterr() == ("", "")


def test_no_bars_of_the_library(folder: Path, config: DataConfig, monkeypatch) -> None:
    write(folder, "train-00000-of-00001", [png(shade) for shade in range(3)])
    disabled = []
    original = datasets.load_dataset_builder

    def load_dataset_builder(*args: object, **options: object) -> object:
        disabled.append(datasets.are_progress_bars_disabled())
        return original(*args, **options)

    monkeypatch.setattr(datasets, "load_dataset_builder", load_dataset_builder)
    load_splits(config, progress=False)
    assert disabled == [True]
    assert not datasets.are_progress_bars_disabled()


def test_without_labels_and_without_validation(folder: Path, config: DataConfig) -> None:
    write(folder, "train-00000-of-00001", [png(shade) for shade in range(20)])
    write(folder, "test-00000-of-00001", [png(99)])
    splits = load_splits(config, progress=False)
    assert (splits.train.count, splits.validation.count, splits.test.count) == (18, 2, 1)
    held_out = set(shades(splits.validation.images))
    assert shades(splits.train.images) == [s for s in range(20) if s not in held_out]
    assert splits.train.labels is None


def test_a_single_split_of_another_name(folder: Path, config: DataConfig) -> None:
    write(folder, "full-00000-of-00001", [png(shade) for shade in range(10)])
    splits = load_splits(config, progress=False)
    assert (splits.train.count, splits.validation.count, splits.test.count) == (8, 1, 1)


def test_static_binarization_is_recognized(folder: Path, config: DataConfig) -> None:
    for split in ("train", "validation", "test"):
        write(folder, f"{split}-00000-of-00001", [png(0, "1"), png(1, "1")])
    named = DataConfig("binarized_mnist", path=config.path, cache_dir=config.cache_dir)
    train = load_images(named, "train", progress=False)
    assert train.binary
    assert np.unique(train.images).tolist() == [0, 255]
    assert load_images(config, "train", progress=False).binary


def test_grey_called_binarized_is_refused(folder: Path, config: DataConfig) -> None:
    write(folder, "train-00000-of-00001", [png(0, "1"), png(1, "1")])
    write(folder, "validation-00000-of-00001", [png(254)])
    write(folder, "test-00000-of-00001", [png(0, "1")])
    named = DataConfig("binarized_mnist", path=config.path, cache_dir=config.cache_dir)
    with pytest.raises(DataError, match=r"to be binary .* but the validation images"):
        load_images(named, "test", progress=False)
    assert load_images(config, "train", progress=False).binary


def test_bad_rows_are_named(folder: Path, config: DataConfig) -> None:
    write(folder, "train-00000-of-00002", [png(0)] * 70)
    write(folder, "train-00001-of-00002", [png(0)] * 66 + [b"junk", png(0), b""])
    with pytest.raises(DataError) as error:
        load_splits(config, progress=False)
    message = str(error.value)
    assert message.startswith(f"2 pictures of {folder} cannot be used:")
    assert "train-00001-of-00002.parquet, row 66: is no picture" in message
    assert "train-00001-of-00002.parquet, row 68: is empty" in message


def test_a_row_without_a_picture(folder: Path, config: DataConfig) -> None:
    write(folder, "train-00000-of-00001", [png(0), None])
    with pytest.raises(DataError, match=r"train-00000-of-00001\.parquet, row 1 has no picture"):
        load_splits(config, progress=False)


def test_no_column_of_pictures(folder: Path, config: DataConfig) -> None:
    folder.mkdir()
    pq.write_table(pa.table({"x": [1, 2]}), folder / "train-00000-of-00001.parquet")
    with pytest.raises(DataError, match=r"one column of pictures in .*, got x \(Value"):
        load_splits(config, progress=False)


def test_two_columns_of_pictures(folder: Path, config: DataConfig) -> None:
    features = Features({"left": Image(), "right": Image()})
    picture = [{"bytes": png(1), "path": None}]
    table = pa.table({"left": picture, "right": picture}, schema=features.arrow_schema)
    folder.mkdir()
    pq.write_table(table, folder / "train-00000-of-00001.parquet")
    with pytest.raises(DataError, match=r"one column .*left .*right .*name it image"):
        load_splits(config, progress=False)


@pytest.mark.parametrize("keep", [0, 3, 200])
def test_a_damaged_shard(folder: Path, config: DataConfig, keep: int) -> None:
    write(folder, "train-00000-of-00001", [png(shade) for shade in range(30)])
    shard = folder / "train-00000-of-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:keep])
    with pytest.raises(DataError, match=f"{folder}.*: datasets cannot read it as parquet"):
        load_splits(config, progress=False)


def test_mixed_sizes_in_a_shard(folder: Path, config: DataConfig) -> None:
    write(folder, "train-00000-of-00001", [png(0)] * 2 + [png(0, size=(5, 7))])
    with pytest.raises(DataError, match=r"train-00000-of-00001\.parquet, row 2: 7x5, as 1 is"):
        load_splits(config, progress=False)


def test_digits(tmp_path: Path, no_network: None) -> None:
    config = DataConfig("digits", cache_dir=str(tmp_path))
    splits = load_splits(config, progress=False)
    sizes = splits.train.count, splits.validation.count, splits.test.count
    assert sizes == KNOWN_SETS["digits"].sizes
    assert sum(sizes) == 1797
    assert splits.train.image_shape == KNOWN_SETS["digits"].image_shape == (1, 28, 28)
    images = splits.train.images
    border = np.ones((28, 28), dtype=bool)
    border[2:-2, 2:-2] = False
    assert (images[:, 0, border] == 0).all()
    assert (images.max(axis=(1, 2, 3)) == 255).all()
    assert images[:, 0, 2].any()
    assert images[:, 0, :, 2].any()
    assert 0.4 < (images == 0).mean() < 0.8
    assert set(splits.test.labels.tolist()) == set(range(10))
    small = load_images(DataConfig("digits", size=(14,), cache_dir=str(tmp_path)), "test")
    assert small.image_shape == (1, 14, 14)


def test_digits_show_what_their_labels_say() -> None:
    pictures = list(Digits().splits()["all"])
    images = np.stack([picture.data for picture in pictures]).reshape(1797, -1) / 255
    labels = np.array([picture.label for picture in pictures])
    means = np.stack([images[:1000][labels[:1000] == digit].mean(axis=0) for digit in range(10)])
    distance = ((images[1000:, None] - means[None]) ** 2).sum(axis=-1)
    assert (distance.argmin(axis=1) == labels[1000:]).mean() > 0.8


def hub_config(tmp_path: Path, name: str = "mnist", path: str | None = None) -> DataConfig:
    return DataConfig(name, path=path, cache_dir=str(tmp_path / "cache"))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No name can be resolved, and the Hub's own cache is empty."""

    def unknown(*_: object, **__: object) -> None:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    monkeypatch.setattr("socket.socket.connect", unknown)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def test_offline_and_not_prepared(tmp_path: Path, offline: None) -> None:
    started = time.monotonic()
    with pytest.raises(DataError) as error:
        load_splits(hub_config(tmp_path), progress=False)
    assert time.monotonic() - started < 10
    message = str(error.value)
    assert message.startswith("ylecun/mnist is not on this computer")
    assert "could not be reached" in message
    for choice in ("--data.path FOLDER", "--data.name digits", "`draw data prepare`"):
        assert choice in message


def fake_hub(
    monkeypatch: pytest.MonkeyPatch, folder: Path | Exception, silence: Exception | None = None
) -> list[str]:
    """A Hub whose every data set is the folder; returns the names that are asked for."""
    asked = []

    def dataset_info(_: object, name: str, *, timeout: float) -> None:
        assert 1 <= timeout <= 10  # the library's default is for ever
        if silence is not None:
            raise silence

    def snapshot_download(name: str, **options: object) -> str:
        assert options["repo_type"] == "dataset"
        assert options["local_files_only"] == (silence is not None)
        asked.append(name)
        if isinstance(folder, Exception):
            raise folder
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    return asked


@pytest.mark.parametrize(
    ("name", "path", "hub"),
    [
        ("mnist", None, "ylecun/mnist"),
        ("fashion-mnist", None, "zalando-datasets/fashion_mnist"),
        ("cifar10", None, "uoft-cs/cifar10"),
        ("images", "someone/some.thing", "someone/some.thing"),
    ],
)
def test_a_hub_name_is_fetched_once(tmp_path, folder, monkeypatch, name, path, hub) -> None:
    write(folder, "train-00000-of-00001", [png(shade) for shade in range(10)])
    write(folder, "test-00000-of-00001", [png(99)])
    asked = fake_hub(monkeypatch, folder)
    config = hub_config(tmp_path, name, path)
    first = load_splits(config, progress=False)
    assert first.train.source.startswith(f"{hub} (Hugging Face Hub); validation: 1 each")
    fake_hub(monkeypatch, AssertionError("asked the Hub again"))
    second = load_splits(config, progress=False)
    assert asked == [hub]
    assert second.train.fingerprint == first.train.fingerprint
    assert second.train.source == first.train.source


def test_offline_the_hubs_own_cache_will_do(tmp_path, folder, monkeypatch) -> None:
    write(folder, "train-00000-of-00001", [png(shade) for shade in range(10)])
    fake_hub(monkeypatch, folder, TimeoutError("timed out"))
    assert load_images(hub_config(tmp_path), "train", progress=False).count == 8


def test_a_download_that_fails(tmp_path, monkeypatch) -> None:
    fake_hub(monkeypatch, OSError(28, "No space left on device"))
    with pytest.raises(DataError, match=r"fetching it .* failed \(.*No space left on device\)"):
        load_splits(hub_config(tmp_path), progress=False)


def test_omniglot_becomes_white_on_black_28x28(tmp_path, folder, monkeypatch) -> None:
    page = Pillow.new("1", (105, 105), 1)
    page.paste(0, (45, 0, 60, 105))  # a vertical stroke
    stream = io.BytesIO()
    page.save(stream, "PNG")
    write(folder, "full-00000-of-00001", [stream.getvalue()] * 3)
    fake_hub(monkeypatch, folder)
    train = load_images(hub_config(tmp_path, "omniglot"), "train", progress=False)
    assert train.image_shape == KNOWN_SETS["omniglot"].image_shape == (1, 28, 28)
    assert train.images[0, 0, 14, 14] == 255
    assert train.images[0, 0, 14, 2] == 0
    own = load_images(hub_config(tmp_path, "omniglot", str(folder)), "train", progress=False)
    assert own.image_shape == (1, 105, 105)  # a path's pictures are taken as they are
    assert own.images[0, 0, 0, 0] == 255
    turned = replace(hub_config(tmp_path, "omniglot", str(folder)), invert=True)
    assert load_images(turned, "train", progress=False).images[0, 0, 0, 0] == 0


def test_another_set_is_not_turned_with_the_models_own() -> None:
    """A model of dark ink, turned, is measured on a set that is light on black."""
    model = DRAW(DRAWConfig(rows=28, columns=28, glimpses=1, hidden_size=4, latent_size=2))
    model.data = DataConfig("images", "FOLDER", invert=True)
    assert images_of(model, "digits").images.images.mean() < 100
    assert images_of(model, DataConfig("digits", invert=True)).images.images.mean() > 155


@pytest.mark.parametrize("invert", [None, False, True])
@pytest.mark.parametrize("path", [None, "FOLDER"])
@pytest.mark.parametrize("name", KNOWN_SETS)
def test_an_exported_model_treats_pictures_as_in_training(name, path, invert) -> None:
    """It does not say where its images lie, so that no default of the place may differ."""
    trained = DataConfig(name, path=path, invert=invert)
    exported = without_places(trained)
    assert exported.path is None

    def treatment(how: Conversion) -> tuple[bool, str, str | None]:
        return how.invert, how.fit or "crop", how.background

    assert treatment(conversion_of(exported)) == treatment(conversion_of(trained))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (RepositoryNotFoundError, "or a folder here\\) named a/b, found neither"),
        (GatedRepoError, "a/b is on the Hugging Face Hub, but access must be asked for"),
    ],
)
def test_what_the_hub_refuses(tmp_path: Path, monkeypatch, kind, message: str) -> None:
    refusal = kind("no", response=SimpleNamespace(headers={}, request=None))
    for silence in (None, refusal):  # refused when fetching, or at once
        fake_hub(monkeypatch, refusal, silence)
        with pytest.raises(DataError, match=message):
            load_splits(hub_config(tmp_path, "images", "a/b"), progress=False)


def test_binarized_mnist_needs_a_path(no_network: None) -> None:
    with pytest.raises(DataError) as error:
        load_splits(DataConfig("binarized_mnist"))
    for choice in ("no dependable Hub source", "--data.path FOLDER", "--data.name mnist"):
        assert choice in str(error.value)


def decoded_directly(shard: Path, rows: slice) -> np.ndarray:
    images = pq.read_table(shard)["image"][rows].to_pylist()
    return np.stack([np.asarray(Pillow.open(io.BytesIO(i["bytes"])).convert("L")) for i in images])


@pytest.mark.slow
@pytest.mark.usefixtures("no_network", "without_shape_checks")
def test_mnist(development_data, tmp_path: Path) -> None:
    folder = development_data("mnist")
    splits = load_splits(hub_config(tmp_path, "mnist", str(folder)), progress=False)
    assert (splits.train.count, splits.validation.count, splits.test.count) == (
        KNOWN_SETS["mnist"].sizes
    )
    assert splits.train.image_shape == KNOWN_SETS["mnist"].image_shape
    assert not splits.train.binary
    # MNIST's published mean intensities are 33.3184 and 33.7912.
    assert splits.train.images.sum() + splits.validation.images.sum() == 1_567_298_545
    assert splits.test.images.sum() == 264_923_200
    (shard,) = folder.glob("train*")
    np.testing.assert_array_equal(splits.train.images[:50, 0], decoded_directly(shard, slice(50)))
    last = decoded_directly(shard, slice(50_000, 50_050))
    np.testing.assert_array_equal(splits.validation.images[:50, 0], last)
    assert splits.train.labels[:5].tolist() == pq.read_table(shard)["label"][:5].to_pylist()


@pytest.mark.slow
@pytest.mark.usefixtures("no_network", "without_shape_checks")
def test_binarized_mnist(development_data, tmp_path: Path) -> None:
    folder = development_data("binarized_mnist")
    splits = load_splits(hub_config(tmp_path, "binarized_mnist", str(folder)), progress=False)
    assert (splits.train.count, splits.validation.count, splits.test.count) == (
        KNOWN_SETS["binarized_mnist"].sizes
    )
    for part in (splits.train, splits.validation, splits.test):
        assert part.binary
        assert np.unique(part.images).tolist() == [0, 255]
        assert part.image_shape == (1, 28, 28)


def test_mnist_is_not_binarized_mnist(development_data, tmp_path: Path, monkeypatch) -> None:
    rows = pq.read_table(next(development_data("mnist").glob("test*"))).slice(0, 200)
    for split in ("train", "validation", "test"):
        pq.write_table(rows, tmp_path / f"{split}-00000-of-00001.parquet")
    with pytest.raises(DataError, match="expected binarized_mnist to be binary"):
        load_splits(hub_config(tmp_path, "binarized_mnist", str(tmp_path)), progress=False)


@pytest.mark.slow
def test_cifar10_subset(development_data, tmp_path: Path, no_network: None) -> None:
    folder = development_data("cifar10_subset")
    splits = load_splits(hub_config(tmp_path, "cifar10", str(folder)), progress=False)
    assert (splits.train.count, splits.validation.count, splits.test.count) == (7_262, 806, 1_017)
    assert splits.train.image_shape == KNOWN_SETS["cifar10"].image_shape
    assert set(splits.train.labels.tolist()) == set(range(10))
    picture = pq.read_table(next(folder.glob("test*")))["img"][3].as_py()
    expected = np.asarray(Pillow.open(io.BytesIO(picture["bytes"])))
    np.testing.assert_array_equal(splits.test.images[3], expected.transpose(2, 0, 1))


def write_rows(folder: Path, paths: list[str]) -> None:
    """A shard whose rows name pictures instead of holding them."""
    folder.mkdir(parents=True, exist_ok=True)
    schema = Features({"image": Image()}).arrow_schema
    rows = pa.table({"image": [{"bytes": None, "path": path} for path in paths]}, schema=schema)
    pq.write_table(rows, folder / "train-00000-of-00001.parquet")


OUTSIDE = (
    "../secret.png", "inner/../../secret.png", "ABOVE/secret.png", "link.png", "linked/secret.png",
    "pipe", "inner", "/dev/zero",
)  # fmt: skip
"""What a row must not name; ABOVE stands for the full path of the folder above."""


@pytest.mark.parametrize("named", OUTSIDE)
def test_a_row_names_no_picture_outside_its_folder(
    folder: Path, config: DataConfig, tmp_path: Path, named: str
) -> None:
    (folder / "inner").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(png(7))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    (folder / "good.png").write_bytes(png(5))
    write_rows(folder, ["good.png", named.replace("ABOVE", str(tmp_path)), "good.png"])
    with pytest.raises(DataError, match=r"expected .*row 1 to hold a picture, .* is not read; put"):
        load_splits(config, progress=False)


def test_a_row_names_pictures_of_its_folder(folder: Path, config: DataConfig) -> None:
    (folder / "inner").mkdir(parents=True)
    for number in range(3):
        (folder / "inner" / f"{number}.png").write_bytes(png(number))
    write_rows(folder, ["inner/0.png", "inner/../inner/1.png", str(folder / "inner" / "2.png")])
    splits = load_splits(config, progress=False)
    found = [shades(part.images) for part in (splits.train, splits.validation, splits.test)]
    assert sorted(shade for part in found for shade in part) == [0, 1, 2]


@pytest.mark.parametrize("card", ["README.md", ".huggingface.yaml"])
@pytest.mark.parametrize(
    "named",
    [
        "../secret/*.parquet", "ABOVE/secret/*.parquet", "a/../../secret/train-*",
        "https://example.org/x.parquet", "hf://datasets/a/b/x.parquet", "link.parquet",
        "zip://x.parquet::../secret.zip",
    ],
)  # fmt: skip
def test_a_card_names_no_files_outside_its_folder(
    folder: Path, config: DataConfig, tmp_path: Path, card: str, named: str
) -> None:
    write(folder, "train-00000-of-00001", [png(0)] * 3)
    write(tmp_path / "secret", "train-00000-of-00001", [png(7)] * 3)
    (folder / "link.parquet").mkdir()
    path = named.replace("ABOVE", str(tmp_path))
    header = (
        f"configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {path}\n"
    )
    (folder / card).write_text(f"---\n{header}---\n" if card.endswith(".md") else header)
    with pytest.raises(DataError, match=r"not read; put the file|cannot read it as parquet"):
        load_splits(config, progress=False)


def test_a_card_splits_the_files_of_its_folder(folder: Path, config: DataConfig) -> None:
    for number in range(2):
        write(folder, f"part-{number}", [png(number)] * 4)
    header = "configs:\n- config_name: default\n  data_files:\n" + "".join(
        f"  - split: {split}\n    path: part-{number}*\n"
        for number, split in enumerate(("train", "test"))
    )
    (folder / "README.md").write_text(f"---\n{header}---\n")
    assert shades(load_splits(config, progress=False).test.images) == [1] * 4
