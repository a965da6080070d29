"""The verbs data list, data prepare, data check, data convert and data originals."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from draw.cli.options import Json, words_apart_from, write_result
from draw.config.data import DataConfig
from draw.config.presets import PRESETS
from draw.errors import DrawError
from draw.terminal import say

if TYPE_CHECKING:
    from draw.data import Report


def data_list(cache_dir: str | None = None, json: Json = None) -> None:
    """List the data sets known by name, and which are ready to use.

    Args:
        cache_dir: folder of decoded images; by default ~/.cache/draw.
        json: also write the list as JSON to this file (- for standard output).
    """
    from draw.data import describe
    from draw.measure.tables import print_data_sets

    listed = describe(cache_dir)
    with words_apart_from(json):
        print_data_sets(listed)
    write_result(json, [dataclasses.asdict(one) for one in listed])


@dataclasses.dataclass(frozen=True)
class DataSetOptions:
    """Which data set, and how its images are made to fit."""

    name: Annotated[Positional[str | None], arg(metavar="NAME")] = None
    """A data set that draw data list names; without one, your own images at --data.path."""
    data: DataConfig = dataclasses.field(default_factory=lambda: DataConfig(name="images"))
    json: Json = None
    """Also write the report as JSON to this file (- for standard output)."""

    def config(self) -> DataConfig:
        """Config of the images that are asked for."""
        if self.name is None:
            return _as_stored(self.data)
        if self.data.name not in ("images", self.name):
            raise DrawError(f"expected one data set, got {self.name} and {self.data.name}")
        return _as_stored(dataclasses.replace(self.data, name=self.name))


def _as_stored(data: DataConfig) -> DataConfig:
    """A config without what acts in training alone; one's own pictures fit as in their preset.

    Raises:
        DrawError: if it asks for something that has no effect on stored images.
    """
    from draw.data.load import check_boxes

    for flag, value in (("binarize", data.binarize), ("augment", data.augment)):
        if value not in ("none", ()):
            raise DrawError(
                f"expected no --data.{flag} of draw data, which is about images as they are "
                "stored: it has its effect at each use, in training; leave it out"
            )
    check_boxes(data)
    if data.name == "images" and data.fit is None:
        return dataclasses.replace(data, fit=PRESETS["images"]().data.fit)
    return data


def data_prepare(options: Annotated[DataSetOptions, arg(name="")]) -> None:
    """Fetch and decode a data set now.

    Training then starts at once and needs no network.

    Args:
        options: options that name the data set.
    """
    from draw.data import prepare

    _report(prepare(options.config()), options.json)


def data_check(options: Annotated[DataSetOptions, arg(name="")]) -> None:
    """Verify a data set: checksums, sizes, modes, splits.

    Test images that are also in training are counted.

    Args:
        options: options that name the data set.
    """
    from draw.data import check

    report = check(options.config())
    _report(report, options.json)
    if report.problems:
        raise DrawError("; ".join(report.problems))


def _report(report: "Report", json_file: str | None) -> None:
    from draw.measure.tables import print_data_report

    with words_apart_from(json_file):
        print_data_report(report)
    write_result(json_file, dataclasses.asdict(report))


@dataclasses.dataclass(frozen=True)
class CopyOptions:
    """From where to where, and how the images are made to fit."""

    source: Annotated[Positional[str], arg(metavar="FROM")]
    """A data set that draw data list names, or a folder, file or Hub name as for --data.path."""
    to: Annotated[Positional[Path], arg(metavar="TO")]
    """A new .npz file, or a new folder for pictures."""
    data: DataConfig = dataclasses.field(default_factory=lambda: DataConfig(name="images"))
    json: Json = None
    """Also write how many images each split has as JSON to this file (- for standard output)."""

    def config(self) -> DataConfig:
        """Config of the images that are asked for."""
        from draw.data import KNOWN_SETS

        known = self.source in KNOWN_SETS and self.source != "images"
        if self.data.name != "images" or (self.data.path is not None and not known):
            raise DrawError(
                f"expected what to convert as FROM, got {self.source} and --data.name or "
                "--data.path; leave them out"
            )
        if known:
            return _as_stored(dataclasses.replace(self.data, name=self.source))
        return _as_stored(dataclasses.replace(self.data, path=self.source))


def data_convert(options: Annotated[CopyOptions, arg(name="")]) -> None:
    """Write a data set as a .npz file or as pictures.

    In any format that --data.path takes, from a folder, a file or the Hub. Splits and labels are
    kept; a set whose images are made anew for every batch is written as it is stored.

    For example:

    draw data convert MNIST/raw mnist.npz

    draw data convert photos.parquet photos --data.size 64 --data.mode colour --data.fit crop

    Args:
        options: from where to where, and how.
    """
    from draw.data import load_splits
    from draw.data.copies import write_copy

    splits = load_splits(options.config())
    with words_apart_from(options.json):
        say(write_copy(splits, options.to))
    counts = {images.split: images.count for images in vars(splits).values()}
    write_result(options.json, {"to": str(options.to), "images": counts})


@dataclasses.dataclass(frozen=True)
class OriginalsOptions:
    """Which binarized set, and what it was made of."""

    binary: Annotated[Positional[str], arg(metavar="BINARY")]
    """The binarized set: a name of draw data list, or a folder, file or Hub name."""
    grey: Annotated[Positional[str], arg(metavar="GREY")]
    """The grey set that it was drawn from, given in the same ways."""
    to: Annotated[Positional[Path], arg(metavar="TO")]
    """A new .npz file, or a new folder for pictures."""
    cache_dir: str | None = None
    """Folder of decoded images; by default ~/.cache/draw."""
    json: Json = None
    """Also write how many images each split has as JSON to this file (- for standard output)."""


def data_originals(options: Annotated[OriginalsOptions, arg(name="")]) -> None:
    """Write the grey images that a binarized set was drawn from.

    TO gets the grey originals of the training images, to be binarized anew at each use, validation
    and test images as they are, and the labels of all, which the binarized MNIST lacks. Every pixel
    is compared: a set that was made of other images is refused.

    For example:

    draw data originals binarized_mnist mnist mnist-originals.npz

    draw train mnist --data.path mnist-originals.npz

    Args:
        options: options that name the two sets and the place.
    """
    from draw.data import load_splits
    from draw.data.copies import check_place, write_copy
    from draw.data.originals import with_grey_training

    check_place(options.to)
    images = DataConfig(name="images", cache_dir=options.cache_dir)
    sources = (CopyOptions(one, options.to, images) for one in (options.binary, options.grey))
    binary, grey = (load_splits(source.config()) for source in sources)
    splits = with_grey_training(binary, grey)
    with words_apart_from(options.json):
        say(write_copy(splits, options.to))
    counts = {images.split: images.count for images in vars(splits).values()}
    write_result(options.json, {"to": str(options.to), "images": counts})
