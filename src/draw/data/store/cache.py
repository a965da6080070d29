"""Decoded images on disk: written once, whole or not at all, and checked at every use.

    ROOT/<key>/meta.json               what is in it, with the SHA-256 of each file
    ROOT/<key>/train.npy               uint8 [n, channels, rows, columns]; so for the other splits
    ROOT/<key>/train-labels.npy        int64 [n], where there are labels
    ROOT/<key>/CACHEDIR.TAG            says that `draw` made the folder, and may remove it
    ROOT/index/<request>.json          which key a request led to, to skip reading the originals

The key is a hash of the originals' content and of the conversion, so that a change to either leads
to another entry. An entry is written under another name and then renamed: of several processes that
prepare the same set at once, the first to finish wins. Nothing is removed but folders of `ROOT`
itself that have a name and a tag of this module's.
"""

import dataclasses
import hashlib
import json
import logging
import os
import re
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

from draw.config.data import DataConfig
from draw.data.store.decode import Conversion
from draw.errors import DataError, DrawError
from draw.files import cache_folder, read_text
from draw.json_files import parse_json, read_json_object, write_json

logger = logging.getLogger("draw")

FORMAT = 4
"""Version that goes into every key: raise it when decoding, the rules of splits and labels, or the
layout of an entry change."""

ABANDONMENT_SECONDS = 24 * 3600.0

TAG_FILE = "CACHEDIR.TAG"
"""Name of a file in every folder that is made here; backup programs know it, and pass such a folder
over."""
TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Images decoded by draw; it may remove them.\n"
KEY = re.compile(r"[0-9a-f]{32}")
PARTIAL_ENTRY = re.compile(rf"\.({KEY.pattern})-[0-9]+-[0-9a-f]{{8}}")
"""Name of an entry while it is written, and while it is removed."""


class DamagedEntryError(Exception):
    """The files of a cache entry are not what was written."""


@dataclass(frozen=True)
class SplitRecord:
    """Record of one split of an entry."""

    count: int
    binary: bool
    """Whether every pixel is 0 or 255."""
    images: str
    """SHA-256 of the file of images."""
    labels: str | None
    """SHA-256 of the file of labels; None without labels."""


@dataclass(frozen=True)
class Record:
    """Contents of an entry's meta.json."""

    splitting: str
    """Which images were held out of train, and what else reports should say of the images."""
    image_shape: tuple[int, int, int]
    splits: dict[str, SplitRecord]
    classes: tuple[str, ...] | None
    modes: dict[str, int]
    """Number of original pictures of each mode, as Pillow calls it."""
    sizes: tuple[tuple[int, int, int], ...]
    """The most common rows and columns of the originals, and how many had them."""


def cache_root(config: DataConfig) -> Path:
    """The folder of all decoded images."""
    return Path(config.cache_dir).expanduser() if config.cache_dir else cache_folder()


def entry_key(fingerprint: str, conversion: Conversion) -> str:
    """Name of an entry: a hash of the originals' content and of the conversion."""
    parts = json.dumps([FORMAT, fingerprint, dataclasses.asdict(conversion)])
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def read_record(entry: Path) -> Record | None:
    """Read the record of an entry; None if there is no entry. Raises `DamagedEntryError`."""
    path = entry / "meta.json"
    if not entry.exists():
        return None
    if not path.is_file():
        raise DamagedEntryError("meta.json is missing")
    try:
        stored = parse_json(path.read_text(encoding="utf-8"))
        body = stored["record"]
        if _digest(body) != stored["sha256"]:
            raise DamagedEntryError("meta.json does not match its checksum")
        splits = {name: SplitRecord(**fields) for name, fields in body.pop("splits").items()}
        body["image_shape"] = tuple(body["image_shape"])
        body["sizes"] = tuple(tuple(size) for size in body["sizes"])
        body["classes"] = None if body["classes"] is None else tuple(body["classes"])
        return Record(splits=splits, **body)
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedEntryError(f"meta.json cannot be understood ({error})") from error


def verify(entry: Path, record: Record, split: str) -> None:
    """Compare the files of a split with their checksums. Raises `DamagedEntryError`."""
    files = {f"{split}.npy": record.splits[split].images}
    if record.splits[split].labels is not None:
        files[f"{split}-labels.npy"] = record.splits[split].labels or ""
    for name, expected in files.items():
        if not (entry / name).is_file():
            raise DamagedEntryError(f"{name} is missing")
        if digest_file(entry / name) != expected:
            raise DamagedEntryError(f"{name} does not match its checksum")


def write_record(folder: Path, record: Record) -> None:
    """Complete an entry that is being built by its meta.json."""
    body = dataclasses.asdict(record)
    text = json.dumps({"sha256": _digest(body), "record": body}, indent=1)
    (folder / "meta.json").write_text(text, encoding="utf-8")


def digest_file(path: Path) -> str:
    """Compute the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def new_entry(entry: Path) -> Iterator[Path]:
    """Give a folder to write an entry into, which takes its name when all went well.

    Nothing is left behind if something went wrong, and an entry that meanwhile came from another
    process is kept.

    Args:
        entry: folder that the entry is to become.

    Raises:
        DataError: the cache cannot be written, as on a full disk.
    """
    root, temporary = entry.parent, _unfinished(entry)
    try:
        root.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(root)
        temporary.mkdir()
        (temporary / TAG_FILE).write_text(TAG)
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
    """Remove a damaged entry and say so in the log.

    Args:
        entry: folder of the entry.
        reason: what is wrong with it, for the log.

    Raises:
        DataError: the folder is not known to be an entry, or cannot be removed.
    """
    if not (KEY.fullmatch(entry.name) and _is_ours(entry)):
        raise DataError(
            f"expected images decoded by draw in {entry}, got something else ({reason}), which is "
            "left as it is; remove it yourself, or pass --data.cache-dir FOLDER with another place"
        )
    logger.warning("the decoded images in %s are damaged (%s): making them anew", entry, reason)
    aside = _unfinished(entry)
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


def is_cache(root: Path) -> bool:
    """Whether a folder holds images that were decoded into it."""
    try:
        return any(KEY.fullmatch(path.name) and _is_ours(path) for path in root.iterdir())
    except OSError:
        return False


def entry_by_name(root: Path, name: object) -> Path | None:
    """Find the entry of a name that was noted; None for what is no name of an entry."""
    return root / name if isinstance(name, str) and KEY.fullmatch(name) else None


def recall(root: Path, request: str) -> dict[str, Any] | None:
    """Recall what `remember` noted for a request, if it did."""
    try:
        return read_json_object(_note(root, request))
    except DrawError:
        return None


def remember(root: Path, request: str, note: dict[str, Any]) -> None:
    """Note what a request led to."""
    path = _note(root, request)
    try:
        write_json(path, note)
    except DrawError as error:  # it only saves time: a cache that cannot be written can be used
        logger.info("cannot note down in %s: %s", path.parent, error)


def _note(root: Path, request: str) -> Path:
    return root / "index" / f"{hashlib.sha256(request.encode(errors='replace')).hexdigest()}.json"


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _unfinished(entry: Path) -> Path:
    return entry.with_name(f".{entry.name}-{os.getpid()}-{secrets.token_hex(4)}")


def _is_ours(folder: Path) -> bool:
    """Whether this module made a folder: it is tagged, and neither it nor its tag is a link."""
    tag = folder / TAG_FILE
    try:
        linked = folder.is_symlink() or tag.is_symlink()
        return not linked and read_text(tag, largest=len(TAG)) == TAG
    except DrawError:
        return False


def _remove_abandoned(root: Path) -> None:
    """Removes what processes that were killed have left."""
    for path in root.iterdir():
        if not (PARTIAL_ENTRY.fullmatch(path.name) and _is_ours(path)):
            continue
        if time.time() - path.stat().st_mtime > ABANDONMENT_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def load_array(path: Path) -> Shaped[np.ndarray, "..."]:
    """Open an array as a read-only memory map."""
    return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
