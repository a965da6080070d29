"""Images of data sets for the studio, where they can be had without a network."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from torch import Tensor

from draw.config.data import Binarization, DataConfig
from draw.config.model import ModelConfig
from draw.data import DataError, ImageSet, view_of
from draw.data.images import single_image
from draw.data.load import at_hand, find_or_build, is_decoded
from draw.data.sets.table import known_set
from draw.errors import DrawError
from draw.models.kinds import task_of
from draw.models.storage import LoadedModel
from draw.studio.given_images import ImageChoice
from draw.studio.pictures import Pixels, centre_ink

MOST_EXAMPLES = 500
"""Most test images to choose from, evenly from all."""
ANY = ImageChoice()
CHANGE_NOTE = "; changed since it was trained, which may have been on some of these"
"""Words about a model's own images that are others by now."""
NAMELESS = DataConfig(name="images")
"""Config of the images of a model that does not say what it learned from."""


@dataclass(frozen=True)
class Examples:
    """Images to try a model on, or to compare its drawings with."""

    images: ImageSet
    note: str
    """Words for the page about where the images come from."""
    own: bool = False
    """Whether they lie where those that the model learned from lay."""


def examples(
    loaded: LoadedModel, shape: tuple[int, ...] | None = None, choice: ImageChoice = ANY
) -> Examples:
    """Test images for a model: its own, given ones, or what comes nearest.

    Args:
        loaded: the model.
        shape: shape of the images: channels, rows, columns; by default the model's.
        choice: choice of the images; where there is none, the first that fit.

    Raises:
        DrawError: if there are no images for such a model, or the chosen ones do not fit it, with
            what to do.
    """
    shape = shape or loaded.model.config.image_shape
    found = _examples(loaded.data or NAMELESS, loaded.model.config, shape, choice)
    return _with_change(loaded, found)


def _with_change(loaded: LoadedModel, found: Examples) -> Examples:
    """Images with a word about it where they are the model's own, and changed since."""
    changed = found.own and loaded.change_of(found.images) is not None
    return replace(found, note=found.note + CHANGE_NOTE) if changed else found


@functools.lru_cache(maxsize=8)
def _examples(
    data: DataConfig, model: ModelConfig, shape: tuple[int, ...], choice: ImageChoice
) -> Examples:
    try:
        found, name, its_own = _first_that_fits(data, shape, choice, "test", MOST_EXAMPLES)
        note = _note(f"from {name}", model, data, found)
        return Examples(found.evaluation_set(), note, its_own)
    except DataError as error:  # the folder that was given holds something else, say
        if not choice.is_own:
            raise
        reason = str(error)
    # Scikit-learn's digits come with the package: placed as MNIST's, or what a view makes of them.
    own = find_or_build(DataConfig(name="digits", cache_dir=data.cache_dir), ("test",))
    digits = own.read("digits", "test")
    placed = np.stack([centre_ink(image, (28, 28)) for image in digits.images])
    found = replace(digits, images=placed, binary=False, view=view_of(data))
    if found.image_shape != shape:
        raise DrawError(
            f"the images of {data.name} are not on this computer, so there are no test images of "
            f"{shape[2]}×{shape[1]} pixels; draw or upload one, fetch them (draw data prepare "
            f"{data.name}), or start the studio with their folder (draw studio --data.path FOLDER)"
        )
    words = f"of scikit-learn's digits, which the model has not learned from ({reason})"
    return Examples(found.evaluation_set(), _note(words, model, data, found))


def training_images(loaded: LoadedModel, choice: ImageChoice = ANY) -> Examples:
    """Training images of a model: its own, or given ones.

    Raises:
        DrawError: if the images are not on this computer, not known, or do not fit the model.
    """
    return _training_images(loaded, choice, "train")


def obstacle_to_search(loaded: LoadedModel, choice: ImageChoice = ANY) -> str | None:
    """Say why a model's drawings cannot be compared with training images; None if they can.

    Test images are looked at instead: they are as large, and fewer. Nothing is decoded for that.
    """
    data, shape = loaded.data or NAMELESS, loaded.model.config.image_shape
    try:
        for config, _ in _sources(data, shape, choice):
            if not is_decoded(config):
                return None
        _training_images(loaded, choice, "test")
    except DrawError as error:
        return str(error)
    return None


def _training_images(loaded: LoadedModel, choice: ImageChoice, split: str) -> Examples:
    data, shape = loaded.data or NAMELESS, loaded.model.config.image_shape
    try:
        found, name, its_own = _first_that_fits(data, shape, choice, split)
    except DataError as error:
        if not choice.is_own:
            raise
        raise DrawError(
            f"expected training images to compare with, but {error}; fetch them once (draw data "
            "prepare NAME), or start the studio with their folder (draw studio --data.path FOLDER)"
        ) from error
    return _with_change(loaded, Examples(found, f"training images of {name}", its_own))


def _first_that_fits(
    data: DataConfig,
    shape: tuple[int, ...],
    choice: ImageChoice,
    split: str,
    most: int | None = None,
) -> tuple[ImageSet, str, bool]:
    """The first images on offer that are of a shape, some or all of them, and their name.

    And whether they are those that `data` names.

    Raises:
        DataError: if there are none, with the reasons.
    """
    reasons = []
    for config, name in _sources(data, shape, choice):
        try:
            stored = find_or_build(config, (split,), progress=False).read(config.name, split)
            some = stored if most is None else stored.some(most)
            found = replace(some, view=view_of(data))
            _check_shape(found, shape, name)
            return found, name, config is data
        except DataError as error:
            reasons.append(str(error))
    learned = "what this model learned from" if data is NAMELESS else data.name
    raise DataError("; ".join(reasons) or f"{learned} is not on this computer")


def _sources(
    data: DataConfig, shape: tuple[int, ...], choice: ImageChoice
) -> Iterator[tuple[DataConfig, str]]:
    """Configs of the images that may be used, the likeliest first, and their names on the page.

    Given images are read as they are: what a model learned from may be the binarized form of them.
    """
    if choice.is_own and at_hand(data):
        yield data, data.name
    stored = known_set(data.name).grey or data.name
    for given in choice.candidates():
        if choice.is_own and given.shape is not None and given.shape[0] != shape[0]:
            continue  # grey images could be made coloured, but nobody asked for that
        yield replace(data, name=stored, path=given.path, config=None), given.name


def _check_shape(images: ImageSet, shape: tuple[int, ...], name: str) -> None:
    if images.image_shape != shape:
        sizes = [f"{columns}×{rows}×{channels}" for channels, rows, columns in
                 (shape, images.image_shape)]  # fmt: skip
        raise DataError(
            f"expected images of {sizes[0]} (columns, rows, channels) for this model, got "
            f"{sizes[1]} from {name}; choose others"
        )


def _note(words: str, model: ModelConfig, data: DataConfig, images: ImageSet) -> str:
    drawn = task_of(model, _treated(data)).binarization(images) == "dynamic"
    return f"{words}, binarized" if drawn else words


def _treated(data: DataConfig) -> DataConfig:
    """The config of a model's images, under which grey ones become 0 or 1 where its own are."""
    return replace(data, binarize="dynamic") if known_set(data.name).grey else data


def model_input(
    loaded: LoadedModel, pixels: Pixels, seed: int = 0
) -> Float[Tensor, "1 channels rows columns"]:
    """Convert an image to the model's input in evaluation; some are binarized at random."""
    task = task_of(loaded.model.config, _treated(loaded.data or NAMELESS))
    return task.model_input(single_image(pixels), np.zeros(1, np.int64), seed).images


def binarization(loaded: LoadedModel, pixels: Pixels) -> Binarization:
    """Way in which the pixels of an image come to be 0 or 1 in `model_input`."""
    task = task_of(loaded.model.config, _treated(loaded.data or NAMELESS))
    return task.binarization(single_image(pixels))
