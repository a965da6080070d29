"""The task of drawing images: the bound of eq 12."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Int
from torch import Tensor, nn

from draw.config.data import Binarization
from draw.config.model import DRAWConfig
from draw.config.run import Config
from draw.data import ImageSet
from draw.data.batches import evaluation_images, spread
from draw.data.images import class_names
from draw.measure.accuracy import check_labels
from draw.measure.bound import Evaluation, evaluate
from draw.measure.tables import print_evaluation
from draw.model.draw import DRAW
from draw.model.pretrained import Model
from draw.parts.conditions import condition_of
from draw.parts.conditions.known import KnownPixels
from draw.parts.likelihood import bounds_likelihood, check_pixels, has_bits, in_bits, meaning
from draw.runs.metrics import HIDDEN_SHARE
from draw.tasks.task import (
    MEASURING,
    Batch,
    Curve,
    Maker,
    Measuring,
    ModelInput,
    Needs,
    Profile,
    Result,
    shape_of,
)
from draw.visualize import animate, sample_grid, training_curves
from draw.visualize.run_pictures import DRAWING_PICTURES, drawing_pictures

PRIOR_PROFILES = (
    "fixed_prior_kl_per_glimpse", "standard_prior_kl_per_glimpse", "foreseen_per_glimpse",
)  # fmt: skip
"""Lists of numbers of an evaluation that say what a learned prior does at each step."""
CROSS_ENTROPY = "cross-entropy, no likelihood"
"""Name of the loss where its nats bound no likelihood."""
FIGURES = {
    "bound": "upper bound on -log p(x), nats per image",
    "bound_standard_error": "standard error of the bound, nats",
    "importance_weighted": (
        "importance-weighted estimate of -log p(x), K = {importance_samples}, nats per image"
    ),
    "importance_weighted_standard_error": "standard error of the estimate, nats",
    "bits_per_dimension": "bound, bits per dimension",
}
_OF_GREY = {
    "bound": f"bound in nats per image ({CROSS_ENTROPY})",
    "importance_weighted": (
        "importance-weighted estimate, K = {importance_samples}, nats per image "
        f"({CROSS_ENTROPY})"
    ),
}
"""The words for a Bernoulli of grey or coloured pixels instead."""


class Drawing:
    """A `draw.tasks.Task` for a DRAW model that learns to draw images like those it sees.

    Args:
        config: config of the run.
        model_config: config of the model.
        make: function that makes the model.
    """

    draws: ClassVar[bool] = True
    looks: ClassVar[bool] = False
    score: ClassVar[str] = "bound"
    curves: ClassVar[tuple[Curve, ...]] = (
        Curve("bound", "Bound, lower is better", "nats"),
        Curve("reconstruction", "Its reconstruction part", "nats"),
        Curve("kl", "Its KL part", "nats"),
    )
    profile: ClassVar[Profile] = Profile(
        "kl_per_glimpse", "KL of each step", "nats", "step", beside=PRIOR_PROFILES,
        over="fixed_prior_kl_per_glimpse", difference="foreseen by the learned prior",
    )  # fmt: skip
    hub_task: ClassVar[str] = "image-generation"
    not_for: ClassVar[str] = (
        "Some of its images show nothing that could be named, and its nats compare with nothing "
        "but figures on the same images, whose pixels were treated in the same way."
    )
    card_picture: ClassVar[str | None] = "generation.gif"

    def __init__(self, config: Config, model_config: DRAWConfig, make: Maker) -> None:
        self.config, self.model_config, self._make = config, model_config, make

    @property
    def what(self) -> str:
        """Describe which images are drawn, and in how many steps, in a few words."""
        return f"draws {shape_of(self.config)} {self.steps}"

    @property
    def steps(self) -> str:
        """Number of steps of a drawing, in words."""
        return f"in {self.model_config.glimpses} steps"

    @property
    def condition(self) -> str:
        """Describe what a drawing is conditioned on; empty for an unconditional model."""
        return str(condition_of(self.model_config).description) if self.takes_labels else ""

    @property
    def units(self) -> str:
        """Units of the bound: nats, and bits per dimension where pixels are of 8 bits."""
        bits = ", and bits per dimension" if has_bits(self.model_config) else ""
        return f"nats per image{bits}"

    def format_score(self, value: float) -> str:
        """Format a bound with its unit."""
        return f"{value:.2f} nats"

    def binarization(self, images: ImageSet) -> Binarization:
        """Way in which the pixels of images come to be 0 or 1 before the model sees them."""
        return images.binarization(self.config.data.binarize)

    def _draws_pixels(self, images: ImageSet) -> bool:
        return self.binarization(images) == "dynamic"

    @property
    def takes_labels(self) -> bool:
        """Whether the model is conditioned on the class of an image."""
        return bool(condition_of(self.model_config).takes_labels)

    def labels(self, images: ImageSet) -> Int[np.ndarray, " n"] | None:
        """Classes of images for the model; None for an unconditional model."""
        return images.labels if self.takes_labels else None

    def make_model(self) -> Model:
        """Make a model of the config's kind with its starting weights."""
        return self._make()

    def check(self, images: ImageSet) -> None:
        """Refuse images that the likelihood is not one of; see `check_pixels`."""
        check_pixels(self.model_config, self.binarization(images), source=images.source)
        if self.takes_labels:
            model = self.model_config
            told = f"for a model that is told the class (model.condition {model.condition})"
            check_labels(images, model.classes, told)

    def start_from_data(self, model: nn.Module, training: ImageSet) -> None:
        """Start the canvas at the mean of the training images, so that learning begins with shape.

        # ours: the paper learns c_0 and does not say where it starts.
        """
        canvas_0 = torch.from_numpy(training.mean().clip(0.01, 0.99)).logit()
        with torch.no_grad():
            cast(DRAW, model).canvas_0.copy_(canvas_0)

    def needs(self, training: ImageSet) -> Needs:
        """The noise of eq 6, and classes where the model is told them."""
        noise = self.model_config.glimpses, self.model_config.latent_size
        dropout = self.model_config.label_dropout
        fraction = self.config.train.decoder_dropout
        units = (self.model_config.hidden_size, fraction) if fraction else None
        masks = issubclass(condition_of(self.model_config), KnownPixels)
        binarizes = self._draws_pixels(training)
        return Needs(noise, binarizes, self.takes_labels, dropout, units, masks)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The bound and its parts, in nats; of a model told pixels, how many the loss counts."""
        others = {"unit_mask": batch.unit_mask, "known": batch.known}
        given = {name: one for name, one in others.items() if one is not None}
        output = model(batch.images, batch.noise, batch.labels, **given)
        losses = {
            "bound": output.bound.mean(),
            "reconstruction": output.reconstruction.mean(),
            "kl": output.kl.sum(1).mean(),
        }
        if batch.known is not None:
            losses[HIDDEN_SHARE] = (~batch.known).to(output.bound).mean()
        return losses

    def derive(self, means: Mapping[str, float]) -> dict[str, float]:
        """The bound in bits per dimension, where the likelihood is one of 8-bit pixels."""
        bits = in_bits(self.model_config, means["bound"])
        return {} if bits is None else {"bits_per_dimension": bits / means.get(HIDDEN_SHARE, 1.0)}

    def describe(self, values: Mapping[str, Any]) -> str:
        """Format the bound and its parts."""
        bits, hidden = values.get("bits_per_dimension"), values.get(HIDDEN_SHARE)
        return (
            f"bound{'' if hidden is None else f' of the hidden {hidden:.0%} of pixels'} "
            f"{values['bound']:.2f} = reconstruction {values['reconstruction']:.2f} + KL "
            f"{values['kl']:.2f} nats"
            + ("" if bits is None else f", {bits:.3f} bits per dimension")
        )

    def describe_start(self, model: nn.Module, training: ImageSet) -> str:
        """Describe what the nats mean, and in how many steps it draws."""
        nats = self.meaning(training)
        return f"{nats}\n{self.model_config.glimpses} glimpses"

    def evaluate(
        self,
        model: nn.Module,
        images: ImageSet,
        accelerator: Accelerator,
        on_progress: Callable[[int, str], None],
        how: Measuring = MEASURING,
    ) -> Evaluation:
        """Measure the bound; see `draw.measure.bound.evaluate`."""
        self.check(images)
        return evaluate(
            cast(DRAW, model),
            images.images,
            labels=self.labels(images),
            dynamic=self._draws_pixels(images),
            batch_size=how.batch_size,
            importance_samples=how.importance_samples,
            refinement_steps=how.refinement_steps,
            seed=how.seed,
            accelerator=accelerator,
            on_progress=on_progress,
        )

    def model_input(
        self, images: ImageSet, numbers: Int[np.ndarray, " n"], seed: int = 0
    ) -> ModelInput:
        """Images by number, drawn as 0 or 1 where the model learns from such."""
        x = evaluation_images(images.images, numbers, self._draws_pixels(images), seed)
        labels = self.labels(images)
        return ModelInput(x, None if labels is None else torch.from_numpy(labels[numbers]))

    def meaning(self, images: ImageSet) -> str:
        """Describe what the nats are; see `draw.parts.likelihood.meaning`."""
        return meaning(self.model_config, self.binarization(images))

    def facts(self, images: ImageSet, how: Measuring) -> dict[str, Any]:
        """List likelihood, what it is told, binarization and the seed of the noise."""
        return {
            "likelihood": self.model_config.likelihood,
            "given": "class" if self.takes_labels else None,
            "binarization": self.binarization(images),
            "seed": how.seed,
        }

    def figures(self, images: ImageSet) -> dict[str, str]:
        """Words for the bound and the estimate, which say what, if anything, they bound."""
        bounds = bounds_likelihood(self.model_config, self.binarization(images))
        words = FIGURES if bounds else FIGURES | _OF_GREY
        told = "-log p(x | class)" if self.takes_labels else "-log p(x)"
        return {name: one.replace("-log p(x)", told) for name, one in words.items()}

    def remarks(self, model: nn.Module, images: ImageSet) -> dict[str, str]:
        """Describe what the nats mean, and the model's attention, prior and condition."""
        draw = cast(DRAW, model)
        told = draw.condition.description
        if self.takes_labels:
            names = class_names(images.classes)
            told += (
                f", one of {self.model_config.classes}{names and f' ({names})'}; the figures are "
                "of images with their labels: -log p(x | class)"
            )
        return {
            "Likelihood": self.meaning(images),
            "Attention": draw.attention.description,
            "Prior of each step's code": str(draw.prior.description),
            "Told beforehand": told,
        }

    def print_result(self, title: str, result: Result) -> None:
        """Print the bound, its parts, the estimate and the KL divergence of each step."""
        print_evaluation(title, cast(Evaluation, result))

    def conclude(self, result: Result) -> str:
        """Summarise the test bound, its parts and its standard error."""
        measured = cast(Evaluation, result)
        bits = measured.bits_per_dimension
        given = ", given the class" if self.takes_labels else ""
        return (
            f"test bound {measured.bound:.2f} +- {measured.bound_standard_error:.2f} nats = "
            f"reconstruction {measured.reconstruction:.2f} + KL {measured.kl:.2f} "
            f"({measured.images} images{given})"
            + ("" if bits is None else f"\n= {bits:.4f} bits per dimension")
        )

    def glance(self, model: nn.Module, validation: ImageSet, run: Path, step: int) -> None:
        """Draw samples of the model so far."""
        drawing = cast(DRAW, model).generate(64, seed=self.config.train.seed)
        sample_grid(drawing.images[-1], run / "samples" / f"step-{step:08d}.png")

    picture_names = DRAWING_PICTURES

    def pictures(
        self,
        model: nn.Module,
        run: Path,
        metrics: Sequence[Mapping[str, Any]],
        training: ImageSet,
        test: ImageSet,
    ) -> list[Path]:
        """Draw samples, drawings step by step, reconstructions and curves of a finished run."""
        some = test.evaluation_set()
        shown = self.model_input(some, spread(some.count, 6))
        meaning = self.meaning(test)
        return drawing_pictures(cast(DRAW, model), run, metrics, training, *shown, meaning)

    def plot(self, metrics: Sequence[Mapping[str, Any]], out: Path, *, title: str) -> Path:
        """Plot the bound, its parts and the KL divergence of each step."""
        return training_curves(metrics, out, title=title)

    def export_pictures(self, model: nn.Module, test: ImageSet, to: Path) -> None:
        """Draw samples of an exported model, and some of them step by step."""
        draw = cast(DRAW, model)
        sample_grid(draw.generate(64, seed=0).images[-1], to / "samples.png")
        animate(draw.generate(16, seed=0), to / "generation.gif")
