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
SAMPLE = 1000
"""Images, at most, that say how light a set is."""


def advice(config: DataConfig, training: ImageSet) -> tuple[str, ...]:
    """Warn of pictures that are few, larger than the presets are made for, or dark on light.

    Args:
        config: config of the data set; those that come with the package need no advice.
        training: training images of the set.
    """
    known = known_set(config.name)
    if known.sizes is not None:
        black = known.image_shape is not None and known.image_shape[0] == 1
        asked = config.path is not None and config.invert is None
        if not (black and asked and training.images[:SAMPLE].mean() > 255 / 2):
            return ()
        return (
            f"images of {config.name} are light on black, these are light on the whole; if they "
            "are dark on white, --data.invert True turns them (False: this is right)",
        )
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
