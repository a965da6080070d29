"""Building an entry of the cache from pictures as stored."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Int

from draw.data.sources.source import Source
from draw.data.store import cache
from draw.data.store.decode import ALPHA, Conversion, Picture, decode, is_transparent
from draw.data.store.splits import LARGEST_HOLDOUT, SPLITS, assign_splits
from draw.data.store.survey import Survey, refuse_bad, settle, survey
from draw.errors import DataError
from draw.progress import track

logger = logging.getLogger("draw")


def build(
    entry: Path,
    source: Source,
    conversion: Conversion,
    *,
    held_out: int = LARGEST_HOLDOUT,
    progress: bool = True,
) -> None:
    """Decode every picture of a source into a new entry of the cache.

    Args:
        entry: the folder to make.
        source: source of the pictures.
        conversion: size and mode that each picture is turned into.
        held_out: most pictures held out of train for a split that is missing.
        progress: whether to show a bar.

    Raises:
        DataError: a picture cannot be used, sizes do not agree, splits cannot be made, or the cache
            cannot be written.
    """
    found = survey(source, progress=progress)
    settled = settle(found, conversion)
    assigned, sentence = assign_splits(found.counts, held_out)
    logger.info("decoding %s into %s", source.description(), entry)
    with cache.new_entry(entry) as folder:
        binary = _write_images(folder, source, settled, assigned, found, progress)
        _write_labels(folder, assigned, found)
        splits = {
            name: cache.SplitRecord(
                count=sum(int((targets == index).sum()) for targets in assigned.values()),
                binary=binary[index],
                images=cache.digest_file(folder / f"{name}.npy"),
                labels=cache.digest_file(labels) if labels.exists() else None,
            )
            for index, name in enumerate(SPLITS)
            for labels in [folder / f"{name}-labels.npy"]
        }
        remarks = [*source.remarks(), *found.remarks, *_no_effect(settled, found, source)]
        record = cache.Record(
            splitting="; ".join([sentence, *remarks]),
            image_shape=_image_shape(settled),
            splits=splits,
            classes=source.classes(),
            modes=dict(found.modes),
            sizes=tuple((*size, count) for size, count in found.sizes.most_common(10)),
        )
        cache.write_record(folder, record)


def _no_effect(settled: Conversion, found: Survey, source: Source) -> list[str]:
    """A line about a ground that no picture shows."""
    if settled.background is None:
        return []
    note = ALPHA.partition(" ")[2]
    pictures = (picture for of_split in source.splits().values() for picture in of_split)
    if any(note in remark for remark in found.remarks) and any(map(is_transparent, pictures)):
        return []
    line = f"no picture is transparent: --data.background {settled.background} has no effect"
    logger.warning("%s", line)
    return [line]


def _image_shape(settled: Conversion) -> tuple[int, int, int]:
    assert settled.size is not None
    return (1 if settled.mode == "grey" else 3, *settled.size)


def _write_images(
    folder: Path,
    source: Source,
    settled: Conversion,
    assigned: dict[str, Int[np.ndarray, " n"]],
    found: Survey,
    progress: bool,
) -> list[bool]:
    """Writes each split's images in stored order; returns which splits are binary."""
    binary, bad, blank = [True] * len(SPLITS), list[str](), list[str]()
    with ExitStack() as stack:
        files = [stack.enter_context((folder / f"{name}.npy").open("wb")) for name in SPLITS]
        for index, file in enumerate(files):
            count = sum(int((targets == index).sum()) for targets in assigned.values())
            _write_header(file, (count, *_image_shape(settled)))
        to_decode = _with_targets(source, assigned)
        total = sum(targets.size for targets in assigned.values())
        for target, picture in track(to_decode, "decoding", total=total, enabled=progress):
            if target < 0:
                continue
            try:
                image = decode(picture, settled)
            except DataError as error:
                bad.append(str(error))
                continue
            if image.min() == image.max():
                blank.append(picture.name)
            binary[target] = binary[target] and bool(((image == 0) | (image == 255)).all())
            files[target].write(image.tobytes())
    refuse_bad(bad, source)
    if blank:
        logger.warning(
            "%s pictures of %s have one colour alone, such as %s; drawings on a transparent ground "
            "need --data.background black (or #rrggbb)",
            f"{len(blank):,}", source.description(), blank[0],
        )  # fmt: skip
    return binary


def _with_targets(
    source: Source, assigned: dict[str, Int[np.ndarray, " n"]]
) -> Iterator[tuple[int, Picture]]:
    for split, pictures in source.splits().items():
        if split in assigned:  # others are empty
            for target, picture in zip(assigned[split], pictures, strict=True):
                yield int(target), picture


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Starts an .npy file; its bytes then come one image at a time, so a full disk is an error.

    (A memory map of a file that the disk has no room for would end the process instead.)
    """
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _write_labels(folder: Path, assigned: dict[str, Int[np.ndarray, " n"]], found: Survey) -> None:
    """Writes each split's labels, if all of its pictures have one."""
    for index, name in enumerate(SPLITS):
        parts = [
            None if (labels := found.labels[stored]) is None else labels[targets == index]
            for stored, targets in assigned.items()
            if (targets == index).any()
        ]
        present = [part for part in parts if part is not None]
        if len(present) == len(parts):
            np.save(folder / f"{name}-labels.npy", np.concatenate(present), allow_pickle=False)
