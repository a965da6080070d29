"""Do drawings of two digits show two digits (section 4.3)? A classifier of single digits says.

- **Apart.** Only drawings whose final image is two pieces of a digit's size are asked about (see
  `draw.measure.halves`): of digits that overlap nobody knows which pixels are whose.
- **Shown alone.** Each piece is moved so that its centre of mass is in the middle of an image of
  the classifier's size, as MNIST's digits are.
- **A digit** is a piece of which the classifier is as sure as of nearly all the pieces of the data
  set's own images, whatever digit it takes it for: the probability of its answer is at least that
  which all but `SHARE_BELOW` of those reach. So of the data set's own pairs some 96 % count.

The classifier sees what `draw sample` shows, the means of D(X | c_T), and the data set's grey
images. It has never seen what is no digit; that it is sure of one is no proof.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import max_pool2d

from draw.data.batches import to_unit_interval
from draw.data.images import ImageSet
from draw.errors import DrawError
from draw.measure.accuracy import wilson_interval
from draw.measure.halves import REACH, two_digits
from draw.model.checks import check_weights
from draw.model.draw import DRAW
from draw.model.machine import evaluation_mode
from draw.model.pretrained import Model
from draw.randomness import GENERATION, image_noise

SHARE_BELOW = 0.02
"""Fraction of the data set's own digits of which the classifier is not sure enough."""
IMAGES = 2000
"""Images of the data set, at most, that say how sure is sure enough."""


@dataclass(frozen=True)
class PairShare:
    """Share of drawings apart that show two digits, and of the data set's own images, in %."""

    drawings: int
    temperature: float
    """Standard deviation of the codes that they were made of."""
    apart: int
    """Drawings of two pieces as large as a digit."""
    digits: float
    """Fraction of the drawings apart whose pieces are both digits, in %."""
    digits_low: float
    """Lower end of its 95 % confidence interval (Wilson's), in %."""
    digits_high: float
    """Upper end of its 95 % confidence interval (Wilson's), in %."""
    images: int
    """Images of the data set that say how sure is sure enough."""
    images_apart: int
    """Images of two pieces as large as a digit."""
    images_digits: float
    """Fraction of these whose pieces are both digits, in %."""
    least: float
    """Least probability of the classifier's answer to a digit."""

    def to_dict(self) -> dict[str, Any]:
        """Convert the result to plain values, ready for JSON."""
        return asdict(self)


@torch.no_grad()
def measure_pair_share(
    model: DRAW,
    classifier: Model,
    images: ImageSet,
    n: int,
    *,
    temperature: float = 1.0,
    seed: int = 0,
    batch_size: int = 250,
    on_progress: Callable[[int, str], None] = lambda done, text: None,
) -> PairShare:
    """Measure how many of n new drawings of two digits show two digits.

    Drawing i is the one that `DRAW.generate` makes of the seed.

    Args:
        model: a DRAW that draws two digits, white on black.
        classifier: one that answers with a `ClassifierOutput`, of single digits.
        images: images of two digits as the model has learned them, not binarized.
        n: number of drawings, at least 1.
        temperature: standard deviation of the codes, as in `DRAW.generate`.
        seed: seed of the noise.
        batch_size: drawings at a time; only speed and memory depend on it.
        on_progress: function called with the number of drawings made so far, and the number of
            those apart; before the first, with how many of the images are.

    Raises:
        DrawError: if the images are not those of the model, the classifier's are not smaller and
            of as many channels, no image shows two digits apart, or weights are not finite.
    """
    _check(model, classifier, images)
    device = model.canvas_0.device
    looked_at = images.evaluation_set().some(IMAGES)
    found: list[Tensor] = []
    for start in range(0, looked_at.count, batch_size):
        some = to_unit_interval(looked_at.images[start : start + batch_size]).to(device)
        found.append(_sureness(classifier, some))
        on_progress(0, f"{sum(map(len, found))} images of two pieces")
    of_images = torch.cat(found)
    if not len(of_images):
        raise DrawError(
            f"expected images of two digits, white on black, got {images.source}, none of which "
            "shows two apart"
        )
    least = float(of_images.flatten().quantile(SHARE_BELOW))
    shape = model.config.glimpses, model.config.latent_size
    found = []
    for start in range(0, n, batch_size):
        numbers = range(start, min(start + batch_size, n))
        noise = image_noise(seed, GENERATION, numbers, shape).to(model.canvas_0)
        with evaluation_mode(model):
            drawn = model.generate(len(numbers), noise=noise, temperature=temperature)
        found.append(_sureness(classifier, drawn.images[-1]))
        on_progress(numbers.stop, f"{sum(map(len, found))} of two pieces")
    both = _both(torch.cat(found), least)
    low, high = wilson_interval(int(both.sum()), len(both)) if len(both) else (0.0, 1.0)
    return PairShare(
        drawings=n,
        temperature=temperature,
        apart=len(both),
        digits=_percentage(both),
        digits_low=100 * low,
        digits_high=100 * high,
        images=looked_at.count,
        images_apart=len(of_images),
        images_digits=_percentage(_both(of_images, least)),
        least=least,
    )


def alone(
    images: Float[Tensor, "batch 1 height width"], rows: int, columns: int
) -> Float[Tensor, "pairs 2 {rows} {columns}"]:
    """Cut out both digits of each image that shows two apart, each in the middle of its own.

    Args:
        images: images in [0, 1], white on black.
        rows: height of the images that the digits are put into, at most that of the images.
        columns: width of these.
    """
    grey = images.mean(1)
    found = two_digits(grey)
    masks = found.digits[found.two].float()
    near = max_pool2d(masks, 2 * REACH + 1, 1, REACH)  # the grey edge, not the other digit's
    digits = grey[found.two][:, None] * near * (1 - masks.flip(1))
    made = [_centred(one, rows, columns) for one in digits.flatten(0, 1)]
    return torch.cat([digits.new_zeros(0, rows, columns), *(one[None] for one in made)]).view(
        -1, 2, rows, columns
    )


def _centred(
    digit: Float[Tensor, "height width"], rows: int, columns: int
) -> Float[Tensor, "{rows} {columns}"]:
    """A digit with its centre of mass in the middle of an image, cut at the borders."""
    made = digit
    for dimension, length in enumerate((rows, columns)):
        at = torch.arange(digit.shape[dimension], device=digit.device)
        mass = made.sum(1 - dimension)
        middle = int((mass @ at.to(mass) / mass.sum()).round())
        before = middle - length // 2
        taken = at.new_tensor(range(before, before + length))
        inside = (taken >= 0) & (taken < len(at))
        made = made.index_select(dimension, taken.clamp(0, len(at) - 1))
        made = made * (inside[:, None] if dimension == 0 else inside)
    return made


def _sureness(
    classifier: Model, images: Float[Tensor, "batch channels rows columns"]
) -> Float[Tensor, "pairs 2"]:
    """Probability of the answer to each of the two digits of the images that show two apart."""
    _, rows, columns = classifier.config.image_shape
    digits = alone(images, rows, columns)
    if not len(digits):
        return digits.new_zeros(0, 2)
    weight = next(classifier.parameters())
    with evaluation_mode(classifier):
        logits: Tensor = classifier(digits.flatten(0, 1)[:, None].to(weight)).logits
    return logits.softmax(1).amax(1).view(-1, 2)


def _both(sureness: Float[Tensor, "pairs 2"], least: float) -> Bool[Tensor, " pairs"]:
    return (sureness >= least).all(1)


def _percentage(right: Bool[Tensor, " pairs"]) -> float:
    return 100 * float(right.double().mean()) if len(right) else 0.0


def _check(model: DRAW, classifier: Model, images: ImageSet) -> None:
    check_weights(classifier.state_dict().items(), "the classifier")
    drawn, single = model.config.image_shape, classifier.config.image_shape
    if images.image_shape != drawn:
        raise DrawError(
            f"expected images of two digits of the model's shape {drawn}, got {images.image_shape} "
            f"from {images.source}"
        )
    if single[0] != 1 or drawn[0] != 1 or single[1] >= drawn[1] or single[2] >= drawn[2]:
        raise DrawError(
            f"expected a classifier of single digits, smaller than the model's grey images of two "
            f"{drawn}, got one of images of shape {single}; train one with draw train mnist-convnet"
        )
