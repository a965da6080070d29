"""Loading the images of a config, from the cache or decoded into it."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from draw.config.data import DataConfig
from draw.data.images import ImageSet, Splits
from draw.data.sets.table import known_set
from draw.data.sources.open_source import open_source
from draw.data.sources.source import HUB_STAMP, Source
from draw.data.store import cache
from draw.data.store.cache import cache_root
from draw.data.store.decode import Conversion
from draw.data.store.entry import build
from draw.data.store.splits import SPLITS
from draw.data.views.augmentation import KEEP_BINARY, augmentation_of
from draw.data.views.augmentation_choice import choose_augmentation
from draw.data.views.view import View
from draw.errors import DataError

logger = logging.getLogger("draw")


@dataclass(frozen=True)
class PreparedSet:
    """A data set whose decoded images are in the cache."""

    entry: Path
    record: cache.Record
    source: str

    def read(self, name: str, split: str) -> ImageSet:
        """Read one split, mapped into memory."""
        of_split = self.record.splits[split]
        labels = self.entry / f"{split}-labels.npy"
        return ImageSet(
            name=name,
            split=split,
            images=cache.load_array(self.entry / f"{split}.npy"),
            labels=None if of_split.labels is None else cache.load_array(labels),
            source=self.source,
            fingerprint=of_split.images,
            binary=of_split.binary,
            fingerprints={name: one.images for name, one in self.record.splits.items()},
            classes=self.record.classes,
        )


def load_splits(config: DataConfig, *, progress: bool = True) -> Splits:
    """Load all splits of a config's images; see `load_images`.

    Args:
        config: config of the data set.
        progress: whether to show a bar while decoding.
    """
    prepared = find_or_build(config, SPLITS, progress=progress)
    view = view_of(config)
    return Splits(*(_seen(config, prepared.read(config.name, split), view) for split in SPLITS))


def load_images(config: DataConfig, split: str, *, progress: bool = True) -> ImageSet:
    """Load one split's images, decoded the first time and read from the cache from then on.

    Where the set has a view, training images get it, and the images of validation and test, which
    are always the same, are made with it at once.

    Args:
        config: config of the data set. Binarization is not applied here.
        split: "train", "validation" or "test"; `assign_splits` says where each comes from.
        progress: whether to show a bar while decoding.

    Raises:
        DataError: the images cannot be had as asked; the message says what to do.
    """
    if split not in SPLITS:
        raise DataError(f"expected split to be one of {', '.join(SPLITS)}, got {split!r}")
    prepared = find_or_build(config, (split,), progress=progress)
    return _seen(config, prepared.read(config.name, split), view_of(config))


def at_hand(config: DataConfig) -> bool:
    """Whether images can be had without a network: prepared already, or stored on this computer.

    Args:
        config: config of the data set.
    """
    try:
        source = open_source(config)
        entry = known_entry(source, conversion_of(config), cache_root(config))
    except DataError:
        return False
    return source.stamp() != HUB_STAMP or (entry is not None and entry.is_dir())


def is_decoded(config: DataConfig) -> bool:
    """Whether the images of a config lie decoded in the cache, so that they are there at once.

    Args:
        config: config of the data set.

    Raises:
        DataError: there are no such images.
    """
    entry = known_entry(open_source(config), conversion_of(config), cache_root(config))
    return entry is not None and entry.is_dir()


def view_of(config: DataConfig) -> View | None:
    """The view that makes the images a model sees out of those of a config; None for none.

    Args:
        config: config of the data set.
    """
    return known_set(config.name).view


def _seen(config: DataConfig, images: ImageSet, view: View | None) -> ImageSet:
    if images.split != "train":
        return replace(images, view=view).evaluation_set()
    asked: tuple[str, ...] = config.augment or ()
    if config.augment is None:
        asked = suitable_augmentation(images)
    augmentation_of(asked)  # an unknown one is refused before any work
    greying = [name for name in asked if name not in KEEP_BINARY]
    if images.binary and greying:
        raise DataError(
            f"expected no --data.augment {greying[0]} with images that are binary, whose pixels "
            f"would become grey; {images.source}. Leave it out, or train on grey images with "
            "--data.binarize dynamic"
        )
    return replace(images, view=view, augment=asked)


def suitable_augmentation(images: ImageSet) -> tuple[str, ...]:
    """Choose augmentations by what some training images are, and log why.

    Args:
        images: training images.
    """
    choice = choose_augmentation(
        images.images, labelled=images.labels is not None, binary=images.binary
    )
    logger.info(
        "--data.augment %s suits these pictures: %s", " ".join(choice.names) or "''", choice.reason
    )
    return choice.names


def find_or_build(
    config: DataConfig, splits: tuple[str, ...], *, progress: bool = True
) -> PreparedSet:
    """Find the cache's entry for a config, or make it if it is missing or damaged.

    Args:
        config: config of the data set.
        splits: names of the splits whose checksums are compared.
        progress: whether to show a bar while decoding.

    Raises:
        DataError: the entry cannot be made, or is not what the config's name promises.
    """
    source, conversion, root = open_source(config), conversion_of(config), cache_root(config)
    entry = known_entry(source, conversion, root)
    record = None if entry is None else _intact(entry, splits)
    if entry is None or record is None:
        logger.info("reading %s", source.description())
        entry = root / cache.entry_key(source.fingerprint(), conversion)
        record = _intact(entry, splits)
        if record is None:
            held_out = known_set(config.name).held_out
            build(entry, source, conversion, held_out=held_out, progress=progress)
            record = _intact(entry, splits)
        if record is None:
            raise DataError(f"{entry} is damaged as soon as it is written; check the disk")
        note = {"stamp": source.stamp(), "entry": entry.name}
        cache.remember(root, request_of(source, conversion), note)
    prepared = PreparedSet(entry, record, f"{source.description()}; {record.splitting}")
    _refuse_misnamed(config, prepared)
    return prepared


def known_entry(source: Source, conversion: Conversion, root: Path) -> Path | None:
    """The entry that the same request led to before, if the originals have not changed since."""
    note = cache.recall(root, request_of(source, conversion))
    if note is None or note.get("stamp") != source.stamp():
        return None
    return cache.entry_by_name(root, note.get("entry"))


def request_of(source: Source, conversion: Conversion) -> str:
    """Describe as text what is asked of the cache: source and conversion."""
    return f"{cache.FORMAT} {source.location()} {conversion}"


def conversion_of(config: DataConfig) -> Conversion:
    """The conversion of pictures that a config asks for; a known set's own source has defaults."""
    asked = Conversion(
        config.rows_and_columns,
        config.mode,
        config.fit,
        bool(config.invert),
        config.background,
    )
    known = known_set(config.name)
    if _elsewhere(config):
        return asked
    return replace(
        asked,
        size=asked.size or known.size,
        mode=asked.mode or known.mode,
        fit=asked.fit or known.fit,
        invert=known.invert if config.invert is None else config.invert,
    )


def without_places(config: DataConfig) -> DataConfig:
    """What an exported model says of its data: how pictures were treated, not where they lie.

    Without a path the defaults of the set's own source would hold, which did not.

    Args:
        config: config of the data that the model was trained on.
    """
    kept, known = config.without_places(), known_set(config.name)
    if not _elsewhere(config):
        return kept
    invert = False if known.invert and kept.invert is None else kept.invert
    return replace(kept, invert=invert, fit=kept.fit or ("crop" if known.fit else None))


def _elsewhere(config: DataConfig) -> bool:
    """Whether images come from a path, to which the defaults of the known set do not apply."""
    return config.path is not None and not known_set(config.name).boxes


def check_boxes(config: DataConfig) -> None:
    """Refuse to skip boxes of a set that has none, before it is read.

    Args:
        config: config of the data set, as somebody asks for it now.

    Raises:
        DataError: if pictures are to be left out by their boxes, and are not cut out.
    """
    if config.bad_boxes != "refuse" and not known_set(config.name).boxes:
        raise DataError(
            f"expected --data.bad-boxes {config.bad_boxes} with --data.name svhn, whose pictures "
            f"are cut out by boxes, got {config.name}, which has none; leave it out"
        )


def _intact(entry: Path, splits: tuple[str, ...]) -> cache.Record | None:
    """The record of an entry whose checksums hold; a damaged one is removed, and None returned."""
    try:
        record = cache.read_record(entry)
        if record is not None:
            for split in splits:
                cache.verify(entry, record, split)
        return record
    except cache.DamagedEntryError as damage:
        cache.discard(entry, damage)
        return None
    except OSError as error:
        raise unreadable(entry, error) from error


def unreadable(entry: Path, error: OSError) -> DataError:
    """Make the error for an entry of the cache that the system does not let be read."""
    return DataError(
        f"expected to read decoded images in {entry}, got: {error.strerror}; make the folder "
        "readable, or pass --data.cache-dir FOLDER with another place"
    )


def _refuse_misnamed(config: DataConfig, prepared: PreparedSet) -> None:
    grey = [name for name, split in prepared.record.splits.items() if not split.binary]
    plain = known_set(config.name).grey
    if plain is not None and grey:
        raise DataError(
            f"expected {config.name} to be binary (every pixel 0 or 255), but the {grey[0]} "
            f"images of {prepared.source} are not, and nats would not compare; pass the path of "
            f"the binarized set without --data.size, or --data.name {plain}"
        )
