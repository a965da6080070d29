"""A first pass over the headers of all pictures: how many, how large, grey or colour."""

import logging
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64

from draw.data.sources.source import Source
from draw.data.store.decode import Conversion, read_header
from draw.errors import DataError, listing
from draw.progress import track
from draw.terminal import agree, amount

logger = logging.getLogger("draw")


@dataclass(frozen=True)
class Survey:
    """Summary of the headers of a source's pictures."""

    counts: dict[str, int]
    """Pictures in each stored split."""
    labels: dict[str, Int64[np.ndarray, " n"] | None]
    """Labels of each stored split, if every picture of it has one."""
    sizes: Counter[tuple[int, int]]
    """Number of pictures of each size, rows and columns."""
    modes: Counter[str]
    """Number of pictures of each mode, as Pillow calls it."""
    grey: bool
    """Whether all pictures are grey."""
    examples: dict[tuple[int, int], str]
    """Name of the first picture of each size."""
    remarks: tuple[str, ...] = ()
    """Remarks on labels that some pictures have and others have not, and on odd pictures."""

    @property
    def count(self) -> int:
        """Number of pictures in all."""
        return sum(self.counts.values())


def survey(source: Source, *, progress: bool = True) -> Survey:
    """Read the header of every picture of a source.

    Args:
        source: source of the pictures.
        progress: whether to show a bar.

    Raises:
        DataError: there are no pictures, or some that cannot be read, of which it names ten.
    """
    counts, labels, bad = {}, {}, []
    sizes: Counter[tuple[int, int]] = Counter()
    modes: Counter[str] = Counter()
    examples: dict[tuple[int, int], str] = {}
    grey, remarks = True, list[str]()
    notes, noted = Counter[str](), dict[str, str]()
    for split, pictures in source.splits().items():
        of_split, unlabelled = list[int | None](), ""
        for picture in track(pictures, f"looking through {split}", enabled=progress):
            of_split.append(picture.label)
            if picture.label is None and not unlabelled:
                unlabelled = picture.name
            try:
                header = read_header(picture)
            except DataError as error:
                bad.append(str(error))
                continue
            sizes[header.size] += 1
            modes[header.mode] += 1
            examples.setdefault(header.size, picture.name)
            grey = grey and header.grey
            for note in header.notes:
                notes[note] += 1
                noted.setdefault(note, picture.name)
        counts[split] = len(of_split)
        present = [label for label in of_split if label is not None]
        complete = len(present) == len(of_split)
        labels[split] = np.array(present, dtype=np.int64) if complete else None
        if present and not complete:
            without = f"{len(of_split) - len(present):,} of {len(of_split):,} pictures"
            remarks.append(f"no labels in {split}: {without}, such as {unlabelled}, have none")
            logger.warning("%s: %s", source.description(), remarks[-1])
    refuse_bad(bad, source)
    if not sizes:
        raise DataError(f"expected pictures in {source.description()}, found none")
    for note, count in notes.items():
        remarks.append(f"{amount(count, 'picture')}, such as {noted[note]}, {agree(count, note)}")
        logger.info("%s: %s", source.description(), remarks[-1])
    return Survey(counts, labels, sizes, modes, grey, examples, tuple(remarks))


def refuse_bad(bad: list[str], source: Source) -> None:
    """Raise a `DataError` that names the bad pictures, if there are any."""
    if bad:
        raise DataError(
            f"{amount(len(bad), 'picture')} of {source.description()} cannot be used:{listing(bad)}"
        )


def settle(survey: Survey, conversion: Conversion) -> Conversion:
    """Fill in the size and the mode that the pictures have by themselves.

    Args:
        survey: summary of the headers.
        conversion: conversion that was asked for.

    Raises:
        DataError: sizes differ from one another, or from the one asked for, and there is no fit.
    """
    ((common, count),) = survey.sizes.most_common(1)
    size = conversion.size or common
    others = [other for other in survey.sizes if other != size]
    if others and (conversion.size is None or conversion.fit is None):
        named = ([common] if conversion.size is None else []) + others
        examples = "\n".join(
            f"  {survey.examples[s]}: {s[0]}x{s[1]}, as {survey.sizes[s]:,} "
            + agree(survey.sizes[s], "are")
            for s in named[:2]
        )
        wanted = "all of one size" if conversion.size is None else f"of {size[0]}x{size[1]}"
        pass_size = f"--data.size {common[0]} {common[1]} " if conversion.size is None else ""
        raise DataError(
            f"expected {amount(survey.count, 'picture')} {wanted}, got {len(survey.sizes):,} sizes "
            f"such as\n{examples}\nThe most common is {common[0]}x{common[1]} "
            f"({amount(count, 'picture')}). Pass {pass_size}--data.fit crop (fill the size and cut "
            "off what is over), pad (fit inside it with black bars) or stretch"
        )
    mode = conversion.mode or ("grey" if survey.grey else "colour")
    return replace(conversion, size=size, mode=mode)
