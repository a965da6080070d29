"""A progress bar for measurements."""

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
    """Measure something on a whole data set as evaluation sees it, with a progress bar.

    Args:
        images: the data set, which is measured as evaluation sees it.
        accelerator: accelerator whose first process shows the bar.
        measure: function from the images and the bar's update to the result.
    """
    processes = accelerator.num_processes
    bar = progress(
        f"evaluate {images.split}",
        -(-images.count // processes),
        units_per_item=processes,
        enabled=accelerator.is_main_process,
    )
    with bar as update, accelerator.autocast():
        return measure(images.evaluation_set(), update)
