"""Recognition: where a classifier looks, glimpse by glimpse, and what it answers by then."""

import secrets
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from draw.attention import AbstractWindow, SeveralWindows
from draw.config.data import DataConfig
from draw.config.model import ModelConfig
from draw.data import Cluttered, view_of
from draw.data.views.view import add, places
from draw.errors import DrawError
from draw.model.classifier import Classifier
from draw.models.storage import LoadedModel
from draw.randomness import VIEW_EVALUATION, generator
from draw.studio.class_names import class_words, in_markdown
from draw.studio.given_images import ImageChoice
from draw.studio.image_source import ANY, examples, model_input
from draw.studio.models import Shelf
from draw.studio.pictures import DIGIT_SIDE, Pixels
from draw.studio.player import Show, finite, place_windows, sheet


@dataclass(frozen=True)
class Answer:
    """Answer of a classifier to an image."""

    show: Show
    image: torch.Tensor
    """The image as the classifier saw it, [1, channels, rows, columns]."""
    answer: int
    probability: float
    label: int | None


@torch.no_grad()
def classify(shelf: Shelf, name: str | None, pixels: Pixels, label: int | None = None) -> Answer:
    """Let a classifier look at an image, 8 bits and of its shape.

    Args:
        shelf: models in memory.
        name: name of the classifier.
        pixels: image, [channels, rows, columns].
        label: class of the image, if it is known.

    Raises:
        DrawError: if the model is none that classifies through a window.
    """
    with shelf.use(name) as loaded:
        model = loaded.classifier
        x = model_input(loaded, pixels).to(model.h_0.device)
        said = model(x)
    config = model.config
    windows = said.windows
    probabilities = said.logits_by_glimpse[:, 0].float().softmax(-1)
    made = {
        "count": 1,
        "originals": sheet(x[None]),
        "read": place_windows(windows, config.rows, config.columns),
        "probabilities": finite(probabilities.tolist()),
        "label": label,
    }
    if not isinstance(windows, SeveralWindows):
        made |= {"patches": sheet(_patches(model, x, windows)), "size": config.read_size}
    show = Show(
        secrets.token_hex(8), "glimpses", config.glimpses, config.rows, config.columns, (made,),
        names=tuple(map(class_words(shelf, name), range(config.classes))),
    )  # fmt: skip
    best = int(probabilities[-1].argmax())
    return Answer(show, x.cpu(), best, float(probabilities[-1, best]), label)


def _patches(
    model: Classifier, x: Float[Tensor, "1 channels rows columns"], windows: AbstractWindow
) -> Float[Tensor, "glimpses 1 channels size size"]:
    """What is seen through the window of each glimpse, as the model reads it, over its gamma."""
    seen = windows[:, 0]
    with torch.autocast(x.device.type, enabled=False):
        patches = model.reader.read(x.expand(model.config.glimpses, -1, -1, -1), seen)
    gamma = seen.numbers.get("gamma", patches.new_ones(len(patches)))
    return (patches / gamma[:, None, None, None])[:, None]


def describe(answer: Answer) -> str:
    """Describe an answer in a sentence, in Markdown."""
    names = {number: in_markdown(name) for number, name in enumerate(answer.show.names)}
    words = f"It says **{names[answer.answer]}** with a probability of **{answer.probability:.0%}**"
    if answer.label is None:
        return f"{words}."
    right = (
        "which is right"
        if answer.label == answer.answer
        else f"but it is a {names.get(answer.label, answer.label)}"
    )
    return f"{words}, {right}."


def has_room(config: ModelConfig) -> bool:
    """Whether a model's images have places to lay a digit at: they are larger than one."""
    sides = config.rows, config.columns
    return min(sides) >= DIGIT_SIDE < max(sides)


def clutters(shelf: Shelf, name: str | None) -> bool:
    """Whether a model has learned from digits among pieces of others; not if it cannot be had."""
    try:
        with shelf.use(name) as loaded:
            return isinstance(view_of(loaded.data or DataConfig()), Cluttered)
    except (DrawError, OSError):
        return False


def lay_digit(
    loaded: LoadedModel, digit: Pixels, clutter: bool, seed: int, choice: ImageChoice = ANY
) -> UInt8[np.ndarray, "channels height width"]:
    """Lay a digit at a random place of the classifier's page, among pieces of others if asked for.

    Args:
        loaded: the classifier.
        digit: image of light ink on black.
        clutter: whether to add pieces of test images, where that was so in training.
        seed: seed of the places.
        choice: choice of the test images.
    """
    shape = loaded.model.config.image_shape
    random = generator(seed, VIEW_EVALUATION, 0)
    view = view_of(loaded.data or DataConfig())
    if clutter and isinstance(view, Cluttered):
        others = examples_of_digits(loaded, digit.shape, choice)
        stored = np.concatenate([digit[None], others])
        made, _ = view.make(stored, None, np.zeros(1, np.int64), random)
        return np.asarray(made[0])
    page = np.zeros((1, *shape), np.uint8)
    add(page, digit[None], *places(random, digit.shape[1:], shape[1:], 1))
    return np.asarray(page[0])


def examples_of_digits(
    loaded: LoadedModel, shape: tuple[int, ...], choice: ImageChoice
) -> np.ndarray:
    """Images of which the classifier's pages are made, to take pieces from."""
    plain = replace(loaded.data or DataConfig(), name="mnist")
    found = examples(replace(loaded, data=plain), shape, choice).images.images
    return np.asarray(found)
