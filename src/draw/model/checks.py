"""Comparison of a model's inputs and weights with what the model expects."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from draw.config.model import DRAWConfig, ModelConfig
from draw.errors import DrawError
from draw.fields import is_not_negative
from draw.parts.state import NO_LABEL
from draw.tensors import check_unit_interval


def check_tensor(name: str, value: Any, advice: str = "") -> None:
    """Refuse what is no tensor.

    Args:
        name: name of the value, for the message.
        value: any value.
        advice: what makes it one, for the message; by default torch.as_tensor.

    Raises:
        DrawError: if it is none.
    """
    if not isinstance(value, Tensor):
        raise DrawError(
            f"expected {name} as a tensor, got a {type(value).__name__}; "
            f"{advice or f'pass torch.as_tensor({name})'}"
        )


def check_is_images(images: Any) -> None:
    """Refuse images that are no tensor, with what makes them one."""
    check_tensor("images", images, "model.preprocess makes one of pictures, paths and arrays")


def check_images(config: ModelConfig, like: Tensor, images: Tensor) -> None:
    """Refuse images whose shape, dtype or device is not the model's.

    Args:
        config: the model's config.
        like: one of the model's weights.
        images: images, float, [batch, channels, rows, columns].

    Raises:
        DrawError: if they are no tensor, or shape, dtype or device differ.
    """
    check_is_images(images)
    expected = config.image_shape
    if images.ndim != 4 or images.shape[1:] != expected:
        raise DrawError(
            f"expected images of shape [batch, {', '.join(map(str, expected))}] "
            f"(channels, rows, columns: the model's), got {list(images.shape)}"
        )
    if images.dtype != like.dtype:
        raise DrawError(
            f"expected images in [0, 1] of {like.dtype} (the model's), got {images.dtype}; convert "
            "them with .to(), and divide 8-bit images by 255 first"
        )
    _check_device("images", like, images)


def _check_device(name: str, like: Tensor, value: Tensor) -> None:
    if value.device != like.device:
        raise DrawError(
            f"expected {name} on {like.device} (the model's), got them on {value.device}; move "
            f"them with .to({str(like.device)!r}), or the model to theirs"
        )


class ImageCheck:
    """A check of the images of every call of a model against what the model expects.

    The range of their numbers is checked whenever nothing is learned, and on a CPU always. A
    training step on a GPU, which must not wait for the host, is checked if it is the first.
    """

    def __init__(self) -> None:
        self._looked = False

    def __call__(self, config: ModelConfig, like: Tensor, images: Tensor) -> None:
        """Check images as `check_images` does, and their range as `check_unit_interval` does."""
        check_images(config, like, images)
        if images.device.type == "cpu" or not torch.is_grad_enabled() or not self._looked:
            check_unit_interval(images)
            self._looked = True


def check_weights(tensors: Iterable[tuple[str, Tensor]], of: str) -> None:
    """Refuse tensors with numbers that are not finite. On a GPU it makes the host wait once.

    Args:
        tensors: tensors by name.
        of: what the tensors belong to, for the error.

    Raises:
        DrawError: if a number is NaN or infinite, with the names of the tensors.
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
    """Refuse labels that a model cannot take; on a GPU a training step does not wait for the range.

    Args:
        config: the model's config.
        takes_labels: whether the model is conditioned on the class of a drawing.
        labels: class of each drawing, whole numbers, [batch]; None for none. A model that learned
            without labels too (model.label_dropout) may have `NO_LABEL` among them.
        batch: number of drawings.

    Raises:
        DrawError: if labels are missing or not wanted, or have another shape, type or range.
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
    if not isinstance(labels, Tensor):
        raise DrawError(
            f"expected {batch} labels as a tensor of whole numbers, got a {type(labels).__name__}; "
            "pass torch.tensor(labels)"
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
    check_label_range(config, least, most)


def check_label_range(config: DRAWConfig, least: int, most: int) -> None:
    """Refuse labels of which the least and the most are no classes of the model.

    Args:
        config: the model's config.
        least: the lowest label; `NO_LABEL` is one for a model that learned without labels too.
        most: the highest label.

    Raises:
        DrawError: if either is no class of the model.
    """
    lowest = NO_LABEL if config.label_dropout else 0
    if least == NO_LABEL < lowest:
        raise DrawError(
            f"expected labels from 0 to {config.classes - 1}, got {NO_LABEL} for none: this model "
            "was told a class whenever it learned; train it with --model.label-dropout 0.1 to have "
            "it draw without one"
        )
    if least < lowest or most >= config.classes:
        none = f" (or none, in Python {NO_LABEL})" if config.label_dropout else ""
        raise DrawError(
            f"expected labels from 0 to {config.classes - 1}{none}, got "
            f"{least if least < lowest else most}; the model knows {config.classes} classes "
            "(model.classes)"
        )


def check_guidance(config: DRAWConfig, guidance: float, labels: Tensor | None) -> None:
    """Refuse guidance that has no meaning, or that a model has not learned for.

    Args:
        config: the model's config.
        guidance: s of `draw.model.guidance`, other than 1.
        labels: class of each drawing, or `NO_LABEL`.

    Raises:
        DrawError: if it is negative or not finite, the model knows no drawing without a class, or
            no drawing has one.
    """
    if not is_not_negative(guidance):
        raise DrawError(f"expected a guidance of at least 0, got {guidance}")
    if not config.label_dropout:
        raise DrawError(
            f"expected a guidance of 1 for this model, got {guidance}: it has not learned to draw "
            "both with a class and without; train one with --model.condition class "
            "--model.label-dropout 0.1"
        )
    if labels is not None and not (labels >= 0).any():
        raise DrawError(
            f"expected drawings of a class for a guidance of {guidance:g}, got none that is told "
            "one (label none, or -1): there is nothing to show more clearly. Name a class, or "
            "leave guidance out"
        )


def check_noise(config: DRAWConfig, like: Tensor, noise: Tensor, batch: int) -> None:
    """Refuse noise whose shape, dtype or device is not the model's.

    Args:
        config: the model's config.
        like: one of the model's weights.
        noise: standard normal noise, float, [glimpses, batch, latent].
        batch: number of images.

    Raises:
        DrawError: if it is no tensor, or shape, dtype or device differ.
    """
    check_tensor("noise", noise)
    expected = config.glimpses, batch, config.latent_size
    if noise.dtype != like.dtype:
        raise DrawError(f"expected noise of {like.dtype} (the model's), got {noise.dtype}")
    if noise.shape != expected:
        raise DrawError(
            f"expected noise of shape {expected} (glimpses, batch, latent), "
            f"got {tuple(noise.shape)}"
        )
    _check_device("noise", like, noise)
