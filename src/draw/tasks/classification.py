"""The task of naming what is in an image (section 4.1): the cross-entropy of the classes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from draw.config.data import Binarization
from draw.config.run import Config
from draw.data import ImageSet
from draw.data.batches import to_unit_interval
from draw.data.images import class_names
from draw.errors import DrawError
from draw.measure.accuracy import Accuracy, check_labels, measure_accuracy
from draw.measure.tables import print_accuracy
from draw.model.classifier import Classifier
from draw.model.pretrained import Model
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
from draw.visualize import classification_curves
from draw.visualize.run_pictures import glimpses_of

FIGURES = {
    "error": "wrong answers, %",
    "error_low": "lower end of the 95 % interval, %",
    "error_high": "upper end of the 95 % interval, %",
}
GLIMPSES_FILE, CURVES_FILE = "glimpses.png", "curves.png"


class Classifying:
    """A `draw.tasks.Task` for a network that learns the labels of images.

    Args:
        config: config of the run.
        model_config: config of the model, which says how many classes there are.
        make: function that makes the model, which answers with a `ClassifierOutput`.
    """

    draws: ClassVar[bool] = False
    looks: ClassVar[bool] = False
    score: ClassVar[str] = "error"
    curves: ClassVar[tuple[Curve, ...]] = (
        Curve("error", "Wrong answers", "%"),
        Curve("cross_entropy", "Cross-entropy", "nats"),
    )
    profile: ClassVar[Profile] = Profile(
        "error_by_glimpse", "Wrong after each glimpse", "%", "glimpse"
    )
    hub_task: ClassVar[str] = "image-classification"
    not_for: ClassVar[str] = (
        "Its probabilities are not calibrated, and nothing tells it that there is no digit."
    )
    card_picture: ClassVar[str | None] = None

    def __init__(self, config: Config, model_config: Any, make: Maker) -> None:
        self.config, self.model_config, self._make = config, model_config, make

    def make_model(self) -> Model:
        """Make a classifier with its starting weights."""
        return self._make()

    @property
    def what(self) -> str:
        """Describe which images are classified, in a few words."""
        return f"classifies {shape_of(self.config)}"

    @property
    def steps(self) -> str:
        """Return no words: the network looks once."""
        return ""

    @property
    def condition(self) -> str:
        """Return no words: a classifier is not conditioned on anything."""
        return ""

    @property
    def units(self) -> str:
        """Units of error and cross-entropy: per cent and nats."""
        return "error in %, cross-entropy in nats per image"

    def format_score(self, value: float) -> str:
        """Format an error with its unit."""
        return f"{value:.2f} % wrong"

    def binarization(self, images: ImageSet) -> Binarization:
        """Way in which pixels came to be 0 or 1: a classifier sees images as they are."""
        return images.binarization("none")

    def check(self, images: ImageSet) -> None:
        """Refuse images without labels that the model can answer with."""
        check_labels(images, self.model_config.classes)
        if self.config.data.binarize != "none":
            raise DrawError(
                "expected data.binarize none for a classifier, which sees images as they are, got "
                f"{self.config.data.binarize!r}; leave it out"
            )

    def start_from_data(self, model: nn.Module, training: ImageSet) -> None:
        """Leave the starting weights alone: none depends on the images."""

    def needs(self, training: ImageSet) -> Needs:
        """Inputs of a training step: images and labels, no noise."""
        return Needs(noise=None, binarize=False, labels=True)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the last answer in nats, and the error in %."""
        assert batch.labels is not None  # as `needs` says
        answered = model(batch.images)
        logits = answered.logits.float()
        wrong = logits.detach().argmax(1) != batch.labels
        last = cross_entropy(logits, batch.labels)
        losses = {"cross_entropy": last, "error": 100 * wrong.float().mean()}
        return self._with_early(answered.logits_by_glimpse, batch.labels, losses)

    def _with_early(
        self, answers: Tensor, labels: Tensor, losses: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """The losses, before them what is learnt from where it differs from the last answer's."""
        return losses

    def derive(self, means: Mapping[str, float]) -> dict[str, float]:
        """Return no further numbers."""
        return {}

    def describe(self, values: Mapping[str, Any]) -> str:
        """Format the errors in % and the cross-entropy in nats."""
        return f"error {values['error']:.2f} %, cross-entropy {values['cross_entropy']:.4f} nats"

    def describe_start(self, model: nn.Module, training: ImageSet) -> str:
        """Describe how many classes there are."""
        return self.meaning(training)

    def evaluate(
        self,
        model: nn.Module,
        images: ImageSet,
        accelerator: Accelerator,
        on_progress: Callable[[int, str], None],
        how: Measuring = MEASURING,
    ) -> Accuracy:
        """Measure the error; see `draw.measure.accuracy.measure_accuracy`."""
        if how.importance_samples:
            raise DrawError(
                "expected no --importance-samples for a classifier, which has no latent variables; "
                "leave it out"
            )
        if how.refinement_steps:
            raise DrawError(
                "expected no --refine for a classifier, which has no posterior; leave it out"
            )
        if how.seed:
            raise DrawError(
                f"expected no --seed for a classifier, which draws nothing, got {how.seed}; "
                "leave it out"
            )
        return measure_accuracy(
            cast(Model, model),
            images,
            batch_size=how.batch_size,
            accelerator=accelerator,
            on_progress=on_progress,
        )

    def model_input(
        self, images: ImageSet, numbers: Int[np.ndarray, " n"], seed: int = 0
    ) -> ModelInput:
        """Images by number, as they are."""
        return ModelInput(to_unit_interval(images.images[numbers]), None)

    def meaning(self, images: ImageSet) -> str:
        """Describe how many classes the error is about."""
        return f"{self.model_config.classes} classes; error in %, cross-entropy in nats"

    def facts(self, images: ImageSet, how: Measuring) -> dict[str, Any]:
        """Return no facts: no chance is in the result."""
        return {}

    def figures(self, images: ImageSet) -> dict[str, str]:
        """Words for the error with its interval."""
        return FIGURES

    def remarks(self, model: nn.Module, images: ImageSet) -> dict[str, str]:
        """Say which number is which class, where they have other names."""
        names = class_names(images.classes)
        return {"Classes": names} if names else {}

    def print_result(self, title: str, result: Result) -> None:
        """Print the error and its interval, the cross-entropy, and the error after each glimpse."""
        print_accuracy(title, cast(Accuracy, result))

    def conclude(self, result: Result) -> str:
        """Summarise the test error with its interval."""
        measured = cast(Accuracy, result)
        return (
            f"test error {measured.error:.2f} % (95 % interval {measured.error_low:.2f} to "
            f"{measured.error_high:.2f}), cross-entropy {measured.cross_entropy:.4f} nats "
            f"({measured.images} images)"
        )

    def glance(self, model: nn.Module, validation: ImageSet, run: Path, step: int) -> None:
        """Draw nothing: without a window there is nothing to see of where the network looks."""

    picture_names: tuple[str, ...] = (CURVES_FILE,)

    def pictures(
        self,
        model: nn.Module,
        run: Path,
        metrics: Sequence[Mapping[str, Any]],
        training: ImageSet,
        test: ImageSet,
    ) -> list[Path]:
        """Plot the curves of a finished run."""
        return [classification_curves(metrics, run / CURVES_FILE)]

    def plot(self, metrics: Sequence[Mapping[str, Any]], out: Path, *, title: str) -> Path:
        """Plot the error, the cross-entropy and the error after each glimpse."""
        return classification_curves(metrics, out, title=title)

    def export_pictures(self, model: nn.Module, test: ImageSet, to: Path) -> None:
        """Draw no pictures of an exported model."""


class Looking(Classifying):
    """A `draw.tasks.Task` for a classifier that looks through a window, which is shown.

    Args:
        config: config of the run.
        model_config: config of the model, which says how many classes and glimpses there are.
        make: function that makes the model, a `Classifier`.
    """

    looks: ClassVar[bool] = True
    card_picture: ClassVar[str | None] = GLIMPSES_FILE

    def _with_early(
        self, answers: Tensor, labels: Tensor, losses: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """`ClassifierConfig.early_loss`: the weighted mean over the answers of all glimpses.

        # ours: the paper learns from the last answer alone. Cheung et al. (2017) learn from the
        answer after every glimpse.
        """
        weight, count = self.model_config.early_loss, len(answers)
        if weight == 0 or count == 1:
            return losses
        each = torch.stack([cross_entropy(logits.float(), labels) for logits in answers])
        weights = weight * torch.arange(1, count + 1, device=each.device) / count
        weights[-1] = 1
        return {"loss": (weights * each).sum() / weights.sum(), **losses}

    @property
    def steps(self) -> str:
        """Number of glimpses, in words."""
        return f"{self.model_config.glimpses} glimpses"

    def describe_start(self, model: nn.Module, training: ImageSet) -> str:
        """Describe how many classes there are, and how often the model looks."""
        return f"{super().describe_start(model, training)}\n{self.steps}"

    def glance(self, model: nn.Module, validation: ImageSet, run: Path, step: int) -> None:
        """Draw where the classifier looks so far."""
        path = run / "glimpses" / f"step-{step:08d}.png"
        glimpses_of(cast(Classifier, model), validation, path)

    picture_names: tuple[str, ...] = (GLIMPSES_FILE, CURVES_FILE)

    def pictures(
        self,
        model: nn.Module,
        run: Path,
        metrics: Sequence[Mapping[str, Any]],
        training: ImageSet,
        test: ImageSet,
    ) -> list[Path]:
        """Draw where the classifier looks, and the curves, of a finished run."""
        curves = super().pictures(model, run, metrics, training, test)
        glimpses_of(cast(Classifier, model), test, run / GLIMPSES_FILE)
        return [run / GLIMPSES_FILE, *curves]

    def export_pictures(self, model: nn.Module, test: ImageSet, to: Path) -> None:
        """Draw where an exported classifier looks."""
        glimpses_of(cast(Classifier, model), test, to / GLIMPSES_FILE)
