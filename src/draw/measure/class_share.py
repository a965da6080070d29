"""Does a class-conditional model draw the class that is asked for? A classifier says.

The share of right drawings is the fraction of new images (eqs 13-16), whose classes are asked for
in turn, that the classifier gives the class that was asked for. Its own error on images of
the data set says how far it can be relied on. The classifier sees what `draw sample` shows: the
means of D(X | c_T), not pixels drawn from it.

Where several strengths of guidance are given, the strength is chosen on drawings other than those
that the share is measured on, so that the best of several chances is not taken for the truth.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool

from draw.errors import DrawError
from draw.measure.accuracy import wilson_interval
from draw.model.checks import check_weights
from draw.model.draw import DRAW
from draw.model.machine import evaluation_mode
from draw.model.pretrained import Model
from draw.randomness import GENERATION, image_noise


@dataclass(frozen=True)
class Strength:
    """A strength of guidance, and what it came to where it could be chosen."""

    guidance: float
    right: float
    """Fraction of drawings that show the class that was asked for, in %."""


@dataclass(frozen=True)
class ClassShare:
    """Share of drawings that show the class that was asked for, in %."""

    drawings: int
    """Number of drawings, the classes in turn."""
    guidance: float
    """Strength of guidance that they were made with."""
    temperature: float
    """Standard deviation of the codes that they were made of."""
    right: float
    """Fraction of drawings that the classifier gives the class that was asked for, in %."""
    right_low: float
    """Lower end of its 95 % confidence interval (Wilson's), in %."""
    right_high: float
    """Upper end of its 95 % confidence interval (Wilson's), in %."""
    right_by_class: tuple[float, ...]
    """Fraction of the drawings of each class that it gives that class, in %."""
    choice: tuple[Strength, ...]
    """Strengths among which it was chosen, by other drawings; empty where one was given."""

    def to_dict(self) -> dict[str, Any]:
        """Convert the result to plain values, ready for JSON."""
        return asdict(self)


@torch.no_grad()
def measure_class_share(
    model: DRAW,
    classifier: Model,
    n: int,
    *,
    guidance: Sequence[float] = (1.0,),
    temperature: float = 1.0,
    seed: int = 0,
    batch_size: int = 250,
    on_progress: Callable[[int, str], None] = lambda done, text: None,
) -> ClassShare:
    """Measure how many of n new drawings show the class that was asked for.

    Drawing i is the one that `DRAW.generate` makes of the seed, of class i modulo the number of
    classes; strengths of guidance are compared on drawings n to 2 n - 1, with the same noise. Of
    several that come to the same share the one nearest to 1 is chosen.

    Args:
        model: a class-conditional DRAW.
        classifier: one that answers with a `ClassifierOutput`, of the same images and classes.
        n: number of drawings, at least one of each class.
        guidance: strengths of guidance to choose among; see `draw.model.guidance`.
        temperature: standard deviation of the codes, as in `DRAW.generate`.
        seed: seed of the noise.
        batch_size: drawings at a time; only speed and memory depend on it.
        on_progress: function called with the number of drawings made so far, of
            `drawing_count`, and the share so far.

    Raises:
        DrawError: if the model is not told a class, the classifier answers about other images or
            classes, there are fewer drawings than classes or no strength of guidance, or weights
            are not finite.
    """
    _check(model, classifier, n, guidance)
    done = 0

    def right(first: int, strength: float) -> Bool[np.ndarray, " n"]:
        nonlocal done
        found: list[Bool[np.ndarray, " m"]] = []
        for start in range(first, first + n, batch_size):
            numbers = range(start, min(start + batch_size, first + n))
            found.append(_right(model, classifier, numbers, strength, temperature, seed))
            done += len(numbers)
            on_progress(done, f"guidance {strength:g}, {100 * np.concatenate(found).mean():.1f} %")
        return np.concatenate(found)

    strengths = tuple(dict.fromkeys(guidance))
    choice: tuple[Strength, ...] = ()
    chosen = strengths[0]
    if len(strengths) > 1:
        choice = tuple(Strength(one, 100 * float(right(n, one).mean())) for one in strengths)
        chosen = max(choice, key=lambda one: (one.right, -abs(one.guidance - 1))).guidance
    measured = right(0, chosen)
    low, high = wilson_interval(int(measured.sum()), n)
    asked = np.arange(n) % model.config.classes
    return ClassShare(
        drawings=n,
        guidance=chosen,
        temperature=temperature,
        right=100 * float(measured.mean()),
        right_low=100 * low,
        right_high=100 * high,
        right_by_class=tuple(
            100 * float(measured[asked == one].mean()) for one in range(model.config.classes)
        ),
        choice=choice,
    )


def drawing_count(n: int, guidance: Sequence[float]) -> int:
    """Number of drawings that `measure_class_share` makes.

    Args:
        n: number of drawings that the share is of.
        guidance: strengths of guidance to choose among.
    """
    strengths = len(set(guidance))
    return n * (1 + (strengths if strengths > 1 else 0))


def _right(
    model: DRAW,
    classifier: Model,
    numbers: range,
    guidance: float,
    temperature: float,
    seed: int,
) -> Bool[np.ndarray, " m"]:
    """Whether each of some drawings, by number, shows the class that was asked for."""
    device = model.canvas_0.device
    shape = model.config.glimpses, model.config.latent_size
    noise = image_noise(seed, GENERATION, numbers, shape).to(model.canvas_0)
    asked = torch.tensor(numbers, device=device) % model.config.classes
    with evaluation_mode(model, classifier):
        drawn = model.generate(
            len(numbers), noise=noise, temperature=temperature, labels=asked, guidance=guidance
        )
        answers = classifier(drawn.images[-1].to(next(classifier.parameters()))).logits.argmax(1)
    return np.asarray((answers == asked).cpu().numpy())


def _check(model: DRAW, classifier: Model, n: int, guidance: Sequence[float]) -> None:
    check_weights(classifier.state_dict().items(), "the classifier")
    if not model.condition.takes_labels:
        raise DrawError(
            "expected a model that is told the class of what it is to draw, got one that is told "
            "nothing; train one with --model.condition class (draw train mnist-class)"
        )
    shapes = model.config.image_shape, classifier.config.image_shape
    classes = model.config.classes, int(getattr(classifier.config, "classes", 0))
    for what, (wanted, got) in (("images of shape", shapes), ("classes, in number", classes)):
        if wanted != got:
            raise DrawError(
                f"expected a classifier of the model's {what} {wanted}, got one of {got}; train it "
                "on the images that the model was trained on (draw train mnist-convnet)"
            )
    if n < model.config.classes:
        raise DrawError(
            f"expected a drawing of each of {model.config.classes} classes at least, got {n}"
        )
    if not guidance:
        raise DrawError("expected a strength of guidance or several, got none; 1 is as learned")
