"""Reports of `draw data list`, `prepare` and `check`, as plain values."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from draw.config.data import DataConfig, Mode
from draw.data.advice import advice
from draw.data.images import ImageSet
from draw.data.load import at_hand, conversion_of, find_or_build, known_entry, unreadable, view_of
from draw.data.sets.official import text_sum
from draw.data.sets.table import KNOWN_SETS, KnownSet, known_set
from draw.data.sources.open_source import open_source, published_folder
from draw.data.sources.published import download_files
from draw.data.store import cache
from draw.data.store.cache import cache_root
from draw.data.store.splits import SPLITS
from draw.data.store.survey import survey
from draw.terminal import agree, amount


@dataclass(frozen=True)
class SetStatus:
    """A known data set, and whether it is prepared."""

    name: str
    known: KnownSet
    prepared: Path | None
    """Folder of the decoded images, if there are any for the set's own source at its default
    size."""


@dataclass(frozen=True)
class SplitReport:
    """Report on one split of prepared images."""

    name: str
    count: int
    binary: bool
    """Whether every pixel is 0 or 255."""
    classes: int | None
    """Number of different labels; None without labels."""
    mean: float
    """Mean of all pixels, in 0..1."""


@dataclass(frozen=True)
class Report:
    """Report on prepared images."""

    name: str
    source: str
    folder: Path
    size_in_bytes: int
    image_shape: tuple[int, int, int]
    """Shape of a stored image: channels, rows, columns."""
    view: str | None
    """Description of what a model sees of the stored images in training; None for the images
    themselves."""
    splits: tuple[SplitReport, ...]
    classes: tuple[str, ...] | None
    """Names of the labels 0, 1, ..., if they are known."""
    modes: dict[str, int]
    """Number of original pictures of each mode, as Pillow calls it."""
    sizes: tuple[tuple[int, int, int], ...]
    """The most common rows and columns of the originals, and how many had them."""
    duplicates: int | None
    """Number of test images that are, pixel by pixel, also in train; None if not looked for."""
    official: bool | None
    """Whether the images are those of the published files; None if not looked for, or none are."""
    warnings: tuple[str, ...]
    """Advice on pictures that are few, large, or of one colour."""
    problems: tuple[str, ...]
    """Problems that were found; empty if all is well."""


@dataclass(frozen=True)
class Suggestion:
    """Suggestion for `--data.size` and `--data.mode` after a look at a folder's pictures."""

    count: int
    sizes: tuple[tuple[int, int, int], ...]
    """The most common rows and columns, and how many pictures have them."""
    modes: dict[str, int]
    mode: Mode
    """Grey if all pictures are grey, else colour."""
    same_size: bool
    """Whether all pictures have one size, so that no --data.size is needed."""


def describe(cache_dir: str | None = None) -> tuple[SetStatus, ...]:
    """List the known data sets, and where each is if prepared; reads no images, asks no network.

    Args:
        cache_dir: folder of decoded images; by default ~/.cache/draw.
    """
    listed = []
    for name, known in KNOWN_SETS.items():
        entry = None
        if known.hub or known.published_files or name == "digits":
            config = DataConfig(name, cache_dir=cache_dir)
            entry = known_entry(open_source(config), conversion_of(config), cache_root(config))
        listed.append(SetStatus(name, known, entry if entry and entry.is_dir() else None))
    return tuple(listed)


def prepare(config: DataConfig, *, progress: bool = True) -> Report:
    """Fetch and decode the images of a config, if they are not in the cache, and report on them.

    Args:
        config: config of the data set.
        progress: whether to show a bar while decoding.

    Raises:
        DataError: the images cannot be had as asked; the message says what to do.
    """
    known = known_set(config.name)
    if config.path is None and known.published_files and not at_hand(config):
        download_files(known.published_files, published_folder(config))
    return _report(config, (), look_for_duplicates=False, progress=progress)


def check(config: DataConfig, *, progress: bool = True) -> Report:
    """Verify prepared images against their checksums, and look for what may spoil a result.

    Images that are not prepared yet are; damaged ones are made anew, and reported as a problem.

    Args:
        config: config of the data set.
        progress: whether to show a bar while decoding.

    Raises:
        DataError: the images cannot be had as asked; the message says what to do.
    """
    damage = _damage(config)
    return _report(config, damage, look_for_duplicates=True, progress=progress)


def suggest(path: str, *, progress: bool = True) -> Suggestion:
    """Suggest size and mode from the headers of a folder's (or Hub set's) pictures, decoding none.

    Args:
        path: folder, or owner/name on the Hub.
        progress: whether to show a bar.

    Raises:
        DataError: the path cannot be used, or pictures in it cannot be read.
    """
    found = survey(open_source(DataConfig("images", path)), progress=progress)
    return Suggestion(
        count=found.count,
        sizes=tuple((*size, count) for size, count in found.sizes.most_common(10)),
        modes=dict(found.modes.most_common()),
        mode="grey" if found.grey else "colour",
        same_size=len(found.sizes) == 1,
    )


def _damage(config: DataConfig) -> tuple[str, ...]:
    """What is wrong with the entry that would be used, before it is used (and so repaired)."""
    entry = known_entry(open_source(config), conversion_of(config), cache_root(config))
    if entry is None:
        return ()
    try:
        record = cache.read_record(entry)
        if record is not None:
            for split in SPLITS:
                cache.verify(entry, record, split)
    except cache.DamagedEntryError as damage:
        return (f"{entry} was damaged ({damage}) and has been made anew",)
    except OSError as error:
        raise unreadable(entry, error) from error
    return ()


def _report(
    config: DataConfig, problems: tuple[str, ...], *, look_for_duplicates: bool, progress: bool
) -> Report:
    prepared = find_or_build(config, SPLITS, progress=progress)
    images = {split: prepared.read(config.name, split) for split in SPLITS}
    duplicates, official, view = None, None, view_of(config)
    if look_for_duplicates:
        official = _official(config, images)
        duplicates = count_duplicates(images["train"], images["test"])
        if duplicates:
            of = f"of {amount(images['test'].count, 'test image')}"
            also = agree(duplicates, "are also in train, pixel by pixel")
            problems += (f"{duplicates:,} {of} {also}",)
    return Report(
        name=config.name,
        source=prepared.source,
        folder=prepared.entry,
        size_in_bytes=sum(file.stat().st_size for file in prepared.entry.iterdir()),
        image_shape=prepared.record.image_shape,
        view=None if view is None else view.description(prepared.record.image_shape),
        splits=tuple(_report_split(images[split]) for split in SPLITS),
        classes=prepared.record.classes,
        modes=prepared.record.modes,
        sizes=prepared.record.sizes,
        duplicates=duplicates,
        official=official,
        warnings=(*advice(config, images["train"]), *_blank(images)),
        problems=problems,
    )


def _report_split(images: ImageSet) -> SplitReport:
    return SplitReport(
        name=images.split,
        count=images.count,
        binary=images.binary,
        classes=None if images.labels is None else len(set(images.labels.tolist())),
        mean=float(images.images.mean()) / 255,
    )


def _blank(images: dict[str, ImageSet]) -> tuple[str, ...]:
    count = sum(
        int((flat.min(1) == flat.max(1)).sum())
        for of_split in images.values()
        for flat in [of_split.images.reshape(of_split.count, -1)]
    )
    return (f"images of one colour alone: {count:,}",) if count else ()


def _official(config: DataConfig, images: dict[str, ImageSet]) -> bool | None:
    published = known_set(config.name).published_files
    if not published:
        return None
    return all(text_sum(images[file.split].images) == file.sha256 for file in published)


def count_duplicates(train: ImageSet, test: ImageSet) -> int:
    """Count the images of one set that are, pixel by pixel, also in the other."""
    known = {hashlib.sha256(image).digest() for image in train.images}
    return sum(hashlib.sha256(image).digest() in known for image in test.images)
