"""Advice on one's own pictures before training on them for long."""

from draw.config.data import DataConfig
from draw.data.images import ImageSet
from draw.data.sets.table import known_set
from draw.terminal import amount

FEW = 200
"""Training pictures below which a model learns them by heart and little else."""
USUAL_SIDE = 64
"""Largest side of the images in the paper's experiments and ours, in pixels."""
LARGE_SIDE = 128


def advice(config: DataConfig, training: ImageSet) -> tuple[str, ...]:
    """Warn of pictures that are few, or larger than the presets are made for.

    Args:
        config: config of the data set; those that come with the package need no advice.
        training: training images of the set.
    """
    if known_set(config.name).sizes is not None:
        return ()
    lines = list[str]()
    if training.count < FEW:
        lines.append(
            f"{amount(training.count, 'training picture')}: so few are learnt by heart; add some "
            "thousand if you can, or begin with a trained model (--train.start-from MODEL)"
        )
    _, rows, columns = training.stored_shape
    if rows * columns > LARGE_SIDE**2:
        times = rows * columns / USUAL_SIDE**2
        usual = f"{USUAL_SIDE}x{USUAL_SIDE}"
        lines.append(
            f"images of {rows}x{columns} have {times:.0f} times the pixels of {usual}, the largest "
            "that the presets are made for, and training on them will be slow; --data.size "
            f"{USUAL_SIDE} --data.fit crop makes them smaller"
        )
    return tuple(lines)
