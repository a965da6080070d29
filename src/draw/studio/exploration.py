"""Exploration: between two images, another code for one step, the nearest training images."""

import math
import random
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from draw.errors import DrawError
from draw.measure.nearest import nearest_so_far
from draw.model.draw import DRAW
from draw.studio.class_names import class_words
from draw.studio.image_source import examples, model_input, obstacle_to_search, training_images
from draw.studio.models import Shelf
from draw.studio.player import Show, part, sheet
from draw.studio.reconstruction import likeliest_class

BETWEEN = 9
"""Images of an interpolation, the two ends among them."""
AMONG = 16
"""Drawings, or test images, of which the two that differ most are chosen."""
NEAREST_OF = 6
"""Samples for each of which the nearest training image is looked for."""

Codes = Float[Tensor, "glimpses batch latent"]


def between(
    first: Float[Tensor, "glimpses latent"], second: Float[Tensor, "glimpses latent"], n: int
) -> Codes:
    """Interpolate codes from one to another, along a great circle.

    Codes are as long as the root of their number of variables, very nearly; those on the straight
    line between two are shorter, and the model has hardly seen any such.

    Args:
        first: z_1 .. z_T of the first image, [glimpses, latent].
        second: z_1 .. z_T of the second image, [glimpses, latent].
        n: number of codes, the two themselves among them.
    """
    a, b = first.flatten().double(), second.flatten().double()
    lengths = a.norm(), b.norm()
    cosine = float((a @ b) / (lengths[0] * lengths[1]).clamp_min(1e-12))
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    made = []
    for share in torch.linspace(0, 1, n).tolist():
        if math.sin(angle) < 1e-6:
            code = (1 - share) * a + share * b
        else:
            code = (math.sin((1 - share) * angle) * a + math.sin(share * angle) * b) / math.sin(
                angle
            )
        made.append(code.reshape(first.shape))
    return torch.stack(made, 1).to(first.dtype)


@dataclass(frozen=True)
class Ends:
    """The two drawings of an interpolation: numbers of seeds or of test images."""

    first: int
    second: int
    classes: tuple[int, int] | None = None
    """Classes of the two; None for an unconditional model, or where the images decide."""


def farthest_pair(
    images: Float[Tensor, "images channels rows columns"], labels: Tensor | None = None
) -> tuple[int, int]:
    """Find the two images that differ most, in L2; of two labels, where labels are known.

    Args:
        images: two images or more.
        labels: class of each; pairs of one class count only if there are no others.
    """
    points = images.flatten(1).double()
    pairs = torch.ones(len(points), len(points), device=points.device).triu(1).bool()
    if labels is not None and (other := pairs & (labels[:, None] != labels[None])).any():
        pairs = other
    apart = torch.cdist(points, points).masked_fill(~pairs, -1)
    return divmod(int(apart.argmax()), len(points))


def differing_seeds(shelf: Shelf, name: str | None) -> Ends:
    """Choose two seeds whose drawings differ most, of the first `AMONG`; and two classes."""
    with shelf.use(name) as loaded:
        model = loaded.drawing
        noise = torch.cat([model.noise_for(1, seed) for seed in range(1, AMONG + 1)], 1)
        labels = model.labels_for(AMONG, None) if model.condition.takes_labels else None
        images = model.generate(AMONG, noise=noise, labels=labels).images[-1]
    first, second = farthest_pair(images, labels)
    classes = None if labels is None else (int(labels[first]), int(labels[second]))
    return Ends(first + 1, second + 1, classes)


def differing_images(shelf: Shelf, name: str | None, chosen: str | None = None) -> Ends:
    """Choose two test images that differ most, of the first `AMONG`.

    Raises:
        DrawError: if there are no two images.
    """
    with shelf.use(name) as loaded:
        found = examples(loaded, choice=shelf.images(chosen)).images
    if found.count < 2:
        raise DrawError(f"expected two test images or more, got {found.count} in {found.source}")
    images = torch.from_numpy(found.images[:AMONG] / 255)
    labels = None if found.labels is None else torch.from_numpy(found.labels[:AMONG].copy())
    first, second = farthest_pair(images, labels)
    return Ends(first + 1, second + 1)


def any_images(shelf: Shelf, name: str | None, n: int, chosen: str | None = None) -> list[int]:
    """Choose numbers of test images at random, each another one.

    Args:
        shelf: models in memory.
        name: name of the model.
        n: how many.
        chosen: name of the images, as in `Shelf.images`.

    Raises:
        DrawError: if there are not so many.
    """
    with shelf.use(name) as loaded:
        found = examples(loaded, choice=shelf.images(chosen)).images
    if found.count < n:
        raise DrawError(f"expected {n} test images or more, got {found.count} in {found.source}")
    return random.SystemRandom().sample(range(1, found.count + 1), n)


def interpolate_seeds(shelf: Shelf, name: str | None, ends: Ends) -> Show:
    """Draw images between those of two seeds; a class-conditional model is told their classes."""
    with shelf.use(name) as loaded:
        model = loaded.drawing
        seeds = ends.first, ends.second
        codes = [model.noise_for(1, seed)[:, 0] for seed in seeds]
        told = None
        if model.condition.takes_labels:
            each = [model.labels_for(1, label) for label in ends.classes or (0, 0)]
            told = torch.cat([label for label in each if label is not None])
    captions = f"seed {seeds[0]}", f"seed {seeds[1]}"
    return _interpolation(model, codes, captions, told, class_words(shelf, name))


def interpolate_images(
    shelf: Shelf, name: str | None, first: int, second: int, chosen: str | None = None
) -> Show:
    """Draw images between two test images, from their codes under the posterior.

    A class-conditional model is given the class of the nearer image.

    Args:
        shelf: models in memory.
        name: name of the model.
        first: number of the first image, from 1.
        second: number of the second image, from 1.
        chosen: name of the images, as in `Shelf.images`.

    Raises:
        DrawError: if there is no such image.
    """
    with shelf.use(name) as loaded:
        model = loaded.drawing
        images = examples(loaded, choice=shelf.images(chosen)).images
        ends, classes = [], []
        for number in (first, second):
            if not 1 <= number <= images.count:
                raise DrawError(
                    f"expected test images from 1 to {images.count}, got {number}; type another"
                )
            x = model_input(loaded, images.images[number - 1]).to(model.canvas_0.device)
            if model.condition.takes_labels:
                known = None if images.labels is None else int(images.labels[number - 1])
                if known is None:
                    known = likeliest_class(model, x, model.noise_for(1, 0))
                classes.append(known)
            labels = torch.tensor(classes[-1:], device=x.device) if classes else None
            ends.append(model.codes(x, labels=labels)[:, 0])
        told = torch.tensor(classes, device=model.canvas_0.device) if classes else None
    captions = f"image {first}", f"image {second}"
    return _interpolation(model, ends, captions, told, class_words(shelf, name))


def _interpolation(
    model: DRAW,
    ends: list[Tensor],
    names: tuple[str, str],
    told: Tensor | None,
    words: Callable[[int], str],
) -> Show:
    """Drawings between two; the first half is told the class of the first, the rest the other's."""
    codes = between(ends[0], ends[1], BETWEEN)
    shares = [f"{k / (BETWEEN - 1):.0%}" for k in range(1, BETWEEN - 1)]
    captions = (names[0], *shares, names[1])
    if told is None:
        return _drawn(model, codes, captions)
    labels = told[torch.arange(BETWEEN, device=told.device) * 2 // BETWEEN]
    captions = tuple(
        f"{caption}, class {words(label)}"
        for caption, label in zip(captions, labels.tolist(), strict=True)
    )
    return _drawn(model, codes, captions, labels)


def _drawn(
    model: DRAW, codes: Codes, captions: tuple[str, ...], labels: Tensor | None = None
) -> Show:
    config = model.config
    drawn = model.generate(codes.shape[1], noise=codes, labels=labels)
    made = part(drawn)
    return Show(
        secrets.token_hex(8), "drawings", config.glimpses, config.rows, config.columns, (made,),
        captions,
    )  # fmt: skip


@dataclass(frozen=True)
class CodeChange:
    """A drawing before and after the code of one step was exchanged."""

    show: Show
    differences: tuple[float, ...]
    """Mean difference of the finished images' pixels for each step exchanged alone, 0 to 1."""


def last_step(shelf: Shelf, name: str | None) -> int | None:
    """Number of steps T of a model; None if it cannot be loaded, as the line about it says."""
    try:
        with shelf.use(name) as loaded:
            return loaded.drawing.config.glimpses
    except (DrawError, OSError):
        return None


def change_step(shelf: Shelf, name: str | None, seed: int, step: int, other: int) -> CodeChange:
    """Exchange the code of one step for that of another seed; and each other step's, to compare.

    A class-conditional model is given the first class for all drawings.

    Args:
        shelf: models in memory.
        name: name of the model.
        seed: seed of the drawing.
        step: number of the step whose code is exchanged, from 1.
        other: seed of the new code.

    Raises:
        DrawError: if there is no such step.
    """
    with shelf.use(name) as loaded:
        model = loaded.drawing
        config = model.config
        if not 1 <= step <= config.glimpses:
            raise DrawError(
                f"expected a step from 1 to {config.glimpses}, got {step}; type another"
            )
        before, new = (model.noise_for(1, which)[:, 0] for which in (seed, other))
        swapped = before[:, None].repeat(1, config.glimpses, 1)
        steps = torch.arange(config.glimpses)
        swapped[steps, steps] = new
        first = 0 if model.condition.takes_labels else None
        labels = model.labels_for(config.glimpses, first)
        images = model.generate(config.glimpses, noise=swapped, labels=labels).images[-1]
        original = model.generate(1, noise=before[:, None]).images[-1]
        apart = (images - original).abs().flatten(1).mean(1)
        codes = torch.stack([before, swapped[:, step - 1]], 1)
        captions = (f"seed {seed}", f"step {step} from seed {other}")
        show = _drawn(model, codes, captions, model.labels_for(2, first))
    return CodeChange(show, tuple(apart.tolist()))


@dataclass(frozen=True)
class Neighbours:
    """Samples, and the training images nearest to them so far."""

    samples: tuple[str, ...]
    """Addresses of the samples' pictures, as `draw.studio.player.sheet` makes them."""
    nearest: tuple[str, ...]
    distances: tuple[float, ...]
    numbers: tuple[int, ...]
    pool: int
    total: int
    note: str
    """Words about which images were compared."""


def obstacle_to_neighbours(shelf: Shelf, name: str | None, chosen: str | None = None) -> str | None:
    """Say why drawings cannot be compared with training images; None if they can."""
    try:
        with shelf.use(name) as loaded:
            pass
    except (DrawError, OSError) as error:
        return str(error)
    return obstacle_to_search(loaded, shelf.images(chosen))


def neighbours(
    shelf: Shelf, name: str | None, seed: int, chosen: str | None = None
) -> Iterator[Neighbours]:
    """Search for the nearest training images, and say how far the search has come.

    Raises:
        DrawError: if the training images are not on this computer, or do not fit.
    """
    with shelf.use(name) as loaded:
        samples = loaded.drawing.generate(NEAREST_OF, seed=seed).images[-1].cpu()
    found_images = training_images(loaded, shelf.images(chosen))
    training = found_images.images
    for found in nearest_so_far(samples, training):
        yield Neighbours(
            tuple(sheet(sample[None, None]) for sample in samples),
            tuple(sheet(image[None, None]) for image in found.images.float() / 255),
            tuple(found.distances.tolist()),
            tuple(found.numbers.tolist()),
            found.pool,
            training.count,
            found_images.note,
        )
