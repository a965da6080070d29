"""Measuring with a progress bar."""

from collections.abc import Callable
from typing import TypeVar

from accelerate import Accelerator

from draw.data import ImageSet
from draw.progress import Update, progress

Measurement = TypeVar("Measurement")


def with_progress(
    images: ImageSet,
    accelerator: Accelerator,
    measure: Callable[[ImageSet, Update], Measurement],
) -> Measurement:
    """Measure something on a whole data set as evaluation sees it, with a progress bar."""
    processes = accelerator.num_processes
    bar = progress(
        f"evaluate {images.split}",
        -(-images.count // processes),
        units_per_item=processes,
        enabled=accelerator.is_main_process,
    )
    with bar as update, accelerator.autocast():
        return measure(images.evaluation_set(), update)
