"""Images that a program holds already: arrays, tensors, pictures and data sets of other libraries.

Nothing is scaled unasked: images are of 8 bits (0 to 255) or floating-point numbers in [0, 1], and
all else is refused with what to do. They are kept in 8 bits, as every image is here.
"""

import io
import logging
import operator
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, Shaped, UInt8
from PIL import Image
from torch import Tensor

from draw.data.batches import check_pixel_values
from draw.data.images import ImageSet
from draw.data.sources.columns import Columns
from draw.data.sources.pixels import to_eight_bit
from draw.data.store.decode import Conversion, Picture, decode, read_header
from draw.errors import DataError
from draw.fields import excerpt

logger = logging.getLogger("draw")

EXACT = 1e-3
"""Greatest distance of 255 x from a whole number where a number x counts as one of 8 bits."""
IN_MEMORY = "images in memory"
"""Source of such images, for reports."""

Pixels = UInt8[np.ndarray, "n channels rows columns"]


def image_set(images: Any, labels: Any = None, *, split: str = "test") -> ImageSet:
    """Make a set of images that a program holds.

    Args:
        images: an array, a tensor, a picture of Pillow's or a list of such; a data set of torch or
            of `datasets`; or an `ImageSet`. Arrays have the shape [n, rows, columns],
            [n, channels, rows, columns] or [n, rows, columns, channels]; their numbers are of 8
            bits or floating-point ones in [0, 1].
        labels: class of each image, whole numbers; None for those of the data set, if any.
        split: name of the split that the images stand for.

    Raises:
        DataError: if the images are none that are understood, or labels do not fit.
    """
    if isinstance(images, ImageSet):
        found, own, source = images.evaluation_set().images, images.labels, images.source
    else:
        found, own = pixels_of(images)
        source = IN_MEMORY
    given = own if labels is None else _labels(labels, len(found))
    binary = bool(((found == 0) | (found == 255)).all())
    return ImageSet("images", split, found, given, source, "", binary)


def array_of(tensor: Tensor) -> np.ndarray:
    """Convert a tensor to an array; NumPy has no bfloat16, whose numbers float32 has.

    Args:
        tensor: any tensor, on any device.
    """
    there = tensor.detach().cpu()
    return (there.float() if there.dtype is torch.bfloat16 else there).numpy()


def pixels_of(images: Any) -> tuple[Pixels, Int64[np.ndarray, " n"] | None]:
    """Convert what a program holds to images of 8 bits, with their labels where it has some.

    Args:
        images: images as `image_set` takes them.

    Raises:
        DataError: if they are none that are understood.
    """
    if isinstance(images, Image.Image):
        return _of_pictures([images])
    if isinstance(images, Tensor):
        return _of_array(array_of(images)), None
    if isinstance(images, np.ndarray):
        return _of_array(images), None
    if hasattr(images, "features") and hasattr(images, "to_iterable_dataset"):
        return _of_table(images)
    if isinstance(images, torch.utils.data.Dataset | list | tuple):
        return _of_pictures(images)
    raise DataError(
        "expected images as an array or a tensor of them, a list of pictures, a data set of torch "
        f"or of the library datasets, or a folder's path, got a {type(images).__name__}"
    )


def _of_array(array: Shaped[np.ndarray, "..."]) -> Pixels:
    array = array.astype(np.float32) if array.dtype == bool else array
    arranged = _channels_first(array)
    check_pixel_values(arranged)
    if arranged.dtype == np.uint8:
        if arranged.size and arranged.max() == 1:
            raise DataError(
                "expected images of 8 bits to go from 0 to 255, got 0 and 1 alone; pass 255 * x, "
                "or x.astype('float32') if 1 is white"
            )
        return np.ascontiguousarray(arranged)
    eight_bit = to_eight_bit(arranged, white=1)
    apart = np.abs(255 * arranged.astype(np.float64) - eight_bit).max(initial=0)
    if apart > EXACT:
        logger.warning(
            "images are kept in 8 bits: these numbers were rounded by up to %.4f, to multiples of "
            "1/255", apart / 255,
        )  # fmt: skip
    return np.ascontiguousarray(eight_bit)


def _channels_first(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "n c rows columns"]:
    """An array with its channels after the number of images.

    Raises:
        DataError: if it has none, or it cannot be known which they are.
    """
    shape, colours = array.shape, (1, 3)
    if len(shape) == 3 and not (shape[-1] in colours and shape[0] not in colours):
        return array[:, None]
    first, last = len(shape) == 4 and shape[1] in colours, len(shape) == 4 and shape[3] in colours
    if first == last:
        told = "of which either may be the channels" if first else "of which none are channels"
        hint = "" if len(shape) == 4 else "; of one image alone, pass x[None]"
        raise DataError(
            "expected images of the shape [n, rows, columns], [n, channels, rows, columns] or "
            f"[n, rows, columns, channels] with 1 or 3 channels, got {list(shape)}"
            f"{f', {told}' if len(shape) == 4 else hint}"
        )
    return array if first else array.transpose(0, 3, 1, 2)


def _of_table(table: Any) -> tuple[Pixels, Int64[np.ndarray, " n"] | None]:
    """Images and labels of a `datasets.Dataset`."""
    columns = Columns(Path(), table.features, lambda: [table.to_iterable_dataset()])
    for remark in columns.remarks():
        logger.warning("the data set: %s", remark)
    rows = columns.stored_pictures(table.to_iterable_dataset())
    found, labels = [], list[Any]()
    for picture in columns.pictures(rows, "the data set"):
        found.append(_decoded(picture))
        labels.append(picture.label)
    known = bool(labels) and all(label is not None for label in labels)
    return _stack(found), _labels(labels, len(found)) if known else None


def _of_pictures(items: Any) -> tuple[Pixels, Int64[np.ndarray, " n"] | None]:
    """Images, and labels where each comes with one, of a list or of a data set of torch."""
    if not hasattr(items, "__len__"):
        raise DataError(
            "expected a data set of torch with a length, whose images have numbers, got a "
            f"{type(items).__name__}; pass list(x)"
        )
    count = len(items)
    found, labels = [], list[Any]()
    for number in range(count):
        item = items[number]
        picture, label = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
        found.append(_one(picture, number))
        if label is not None:
            labels.append(_label(label, number))
    if labels and len(labels) != count:
        raise DataError(f"expected a label with each of {count} images or with none, got some")
    return _stack(found), _labels(labels, count) if labels else None


def _label(label: Any, number: int) -> int:
    try:
        return operator.index(label)
    except TypeError as error:
        raise DataError(
            f"expected a whole number as the label of picture {number}, got {excerpt(label)}"
        ) from error


def _one(picture: Any, number: int) -> Shaped[np.ndarray, "channels rows columns"]:
    if isinstance(picture, Image.Image):
        return _decoded(picture_file(picture, f"picture {number}"))
    if isinstance(picture, str | os.PathLike):
        return _decoded(Picture(str(picture), Path(picture), None))
    if isinstance(picture, Tensor | np.ndarray):
        return pixels_of_one(picture, f"picture {number}")
    raise DataError(
        f"expected picture {number} as a picture of Pillow's, a path, an array or a tensor, got a "
        f"{type(picture).__name__}"
    )


def pixels_of_one(picture: Tensor | np.ndarray, name: str) -> UInt8[np.ndarray, "c rows columns"]:
    """Convert one image to 8 bits.

    Args:
        picture: [rows, columns], [channels, rows, columns] or [rows, columns, channels].
        name: name of the picture in errors.

    Raises:
        DataError: if it is several, or its numbers are not understood.
    """
    array = array_of(picture) if isinstance(picture, Tensor) else picture
    if array.ndim not in (2, 3):
        raise DataError(
            f"expected {name} as one image, [rows, columns], [channels, rows, columns] or [rows, "
            f"columns, channels], got the shape {list(array.shape)}; several are a list of such"
        )
    pixels: np.ndarray = _of_array(array[None])[0]
    return pixels


def _stack(found: list[np.ndarray]) -> Pixels:
    if not found:
        raise DataError("expected at least one image, got none")
    shapes = dict.fromkeys(image.shape for image in found)
    if len(shapes) > 1:
        told = ", ".join("x".join(map(str, shape)) for shape in [*shapes][:3])
        raise DataError(
            f"expected images of one shape, got {told} (channels x rows x columns); resize them "
            "first, or pass the folder that they are in with data.size and data.fit"
        )
    return np.stack(found)


def picture_file(picture: Image.Image, name: str) -> Picture:
    """A picture of Pillow's as if it came from a file, so that it is decoded as any.

    Args:
        picture: picture in any mode.
        name: name of the picture in errors.
    """
    content = io.BytesIO()
    form = "TIFF" if picture.mode in ("CMYK", "YCbCr", "LAB", "F") else "PNG"
    extra = {} if form == "TIFF" else {"exif": Image.Image.getexif(picture)}
    picture.save(content, form, icc_profile=picture.info.get("icc_profile"), **extra)
    return Picture(name, content.getvalue(), None)


def _decoded(picture: Picture) -> UInt8[np.ndarray, "channels rows columns"]:
    if isinstance(picture.data, np.ndarray):
        pixels: np.ndarray = np.atleast_3d(picture.data).transpose(2, 0, 1)
        return pixels
    header = read_header(picture)
    return decode(picture, Conversion(header.size, "grey" if header.grey else "colour"))


def _labels(labels: Any, count: int) -> Int64[np.ndarray, " n"]:
    array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise DataError(
            f"expected labels, a whole number for each of {count} images, got {array.dtype} of the "
            f"shape {list(array.shape)}"
        )
    numbers: np.ndarray = array.astype(np.int64)
    return numbers


def split_arrays(images: Any, labels: Any = None) -> dict[str, np.ndarray]:
    """Images that a program holds as arrays by the names that an .npz of splits has them by.

    Args:
        images: images as `image_set` takes them, or such for each split by its name: train,
            validation, test.
        labels: labels of the images, for each split by its name where `images` are so.

    Raises:
        DataError: if images or labels are none that are understood.
    """
    if not isinstance(images, Mapping):
        images, labels = {"": images}, None if labels is None else {"": labels}
    named = labels or {}
    if not isinstance(named, Mapping) or not set(named) <= set(images):
        raise DataError(
            f"expected labels for the splits {', '.join(images)}, got "
            f"{', '.join(map(str, named)) if isinstance(named, Mapping) else type(named).__name__}"
        )
    arrays = {}
    for split, held in images.items():
        found = image_set(held, named.get(split))
        end = f"_{split}" if split else ""
        # as NumPy's files have them: colours last
        arrays[f"x{end}"] = found.images.transpose(0, 2, 3, 1)
        if found.labels is not None:
            arrays[f"y{end}"] = found.labels
    return arrays
