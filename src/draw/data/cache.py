"""Decoded images on disk: written once, whole or not at all, and checked at every use.

    ROOT/<key>/meta.json               what is in it, with the SHA-256 of each file
    ROOT/<key>/train.npy               uint8 [n, channels, rows, columns]; so for the other splits
    ROOT/<key>/train-labels.npy        int64 [n], where there are labels
    ROOT/index/<request>.json          which key a request led to, to skip reading the originals

The key is a hash of the originals' content and of the conversion, so that a change to either leads
to another entry. An entry is written under another name and then renamed: of several processes that
prepare the same set at once, the first to finish wins.
"""

import dataclasses
import hashlib
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from draw.data.decode import Conversion
from draw.data.errors import DataError

logger = logging.getLogger("draw")

FORMAT = 1
"""Goes into every key: raise it when decoding or the layout of an entry changes."""

SECONDS_UNTIL_ABANDONED = 24 * 3600.0


class Damaged(Exception):  # noqa: N818 (a finding, never shown as an error)
    """An entry is not what was written."""


@dataclass(frozen=True)
class SplitRecord:
    """One split of an entry."""

    count: int
    binary: bool
    """Every pixel is 0 or 255."""
    images: str
    """SHA-256 of its file of images."""
    labels: str | None
    """SHA-256 of its file of labels."""


@dataclass(frozen=True)
class Record:
    """What an entry's meta.json says."""

    splitting: str
    """Which images were held out of train, and what else reports should say of the images."""
    image_shape: tuple[int, int, int]
    splits: dict[str, SplitRecord]
    classes: tuple[str, ...] | None
    modes: dict[str, int]
    """How many of the original pictures had which mode, as Pillow calls it."""
    sizes: tuple[tuple[int, int, int], ...]
    """The most common rows and columns of the originals, and how many had them."""


def entry_key(fingerprint: str, conversion: Conversion) -> str:
    """The name of an entry: a hash of the originals' content and what is done to them."""
    parts = json.dumps([FORMAT, fingerprint, dataclasses.asdict(conversion)])
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def read_record(entry: Path) -> Record | None:
    """What an entry holds; None if there is no entry. Raises `Damaged`."""
    try:
        text = (entry / "meta.json").read_text()
    except (FileNotFoundError, NotADirectoryError):
        if entry.exists():
            raise Damaged("meta.json is missing") from None
        return None
    try:
        stored = json.loads(text)
        body = stored["record"]
        if _digest(body) != stored["sha256"]:
            raise Damaged("meta.json does not match its checksum")
        splits = {name: SplitRecord(**fields) for name, fields in body.pop("splits").items()}
        body["image_shape"] = tuple(body["image_shape"])
        body["sizes"] = tuple(tuple(size) for size in body["sizes"])
        body["classes"] = None if body["classes"] is None else tuple(body["classes"])
        return Record(splits=splits, **body)
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"meta.json cannot be understood ({error})") from error


def verify(entry: Path, record: Record, split: str) -> None:
    """Compares the files of a split with their checksums. Raises `Damaged`."""
    files = {f"{split}.npy": record.splits[split].images}
    if record.splits[split].labels is not None:
        files[f"{split}-labels.npy"] = record.splits[split].labels or ""
    for name, expected in files.items():
        try:
            actual = digest_file(entry / name)
        except FileNotFoundError:
            raise Damaged(f"{name} is missing") from None
        if actual != expected:
            raise Damaged(f"{name} does not match its checksum")


def write_record(folder: Path, record: Record) -> None:
    """Completes an entry that is being built."""
    body = dataclasses.asdict(record)
    text = json.dumps({"sha256": _digest(body), "record": body}, indent=1)
    (folder / "meta.json").write_text(text)


def digest_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def building(entry: Path) -> Iterator[Path]:
    """Gives a folder to write an entry into, which takes its name when all went well.

    Nothing is left behind if something went wrong, and an entry that meanwhile came from another
    process is kept.

    Raises:
        DataError: the cache cannot be written, as on a full disk.
    """
    root = entry.parent
    temporary = root / f".{entry.name}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(root)
        temporary.mkdir()
        yield temporary
        try:
            temporary.rename(entry)
        except OSError:
            if not (entry / "meta.json").exists():
                raise
    except OSError as error:
        raise DataError(
            f"cannot write decoded images to {root}: {error.strerror or error}; make room there or "
            "pass --data.cache-dir FOLDER with another place"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def discard(entry: Path, reason: object) -> None:
    """Removes a damaged entry and says so in the log."""
    logger.warning("the decoded images in %s are damaged (%s): making them anew", entry, reason)
    aside = entry.with_name(f".{entry.name}-{secrets.token_hex(4)}")
    try:
        entry.rename(aside)  # at once, so that no other process sees half of it
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(
            f"the decoded images in {entry} are damaged ({reason}) and cannot be removed "
            f"({error.strerror}); remove the folder, or pass --data.cache-dir FOLDER"
        ) from error
    shutil.rmtree(aside, ignore_errors=True)


def recall(root: Path, request: str) -> dict[str, Any] | None:
    """What `remember` noted down for a request, if it did."""
    try:
        note = json.loads(_note(root, request).read_text())
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) else None


def remember(root: Path, request: str, note: dict[str, Any]) -> None:
    """Notes down what a request led to."""
    path = _note(root, request)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(note))
        temporary.replace(path)
    except OSError as error:  # it only saves time: a cache that cannot be written can be used
        logger.info("cannot note down in %s: %s", path.parent, error)
        temporary.unlink(missing_ok=True)


def _note(root: Path, request: str) -> Path:
    return root / "index" / f"{hashlib.sha256(request.encode(errors='replace')).hexdigest()}.json"


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _remove_abandoned(root: Path) -> None:
    """Removes what processes that were killed have left."""
    for path in root.glob(".*-*-*"):
        if time.time() - path.stat().st_mtime > SECONDS_UNTIL_ABANDONED:
            shutil.rmtree(path, ignore_errors=True)


def load_array(path: Path) -> Shaped[np.ndarray, "..."]:
    """A read-only memory map of an array."""
    return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
