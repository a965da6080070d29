"""The classes of a run: as many as its images have, where nobody asked for a number."""

import logging
from typing import Any

from draw.config.run import Config
from draw.data import Splits
from draw.models.kinds import task_for
from draw.training.origin import origin_of

logger = logging.getLogger("draw")


def with_classes_of(config: Config, splits: Splits, *, given: bool) -> Config:
    """A run's config with the number of classes that its images have, which is logged.

    A number that somebody gave stays, and that of a model to start from; of a known data set, whose
    images at hand may be a part, there are no fewer than the preset says.

    Args:
        config: config of the run.
        splits: images of the run.
        given: whether somebody gave the number of classes.
    """
    model: Any = config.model
    labels = [images.labels for images in vars(splits).values() if images.labels is not None]
    if not task_for(config).needs(splits.train).labels or not labels:
        return config
    most = max(int(of_split.max()) for of_split in labels)
    count = max(2, most + 1, len(splits.train.classes or ()))
    if count > max(2, sum(map(len, labels))):
        return config  # these are numbers, but not of classes
    of_origin = not given and _are_of_origin(config)
    if given or of_origin:
        wanted = model.classes
    else:
        wanted = count if config.data.name == "images" else max(model.classes, count)
    if wanted != model.classes:
        logger.info("--model.classes %s, as many as the images have", f"{wanted:,}")
    if wanted > count:
        logger.warning(
            "model.classes is %s, and the images have %s: a class from %s on is never seen, and "
            "what the model makes of it is chance%s",
            f"{wanted:,}", f"{count:,}", f"{count:,}",
            "" if of_origin else f"; pass --model.classes {count}",
        )  # fmt: skip
    return config.with_changes({"model.classes": wanted})


def _are_of_origin(config: Config) -> bool:
    """Whether the weights that a run starts from are of a number of classes."""
    name = config.train.start_from
    return name is not None and "classes" not in origin_of(name).model.without_effect
