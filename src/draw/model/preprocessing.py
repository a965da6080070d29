"""Pictures, arrays and data sets as a model's input: of its shape, treated as in training."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from draw.config.data import Binarize, DataConfig, Fit, Split
from draw.config.model import ModelConfig
from draw.errors import DrawError
from draw.fields import check

if TYPE_CHECKING:
    from draw.data import ImageSet
    from draw.data.store.decode import Conversion
    from draw.model.pretrained import Model

logger = logging.getLogger("draw")


@dataclass(frozen=True)
class ModelImages:
    """Images of a model's shape, with how it sees their pixels."""

    images: "ImageSet"
    dynamic: bool
    """Whether each pixel is drawn as 0 or 1 with its grey value as probability."""

    @property
    def count(self) -> int:
        """Number of images."""
        return self.images.count

    @property
    def labels(self) -> Int[np.ndarray, " n"] | None:
        """Class of each image; None for images without."""
        return self.images.labels

    @property
    def source(self) -> str:
        """Place that the images came from, for reports."""
        return self.images.source

    def batch(
        self, numbers: Int[np.ndarray, " batch"], seed: int = 0
    ) -> Float[Tensor, "batch channels rows columns"]:
        """Some of the images in [0, 1], as the model sees them in evaluation.

        Args:
            numbers: indices of the images that are asked for.
            seed: seed of the binarization, where there is one.
        """
        from draw.data.batches import evaluation_images

        return evaluation_images(self.images.images, numbers, self.dynamic, seed)


def images_of(
    model: "Model",
    images: Any = None,
    labels: Any = None,
    *,
    split: Split = "test",
    binarize: Binarize | None = None,
) -> ModelImages:
    """Find images for a model: its own data set, another, a folder, or what a program holds.

    Args:
        model: a model; one that was loaded knows what it was trained on.
        images: an array, tensor, list, data set or `ImageSet`, as `draw.data.in_memory.image_set`
            takes them; the path of a folder or file, or the name of a data set, as --data.path and
            --data.name do; a `DataConfig`; or None for the data set that the model was trained on.
        labels: class of each image; None for those of the data set, if any.
        split: split to take of a folder or a data set.
        binarize: whether pixels are drawn as 0 or 1 with their grey values as probabilities
            ("dynamic") or left as they are ("none"); by default as in training, where the model
            knows it.

    Raises:
        DrawError: if there are no such images, they do not have the model's shape, or split or
            binarize is no such name.
    """
    from draw.data import load_images
    from draw.data.in_memory import image_set

    check("split", Split, split)
    check("binarize", Binarize | None, binarize)
    config = None
    if images is None or isinstance(images, str | os.PathLike | DataConfig):
        if labels is not None:
            raise DrawError("expected no labels with a folder or a data set, which have their own")
        config = _config(model, images)
        found = load_images(config, split)
        changed = found.change_since(getattr(model, "fingerprints", {}), "the model")
        if images is None and changed:
            logger.warning("%s", changed)
    else:
        found = image_set(images, labels, split=split)
    expected = model.config.image_shape
    if found.image_shape != expected or not found.count:
        raise DrawError(
            f"expected images of {list(expected)} (channels, rows, columns: the model's), got "
            f"{found.count} of {list(found.image_shape)} from {found.source}; model.preprocess "
            "makes pictures fit"
        )
    how = config or training_data(model)
    asked = binarize or ("none" if how is None else how.binarize)
    return ModelImages(found, found.binarization(asked) == "dynamic")


def training_data(model: "Model") -> DataConfig | None:
    """Config of the images that a model was trained on; None if it is not known."""
    found: DataConfig | None = getattr(model, "data", None)
    return found


def _config(model: "Model", images: Any) -> DataConfig:
    """Config of images that are named, treated as those that the model was trained on."""
    from draw.data import KNOWN_SETS

    before = training_data(model)
    if isinstance(images, DataConfig):
        return images
    if images is None:
        if before is None:
            raise DrawError(
                "expected images, since this model does not say what it was trained on, got none; "
                "pass an array, a folder or a data set"
            )
        return before
    name = os.fspath(images)
    if name in KNOWN_SETS and not Path(name).exists():
        return replace(before or DataConfig(), name=name, path=None, config=None, invert=None)
    if before is not None:
        return replace(before, path=name, config=None)
    return DataConfig("images", name, size=model.config.image_shape[1:], mode=_mode(model.config))


def _mode(config: ModelConfig) -> Any:
    return "grey" if config.channels == 1 else "colour"


def preprocess(
    model: "Model", picture: Any, *, fit: Fit | None = None, seed: int = 0
) -> Float[Tensor, "n channels rows columns"]:
    """Make pictures the model's input; see `Model.preprocess`.

    Args:
        model: a model; one that was loaded knows how its training images were treated.
        picture: a path, a picture of Pillow's, an array or a tensor of one, or a list of such.
        fit: way to bring another size to the model's; by default that of training, or "crop".
        seed: seed of the binarization, where there is one.

    Raises:
        DrawError: if it is no picture, or an array of numbers that are not understood.
    """
    several = isinstance(picture, Sequence) and not isinstance(picture, str)
    made = [fit_picture(model, one, fit) for one in (picture if several else [picture])]
    if not made:
        raise DrawError("expected a picture or several, got an empty list")
    found = images_of(model, np.stack(made))
    weights = next(model.parameters())
    return found.batch(np.arange(found.count), seed).to(weights.device, weights.dtype)


def conversion_for(model: "Model", fit: Fit | None = None) -> "Conversion":
    """The conversion of pictures to a model's shape, by the rules of its training images.

    Args:
        model: a model; one that was loaded knows how its training images were treated.
        fit: way to bring another size to the model's; by default that of training, or "crop".
    """
    from draw.data.load import conversion_of

    check("fit", Fit | None, fit)
    how = conversion_of(training_data(model) or DataConfig("images"))
    size = model.config.image_shape[1:]
    return replace(how, size=size, mode=_mode(model.config), fit=fit or how.fit or "crop")


def fit_picture(
    model: "Model", picture: Any, fit: Fit | None = None
) -> UInt8[np.ndarray, "channels rows columns"]:
    """Make a picture one of a model's shape, in 8 bits, by the rules of its training images.

    Args:
        model: a model; one that was loaded knows how its training images were treated.
        picture: a path, a picture of Pillow's, an array or a tensor.
        fit: way to bring another size to the model's; by default that of training, or "crop".

    Raises:
        DrawError: if it is no picture, or an array of numbers that are not understood.
    """
    from PIL import Image

    from draw.data.in_memory import picture_file, pixels_of_one
    from draw.data.store.decode import Picture, decode

    conversion, shape = conversion_for(model, fit), model.config.image_shape
    if isinstance(picture, str | os.PathLike):
        path = Path(picture)
        return decode(Picture(str(path), path, None), conversion)
    if isinstance(picture, Image.Image):
        return decode(picture_file(picture, "the picture"), conversion)
    if isinstance(picture, np.ndarray | Tensor):
        pixels = pixels_of_one(picture, "the picture")
        if pixels.shape == shape:  # as a model sees it already
            return pixels
        flat = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
        return decode(Picture("the array", flat, None), conversion)
    raise DrawError(
        "expected a picture as a path, a picture of Pillow's, an array or a tensor, got a "
        f"{type(picture).__name__}"
    )
