"""Images: from the Hub, a folder or the computer's own digits, decoded once, then from memory."""

from draw.data.errors import DataError
from draw.data.load import ImageSet, Splits, load_images, load_splits
from draw.data.report import (
    Listed,
    Report,
    SplitReport,
    Suggestion,
    check,
    describe,
    prepare,
    suggest,
)
from draw.data.sets import KNOWN_SETS, KnownSet

__all__ = [
    "KNOWN_SETS",
    "DataError",
    "ImageSet",
    "KnownSet",
    "Listed",
    "Report",
    "SplitReport",
    "Splits",
    "Suggestion",
    "check",
    "describe",
    "load_images",
    "load_splits",
    "prepare",
    "suggest",
]
