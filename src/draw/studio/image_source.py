"""Images of data sets for the studio, where they can be had without a network."""

import functools
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from torch import Tensor

from draw.config.data import Binarization, DataConfig
from draw.data import DataError, ImageSet, view_of
from draw.data.images import single_image
from draw.data.load import at_hand, find_or_build
from draw.errors import DrawError
from draw.models.kinds import task_of
from draw.models.storage import LoadedModel
from draw.studio.pictures import Pixels, centre_ink

MOST_EXAMPLES = 500
"""Most test images to choose from, evenly from all."""


@dataclass(frozen=True)
class Examples:
    """Images to try a model on."""

    images: ImageSet
    note: str
    """Words for the page about where the images come from."""


def examples(loaded: LoadedModel, shape: tuple[int, ...] | None = None) -> Examples:
    """Test images of the data set of a model; where these are not at hand, what comes nearest.

    Args:
        loaded: the model.
        shape: shape of the images: channels, rows, columns; by default the model's.

    Raises:
        DrawError: if there are no images for such a model, with what to do.
    """
    shape = shape or loaded.model.config.image_shape
    return _examples(loaded.data or DataConfig(name="images"), shape)


@functools.lru_cache(maxsize=8)
def _examples(data: DataConfig, shape: tuple[int, ...]) -> Examples:
    reason = f"{data.name} is not on this computer"
    if at_hand(data):
        try:
            found = replace(_some(data), view=view_of(data)).evaluation_set()
            if found.image_shape == shape:
                return Examples(found, f"from {data.name}")
        except DataError as error:  # the folder that was given holds something else, say
            reason = str(error)
    # Scikit-learn's digits come with the package: placed as MNIST's, or what a view makes of them.
    digits = _some(DataConfig(name="digits", cache_dir=data.cache_dir))
    placed = np.stack([centre_ink(image, (28, 28)) for image in digits.images])
    found = replace(digits, images=placed, binary=False, view=view_of(data)).evaluation_set()
    if found.image_shape != shape:
        raise DrawError(
            f"the images of {data.name} are not on this computer, so there are no test images of "
            f"{shape[2]}×{shape[1]} pixels; draw or upload one, fetch them (draw data prepare "
            f"{data.name}), or start the studio with their folder (draw studio --data.path FOLDER)"
        )
    return Examples(
        found,
        f"of scikit-learn's digits, which the model has not learned from ({reason})",
    )


def _some(data: DataConfig) -> ImageSet:
    """Some test images as they are stored."""
    images = find_or_build(data, ("test",), progress=False).read(data.name, "test")
    return images.some(MOST_EXAMPLES)


def training_images(loaded: LoadedModel) -> ImageSet:
    """Training images of a model.

    Raises:
        DrawError: if the images are not on this computer, or not known.
    """
    if loaded.data is None or not at_hand(loaded.data):
        name = "what this model learned from" if loaded.data is None else loaded.data.name
        raise DrawError(
            f"expected training images ({name}) to compare with, but they are not on this "
            "computer; fetch them once (draw data prepare NAME), or start the studio with their "
            "folder (draw studio --data.path FOLDER)"
        )
    prepared = find_or_build(loaded.data, ("train",), progress=False)
    training = replace(prepared.read(loaded.data.name, "train"), view=view_of(loaded.data))
    if training.image_shape != loaded.model.config.image_shape:
        raise DataError(
            f"expected training images of {loaded.model.config.image_shape}, got "
            f"{training.image_shape} from {training.source}"
        )
    return training


def model_input(
    loaded: LoadedModel, pixels: Pixels, seed: int = 0
) -> Float[Tensor, "1 channels rows columns"]:
    """Convert an image to the model's input in evaluation; some are binarized at random."""
    task = task_of(loaded.model.config, loaded.data)
    return task.model_input(single_image(pixels), np.zeros(1, np.int64), seed).images


def binarization(loaded: LoadedModel, pixels: Pixels) -> Binarization:
    """Way in which the pixels of an image come to be 0 or 1 in `model_input`."""
    task = task_of(loaded.model.config, loaded.data)
    return task.binarization(single_image(pixels))
