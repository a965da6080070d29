"""Images of one split, as they are stored and as a model sees them."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int, Int64, UInt8

from draw.config.data import Binarization, Binarize
from draw.data.batches import spread
from draw.data.store.splits import SPLITS
from draw.data.views.augmentation import augmentation_of
from draw.data.views.view import Shape, View, ViewOutput, labels_at
from draw.randomness import VIEW_EVALUATION, generator
from draw.tensors import by_shapes
from draw.terminal import one_line

BLOCK = 1000
"""Number of images of an evaluation set that are made from one generator; another number would make
another set."""
FIXED_SEED = 0
"""Seed of the images made for validation and test: the same on every machine, for every run."""
IMAGES_OF_MEAN = 10_000


@dataclass(frozen=True)
class ImageSet:
    """The images of one split of a data set, decoded."""

    name: str
    split: str
    images: UInt8[np.ndarray, "n channels rows columns"]
    """Stored images: a read-only memory map. With a view a model never sees these themselves."""
    labels: Int64[np.ndarray, " n"] | None
    source: str
    """Place that the images came from, and what was held out, for reports."""
    fingerprint: str
    """SHA-256 of the images."""
    binary: bool
    """Whether every pixel is 0 or 255: binarized once and for all ("static"). Views leave it so."""
    view: View | None = None
    """View that makes the images a model sees out of the stored ones; None for the images
    themselves."""
    augment: tuple[str, ...] = ()
    """Changes of the images in training, by their names; see `draw.data.views.augmentation`."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the stored images of every split of the data set; empty where they are not known,
    as of images in memory."""
    classes: tuple[str, ...] | None = None
    """Names of the labels 0, 1, ..., if they are known."""

    __repr__ = by_shapes

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def stored_shape(self) -> Shape:
        """Shape of one image as stored: channels, rows, columns."""
        channels, rows, columns = self.images.shape[1:]
        return channels, rows, columns

    @property
    def image_shape(self) -> Shape:
        """Shape of one image as a model sees it: channels, rows, columns."""
        return self.view.image_shape(self.stored_shape) if self.view else self.stored_shape

    def binarization(self, asked: Binarize) -> Binarization:
        """Way in which the pixels of these images come to be 0 or 1 for a model.

        Args:
            asked: `DataConfig.binarize`, which leaves images alone that are binary already.
        """
        return "static" if self.binary else asked

    def batch(self, indices: Int[np.ndarray, " batch"], random: np.random.Generator) -> ViewOutput:
        """Images by number as a model sees them in training, and their labels.

        Args:
            indices: numbers of the stored images.
            random: random generator for augmentation and view; without these, images come as they
                are stored.
        """
        augment = augmentation_of(self.augment)
        if self.view is None:
            return augment(self.images[indices], random), labels_at(self.labels, indices)
        return self.view.make(self.images, self.labels, indices, random, augment)

    def blocks(self) -> Iterator[ViewOutput]:
        """Yield all images in order as a model sees them in evaluation, some at a time.

        They are the same at every use, whatever the seed of a run.
        """
        view = self.view.evaluation_view() if self.view else None
        for block, start in enumerate(range(0, self.count, BLOCK)):
            indices = np.arange(start, min(start + BLOCK, self.count))
            random = generator(FIXED_SEED, VIEW_EVALUATION, SPLITS.index(self.split), block)
            yield replace(self, view=view, augment=()).batch(indices, random)

    def evaluation_set(self) -> "ImageSet":
        """The images as a model sees them in evaluation, made once and kept in memory."""
        if self.view is None:
            return replace(self, augment=()) if self.augment else self
        made, labels = zip(*self.blocks(), strict=True)
        images = np.concatenate(made)
        return replace(
            self,
            images=images,
            labels=None if labels[0] is None else np.concatenate(labels),
            source=f"{self.source}; {self.view.evaluation_view().description(self.stored_shape)}",
            fingerprint=hashlib.sha256(images.data).hexdigest(),
            view=None,
            augment=(),
        )

    def change_since(
        self, expected: Mapping[str, str], model: object, split: str | None = None
    ) -> str | None:
        """Say that images are not those of a model's training; None if they are, or none knows.

        Whether its training images are the same stands for a split whose fingerprint was not noted.

        Args:
            expected: fingerprints of the splits that there were in training.
            model: name of the model, for the words.
            split: name of another split of the data set to look at; by default that of the images.
        """
        split = split or self.split
        noted = split if split in expected else "train"
        before, now = expected.get(noted), self.fingerprints.get(noted)
        if before is None or now is None or before == now:
            return None
        return (
            f"expected the {noted} images that there were when {model} was trained (fingerprint "
            f"{before[:12]}), got others ({now[:12]}). Pictures were added, changed or taken away "
            "since, and it may have been trained on some of these; put back what was there, or say "
            f"with --data.path which images to take. These are from {self.source}"
        )

    def some(self, n: int) -> "ImageSet":
        """Up to n of the images, evenly from all, since they may be sorted by class."""
        if n >= self.count:
            return self
        numbers = spread(self.count, n)
        return replace(self, images=self.images[numbers], labels=labels_at(self.labels, numbers))

    def mean(self) -> Float[np.ndarray, "channels rows columns"]:
        """Mean image as a model sees it in training, in [0, 1], of some of the images."""
        some = spread(self.count, IMAGES_OF_MEAN)
        if self.view is not None:  # a few stored images make many
            some = np.resize(some, IMAGES_OF_MEAN)
        random = generator(FIXED_SEED, VIEW_EVALUATION, SPLITS.index(self.split))
        images, _ = self.batch(some, random)
        return np.asarray(images.mean(0, dtype=np.float64) / 255)


def class_names(classes: tuple[str, ...] | None, most: int | None = None) -> str:
    """Which number is which class, as in "0 cat, 1 dog"; empty where the numbers are the names.

    Args:
        classes: names of the labels 0, 1, ..., if they are known.
        most: most classes to name; by default all.
    """
    named = [f"{number} {one_line(name)}" for number, name in enumerate(classes or ())]
    if all(name == str(number) for number, name in enumerate(classes or ())):
        return ""
    more = len(named) - len(named[:most])
    return ", ".join(named[:most]) + (f" and {more:,} more" if more else "")


@dataclass(frozen=True)
class Splits:
    """The three splits of a data set: train, validation and test."""

    train: ImageSet
    validation: ImageSet
    test: ImageSet


def single_image(pixels: UInt8[np.ndarray, "channels rows columns"]) -> ImageSet:
    """Make one image a set of its own, for what is asked of sets."""
    return set_of_pictures(pixels[None])


def set_of_pictures(pixels: UInt8[np.ndarray, "n channels rows columns"]) -> ImageSet:
    """Make some images a set of their own, for what is asked of sets."""
    binary = bool(((pixels == 0) | (pixels == 255)).all())
    return ImageSet("images", "test", pixels, None, "a picture", "", binary)
