"""Assignment of pictures to splits."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import get_args

import numpy as np
from jaxtyping import Int

from draw.config.data import Split
from draw.errors import DataError

SPLITS: tuple[str, ...] = get_args(Split)
ALIASES = {
    "train": "train", "training": "train", "trainval": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
"""Names of splits and their folders, in either case: the words that `datasets` goes by."""

_LETTERS = re.compile(r"[^\W\d_]+")
_WORDS = _LETTERS, re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
"""Words of a name: between other characters, and where capitals begin them (trainA, TestImages)."""
_SPLIT_WORD = re.compile(rf"({'|'.join(ALIASES)})(?:sets?|data|images?|imgs?|split|[ab])?")

MNIST_SIZE, MNIST_HELD_OUT = 60_000, 10_000
LARGEST_HOLDOUT = 10_000


@lru_cache(maxsize=4096)
def split_by_name(name: str) -> str | None:
    """The split that a name of a folder, file or stored split stands for, if it is one alone.

    One of the words of `ALIASES` in it will do, as for `datasets`: train2017, training_set, val-00,
    images_evaluation; so will trainA and testimages, of which that knows nothing.
    """
    words = {word.lower() for pattern in _WORDS for word in pattern.findall(name)}
    found = {ALIASES[match[1]] for word in words if (match := _SPLIT_WORD.fullmatch(word))}
    return found.pop() if len(found) == 1 else None


def without_split(name: str) -> str:
    """A name without the words in it that tell of a split."""
    return _LETTERS.sub(lambda word: "" if split_by_name(word[0]) else word[0], name)


def split_of(names: Iterable[str], where: str) -> str | None:
    """The split that the names on the way to a picture stand for, if any does.

    Args:
        names: names of the folders that the picture is in.
        where: name of the picture, for the error.

    Raises:
        DataError: the names stand for several splits.
    """
    found = {split: name for name in names if (split := split_by_name(name))}
    if len(found) > 1:
        told = " and ".join(f"{name} ({split})" for split, name in sorted(found.items()))
        raise DataError(
            f"expected a picture to lie in one split, but the names on the way to {where} are of "
            f"several: {told}; rename one of them, or pass the folder below as --data.path"
        )
    return next(iter(found), None)


def assign_splits(
    counts: Mapping[str, int], most: int = LARGEST_HOLDOUT
) -> tuple[dict[str, Int[np.ndarray, " n"]], str]:
    """Assign every stored picture to a split.

    Splits that are stored are used as they are. One that is missing is held out of train: a tenth
    of it, at least one picture and at most 10,000 (or `most`), drawn by a fixed shuffle that
    depends on nothing but the number of pictures, so that it is the same for every training seed
    (and sets stored class by class are split fairly). The exception is a train split of exactly
    60,000 beside a test split, as of MNIST and Fashion-MNIST, whose last 10,000 are by custom the
    validation set. If there is but one split, it counts as train, unless its name is one of
    pictures to be held out; others whose names `split_by_name` does not know are left aside.

    Args:
        counts: number of pictures in each stored split.
        most: most pictures to hold out for one split.

    Returns:
        For each stored split an index into `SPLITS` per picture, -1 for none; and a sentence that
        says what was held out and what was left aside.

    Raises:
        DataError: there is no train split among several, or too few pictures.
    """
    counts = {name: count for name, count in counts.items() if count}
    named = {name: split_by_name(name) for name in counts}
    if len(counts) == 1 and None in named.values():
        named = dict.fromkeys(counts, "train")
    train = [name for name in counts if named[name] == "train"]
    if not train:
        raise DataError(
            f"expected a split named train, got {', '.join(sorted(counts)) or 'none'}, and no "
            "training on pictures kept for validation or test; rename one, or keep a single one "
            "without such a name to have validation and test held out of it"
        )
    assigned = {
        name: np.full(count, SPLITS.index(split) if (split := named[name]) else -1)
        for name, count in counts.items()
    }
    missing = [split for split in SPLITS if split not in named.values()]
    total = sum(counts[name] for name in train)
    order, sentence = _held_out(total, missing, most)
    targets = np.zeros(total, dtype=np.int64)
    for split, indices in order.items():
        targets[indices] = SPLITS.index(split)
    first = 0
    for name in train:
        assigned[name] = targets[first : first + counts[name]]
        first += counts[name]
    aside = [f"{name}: {count:,}, not used" for name, count in counts.items() if not named[name]]
    return assigned, "; ".join([sentence, *aside])


def _held_out(total: int, missing: list[str], most: int) -> tuple[dict[str, list[int]], str]:
    """Indices for each missing split, and a sentence about them."""
    if not missing:
        return {}, "splits as stored"
    if total == MNIST_SIZE and missing == ["validation"]:
        kept = MNIST_SIZE - MNIST_HELD_OUT
        return {"validation": list(range(kept, total))}, "validation: the last 10,000 of train"
    each = max(1, min(most, total // 10))
    if total <= each * len(missing):
        raise DataError(
            f"expected at least {len(missing) + 1} pictures to hold {' and '.join(missing)} out of "
            f"train, got {total}; add pictures, or make folders train, validation and test"
        )
    shuffled = sorted(range(total), key=lambda index: hashlib.sha256(b"%d" % index).digest())
    order = {split: shuffled[i * each : (i + 1) * each] for i, split in enumerate(missing)}
    return order, f"{' and '.join(missing)}: {each:,} each, held out of train by a fixed shuffle"
