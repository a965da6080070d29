"""What a model is given, and its own weights, compared with what is expected of them."""

from collections.abc import Iterable

import torch
from torch import Tensor

from draw.config.model import DRAWConfig, ModelConfig
from draw.errors import DrawError


def check_images(config: ModelConfig, dtype: torch.dtype, images: Tensor) -> None:
    """Compare images with a model.

    Args:
        config: the model's.
        dtype: of its weights.
        images: float, [batch, channels, rows, columns].

    Raises:
        DrawError: if shape or type are others.
    """
    expected = config.image_shape
    if images.ndim != 4 or images.shape[1:] != expected:
        raise DrawError(
            f"expected images of shape [batch, {', '.join(map(str, expected))}] "
            f"(channels, rows, columns: the model's), got {list(images.shape)}"
        )
    if images.dtype != dtype:
        raise DrawError(
            f"expected images in [0, 1] of {dtype} (the model's), got {images.dtype}; convert them "
            "with .to(), and divide 8-bit images by 255 first"
        )


def check_unit_interval(images: Tensor) -> None:
    """See that all numbers of images are in [0, 1]. On a GPU it makes the host wait.

    Args:
        images: floating-point, of any shape.

    Raises:
        DrawError: if some are not, or are NaN.
    """
    if images.numel() == 0 or images.is_meta or torch.compiler.is_compiling():
        return
    least, most = (float(value) for value in torch.aminmax(images.detach()))
    if not (least >= 0 and most <= 1):  # of NaN neither holds
        raise DrawError(
            f"expected images in [0, 1], got numbers from {least:g} to {most:g}; divide 8-bit "
            "images by 255 once, and undo any other normalization"
        )


class ImageCheck:
    """Compares the images of every call of a model with what it expects.

    What numbers they hold is looked at whenever nothing is learned, and on a CPU always. A step of
    training on a GPU, which must not wait for the host, is looked at if it is the first.
    """

    def __init__(self) -> None:
        self._looked = False

    def __call__(self, config: ModelConfig, dtype: torch.dtype, images: Tensor) -> None:
        """See `check_images` and `check_unit_interval`."""
        check_images(config, dtype, images)
        if images.device.type == "cpu" or not torch.is_grad_enabled() or not self._looked:
            check_unit_interval(images)
            self._looked = True


def check_weights(tensors: Iterable[tuple[str, Tensor]], of: str) -> None:
    """See that all numbers of some tensors are finite. On a GPU it makes the host wait once.

    Args:
        tensors: by name.
        of: what they belong to, for the error.

    Raises:
        DrawError: if some are NaN or infinite, with the names of their tensors.
    """
    named = [(name, value.detach()) for name, value in tensors if value.is_floating_point()]
    named = [(name, value) for name, value in named if not value.is_meta]
    if not named or torch.compiler.is_compiling():
        return
    counts = torch.stack([(~value.isfinite()).sum() for _, value in named]).tolist()
    bad = [
        f"{name} ({count:,} of {value.numel():,} numbers)"
        for (name, value), count in zip(named, counts, strict=True)
        if count
    ]
    if bad:
        raise DrawError(
            f"expected finite weights, got NaN or infinity in {', '.join(bad[:10])}"
            f"{', ...' if bad[10:] else ''} of {of}: nothing it draws or measures would mean "
            "anything; take an earlier checkpoint, or train it again"
        )


def check_labels(config: DRAWConfig, takes_labels: bool, labels: Tensor | None, batch: int) -> None:
    """Compare labels with a model. A step of training on a GPU is not made to wait for the range.

    Args:
        config: the model's.
        takes_labels: whether it is told the class of a drawing.
        labels: whole numbers, [batch]; None for none.
        batch: number of drawings.

    Raises:
        DrawError: if they are missing or too many, or of another shape, type or range.
    """
    if not takes_labels:
        if labels is not None:
            raise DrawError(
                f"expected no labels for a model of condition {config.condition!r}, got "
                f"{len(labels)}; leave them out, or train a model with --model.condition class"
            )
        return
    if labels is None:
        raise DrawError(
            f"expected labels, a whole number from 0 to {config.classes - 1} for each of {batch} "
            "images, since this model is told the class of what it draws; got none"
        )
    if labels.shape != (batch,) or labels.dtype not in (torch.int64, torch.int32):
        raise DrawError(
            f"expected {batch} labels, whole numbers (torch.int64) of shape [{batch}], got "
            f"{labels.dtype} of shape {list(labels.shape)}"
        )
    learning = labels.device.type != "cpu" and torch.is_grad_enabled()
    if len(labels) == 0 or labels.is_meta or learning or torch.compiler.is_compiling():
        return
    least, most = (int(value) for value in torch.aminmax(labels))
    if least < 0 or most >= config.classes:
        raise DrawError(
            f"expected labels from 0 to {config.classes - 1}, got "
            f"{least if least < 0 else most}; the model knows {config.classes} classes "
            "(model.classes)"
        )


def check_noise(config: DRAWConfig, dtype: torch.dtype, noise: Tensor, batch: int) -> None:
    """Compare noise with a model.

    Args:
        config: the model's.
        dtype: of its weights.
        noise: float, [glimpses, batch, latent].
        batch: number of images.

    Raises:
        DrawError: if shape or type are others.
    """
    expected = config.glimpses, batch, config.latent_size
    if noise.dtype != dtype:
        raise DrawError(f"expected noise of {dtype} (the model's), got {noise.dtype}")
    if noise.shape != expected:
        raise DrawError(
            f"expected noise of shape {expected} (glimpses, batch, latent), "
            f"got {tuple(noise.shape)}"
        )
