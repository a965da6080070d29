"""Images of data sets: from the Hub, a folder or the computer's own digits, decoded once."""

from draw.data.images import ImageSet, Splits
from draw.data.load import load_images, load_splits, view_of
from draw.data.report import (
    Report,
    SetStatus,
    SplitReport,
    Suggestion,
    check,
    describe,
    prepare,
    suggest,
)
from draw.data.sets.table import KNOWN_SETS, KnownSet
from draw.data.views.cluttered import Cluttered
from draw.data.views.crops import RandomCrop
from draw.data.views.two_digits import TwoDigits
from draw.data.views.view import View
from draw.errors import DataError

__all__ = [
    "KNOWN_SETS",
    "Cluttered",
    "DataError",
    "ImageSet",
    "KnownSet",
    "RandomCrop",
    "Report",
    "SetStatus",
    "SplitReport",
    "Splits",
    "Suggestion",
    "TwoDigits",
    "View",
    "check",
    "describe",
    "load_images",
    "load_splits",
    "prepare",
    "suggest",
    "view_of",
]
