"""The bound of eq 12 and the importance-weighted estimate over a whole data set, in nats."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from jaxtyping import Float, Int

from draw.data.batches import Images, check_pixel_values, evaluation_images, spread
from draw.errors import DrawError
from draw.measure.foresight import MOST_IMAGES, Foresight, foresight
from draw.measure.paired_difference import standard_error
from draw.measure.refinement import refined_bound
from draw.model.checks import check_weights
from draw.model.draw import DRAW
from draw.model.machine import evaluation_mode
from draw.parts.likelihood import in_bits
from draw.parts.objective import importance_weighted_estimate
from draw.parts.priors.standard import StandardPrior
from draw.randomness import EVALUATION, image_noise


@dataclass(frozen=True)
class Evaluation:
    """Bound and estimate of a model: means over images in nats per image, with a standard error."""

    images: int
    """Number of images, each counted once."""
    bound: float
    """Upper bound on -log p(x): reconstruction + kl (eq 12)."""
    bound_standard_error: float
    reconstruction: float
    """Reconstruction loss L^x (eq 9)."""
    kl: float
    """Latent loss L^z, the KL divergence of all steps (eqs 10-11)."""
    kl_per_glimpse: tuple[float, ...]
    """KL divergence of each step; their sum is `kl`."""
    fixed_prior_kl_per_glimpse: tuple[float, ...] | None
    """KL divergence of each step from the best normal that is the same for all drawings, of some
    images; see `draw.measure.foresight`. None for the paper's prior."""
    standard_prior_kl_per_glimpse: tuple[float, ...] | None
    """KL divergence of each step from the paper's N(0, 1), of the same images."""
    foreseen_per_glimpse: tuple[float, ...] | None
    """Nats of each step that a learned prior foresees from what is drawn so far."""
    importance_samples: int
    """Samples K per image of the importance-weighted estimate; 0 if it was not asked for."""
    importance_weighted: float | None
    """Importance-weighted estimate -log 1/K sum_k p(x, z_k) / q(z_k | x)."""
    importance_weighted_standard_error: float | None
    refinement_steps: int
    """Updates of each image's posterior for the refined bound; 0 if it was not asked for."""
    refined_bound: float | None
    """Upper bound on -log p(x) with a posterior fitted to each image, with one noise or the mean
    over that of all samples K; see `refined_bound`."""
    refined_bound_standard_error: float | None
    refined_gain: float | None
    """What refinement takes off the bound, with the same noise for both."""
    refined_gain_standard_error: float | None
    refined_estimate: float | None
    """Importance-weighted estimate with samples of the fitted posterior."""
    refined_estimate_standard_error: float | None
    bits_per_dimension: float | None
    """The bound in bits for each number of an image; None for Bernoulli pixels."""
    importance_weighted_bits_per_dimension: float | None
    """The importance-weighted estimate in the same unit."""
    scores: Float[np.ndarray, " images"] = field(repr=False, compare=False)
    """The bound of each image, by its number."""

    def to_dict(self) -> dict[str, Any]:
        """Convert the result to plain values, ready for JSON, without the score of each image.

        What was not measured is left out.
        """
        values = asdict(self)
        del values["scores"]
        return {name: value for name, value in values.items() if value is not None}


@torch.no_grad()
def evaluate(
    model: DRAW,
    images: Images,
    labels: Int[np.ndarray, " n"] | None = None,
    *,
    dynamic: bool = False,
    batch_size: int = 250,
    importance_samples: int = 0,
    refinement_steps: int = 0,
    seed: int = 0,
    accelerator: Accelerator | None = None,
    on_progress: Callable[[int, str], None] = lambda done, text: None,
) -> Evaluation:
    """Evaluate the bound of a model on every image of a data set exactly once.

    The noise of an image depends on its number and the seed alone, so that the result is the same
    for any batch size and number of processes, but for rounding.

    Args:
        model: the model, on the device that is to do the work.
        images: images of the model's shape; 8 bits, or floating-point numbers in [0, 1].
        labels: class of each image, for a class-conditional model; the bound is then one on -log
            p(x | class).
        dynamic: whether to binarize as `evaluation_images` does.
        batch_size: images at a time; only speed and memory depend on it.
        importance_samples: number K of samples of the importance-weighted estimate, 0 to leave it
            out; time grows in proportion.
        refinement_steps: number of updates of each image's posterior for the refined bound; 0 to
            leave it out.
        seed: seed of the noise.
        accelerator: accelerator that splits the images among its processes, and every process gets
            the result.
        on_progress: function called with the number of images done by this process and the bound so
            far.

    Raises:
        DrawError: if the images do not have the model's shape, are of other numbers, or there are
            none; or if the model's weights are not finite.
    """
    check_weights(model.state_dict().items(), "the model")
    if labels is None and model.condition.takes_labels and not model.config.label_dropout:
        raise DrawError(
            "expected labels, which this model is told, got images without; pass labels"
        )
    if labels is not None and len(labels) != len(images):
        raise DrawError(f"expected a label for each of {len(images)} images, got {len(labels)}")

    def measure(own: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m values"]:
        return _evaluate_own(
            model, images, labels, own, dynamic, batch_size, importance_samples, refinement_steps,
            seed, on_progress,
        )  # fmt: skip

    with evaluation_mode(model):
        columns = for_each_image(model.config.image_shape, images, accelerator, measure)
        seen = _foresight_of(model, images, labels, dynamic, batch_size, seed)
    reconstruction, estimate, refined, gain, closest, kl = *columns[:, 1:6].T, columns[:, 6:]
    bound = reconstruction + kl.sum(1)
    weighted = float(estimate.mean()) if importance_samples > 0 else None
    measured = refinement_steps > 0
    return Evaluation(
        images=len(images),
        bound=float(bound.mean()),
        bound_standard_error=standard_error(bound),
        reconstruction=float(reconstruction.mean()),
        kl=float(kl.sum(1).mean()),
        kl_per_glimpse=tuple(float(k) for k in kl.mean(0)),
        fixed_prior_kl_per_glimpse=None if seen is None else seen.constant,
        standard_prior_kl_per_glimpse=None if seen is None else seen.standard,
        foreseen_per_glimpse=None if seen is None else seen.foreseen,
        importance_samples=importance_samples,
        importance_weighted=weighted,
        importance_weighted_standard_error=(None if weighted is None else standard_error(estimate)),
        refinement_steps=refinement_steps,
        refined_bound=float(refined.mean()) if measured else None,
        refined_bound_standard_error=standard_error(refined) if measured else None,
        refined_gain=float(gain.mean()) if measured else None,
        refined_gain_standard_error=standard_error(gain) if measured else None,
        refined_estimate=(float(closest.mean()) if measured and importance_samples > 0 else None),
        refined_estimate_standard_error=(
            standard_error(closest) if measured and importance_samples > 0 else None
        ),
        bits_per_dimension=in_bits(model.config, float(bound.mean())),
        importance_weighted_bits_per_dimension=in_bits(model.config, weighted),
        scores=bound[np.argsort(columns[:, 0])],
    )


def _foresight_of(
    model: DRAW,
    images: Images,
    labels: Int[np.ndarray, " n"] | None,
    dynamic: bool,
    batch_size: int,
    seed: int,
) -> Foresight | None:
    """What the prior foresees, of some images, in every process alike; None if there is none."""
    if type(model.prior) is StandardPrior or len(images) < 2:
        return None
    device = model.canvas_0.device
    numbers = spread(len(images), MOST_IMAGES)
    shape = model.config.glimpses, model.config.latent_size
    return foresight(
        model,
        evaluation_images(images, numbers, dynamic, seed).to(model.canvas_0),
        image_noise(seed, EVALUATION, numbers.tolist(), shape).to(model.canvas_0),
        None if labels is None else torch.from_numpy(labels[numbers]).to(device),
        batch_size=batch_size,
    )


def for_each_image(
    expected: tuple[int, int, int],
    images: Images,
    accelerator: Accelerator | None,
    measure: Callable[[Int[np.ndarray, " m"]], Float[np.ndarray, "m values"]],
) -> Float[np.ndarray, "n values"]:
    """Measure every image of a data set exactly once, each process its part.

    Args:
        expected: the model's shape of an image: channels, rows, columns.
        images: images of a whole data set.
        accelerator: accelerator of a run with several processes; every process gets all rows.
        measure: function from the numbers of some images to one row for each, which begins with its
            number.

    Raises:
        DrawError: if the images do not have the expected shape, are of other numbers, or there are
            none.
    """
    check_pixel_values(images)
    if images.shape[1:] != expected or len(images) == 0:
        raise DrawError(
            f"expected images of shape {expected} (channels, rows, columns: the model's), got "
            f"{len(images)} of shape {images.shape[1:]}"
        )
    rank = accelerator.process_index if accelerator else 0
    processes = accelerator.num_processes if accelerator else 1
    own = np.arange(rank, len(images), processes)
    rows = measure(own) if len(own) else np.empty((0, 0))
    if processes > 1:
        rows = np.concatenate([part for part in gather_object([rows]) if len(part)])
    assert np.array_equal(np.sort(rows[:, 0]), np.arange(len(images))), "each image exactly once"
    return rows


def _evaluate_own(
    model: DRAW,
    images: Images,
    labels: Int[np.ndarray, " n"] | None,
    own: Int[np.ndarray, " m"],
    dynamic: bool,
    batch_size: int,
    importance_samples: int,
    refinement_steps: int,
    seed: int,
    on_progress: Callable[[int, str], None],
) -> Float[np.ndarray, "m values"]:
    """One row an image: its number and losses as `evaluate` takes them, the KL by glimpse last."""
    device = model.canvas_0.device
    shape = model.config.glimpses, model.config.latent_size
    rows, total = [], 0.0
    for start in range(0, len(own), batch_size):
        numbers = own[start : start + batch_size]
        x = evaluation_images(images, numbers, dynamic, seed).to(model.canvas_0)
        classes = None if labels is None else torch.from_numpy(labels[numbers]).to(device)
        samples = range(max(1, importance_samples))[::-1]
        noises = partial(image_noise, seed, EVALUATION, numbers.tolist(), shape)
        log_weights, bounds = [], []
        for k in samples:
            first = model(x, noises(k).to(x), classes)
            log_weights.append(first.log_weight)
            bound = first.reconstruction + first.kl.sum(1)  # eq 12, whatever a subclass returns
            bounds.append(bound.double())
        estimate = importance_weighted_estimate(torch.stack(log_weights))
        refined = gain = closest = torch.full_like(estimate, torch.nan)
        if refinement_steps:
            fitted = refined_bound(
                model, x, numbers.tolist(), map(noises, samples), refinement_steps, labels=classes,
                seed=seed,
            )  # fmt: skip
            refined = fitted.bound.double().mean(0)
            gain = torch.stack(bounds).mean(0) - refined
            closest = importance_weighted_estimate(fitted.log_weight)
        losses = [first.reconstruction, estimate, refined, gain, closest, *first.kl.unbind(1)]
        values = torch.stack(losses, 1).cpu().double().numpy()
        rows.append(np.column_stack([numbers, values]))
        total += float(bound.sum())
        done = start + len(numbers)
        on_progress(done, f"bound {total / done:.2f} nats")
    return np.concatenate(rows)
