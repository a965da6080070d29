"""Learning to name what is in an image (section 4.1): the cross-entropy of the classes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from draw.config.model import ClassifierConfig, ConvnetConfig
from draw.config.run import Config
from draw.data import ImageSet
from draw.data.batches import to_unit_interval
from draw.errors import DrawError
from draw.measure.accuracy import Accuracy, check_labels, measure_accuracy
from draw.measure.tables import print_accuracy
from draw.model.classifier import Classifier
from draw.model.convnet import Convnet
from draw.models.kinds import make_model
from draw.tasks.task import MEASURING, Batch, Measuring, Result, Shown, seen_in_training
from draw.visualize.run import CLASSIFICATION_PICTURES, classification_pictures, glimpses_of


class Classifying:
    """A `draw.tasks.Task`: a classifier that learns the labels of images.

    Args:
        config: of the run.
        model_config: its model's.
    """

    score = "error"

    def __init__(self, config: Config, model_config: ClassifierConfig | ConvnetConfig) -> None:
        self.config, self.model_config = config, model_config

    def make_model(self) -> nn.Module:
        """A model with its starting weights."""
        return make_model(self.model_config)

    def check(self, images: ImageSet) -> None:
        """See that the images have labels that the model can answer with."""
        check_labels(images, self.model_config.classes)
        if self.config.data.binarize != "none":
            raise DrawError(
                "expected data.binarize none for a classifier, which sees images as they are, got "
                f"{self.config.data.binarize!r}; leave it out"
            )

    def start_from_data(self, model: nn.Module, training: ImageSet) -> None:
        """Nothing: no starting weight depends on the images."""

    def batch(self, training: ImageSet, step: int, own: slice) -> Batch:
        """Images and labels."""
        images, labels = seen_in_training(self.config, training, step)
        assert labels is not None  # `check` has seen them
        return Batch(to_unit_interval(images[own]), None, torch.from_numpy(labels[own]))

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy of the last answer in nats, and its errors in %."""
        assert batch.labels is not None  # `batch` has put them there
        logits = model(batch.images).logits.float()
        wrong = logits.detach().argmax(1) != batch.labels
        return {
            "cross_entropy": cross_entropy(logits, batch.labels),
            "error": 100 * wrong.float().mean(),
        }

    def derived(self, means: Mapping[str, float]) -> dict[str, float]:
        """None."""
        return {}

    def describe(self, values: Mapping[str, Any]) -> str:
        """The errors in % and the cross-entropy."""
        return f"error {values['error']:.2f} %, cross-entropy {values['cross_entropy']:.4f} nats"

    def describe_start(self, model: nn.Module, training: ImageSet) -> str:
        """How many classes there are, and which kernel runs."""
        classes = self.meaning(training)
        if isinstance(model, Classifier):
            return f"{classes}\n{model.config.glimpses} glimpses; kernel: {model.kernel}"
        return classes

    def evaluate(
        self,
        model: nn.Module,
        images: ImageSet,
        accelerator: Accelerator,
        on_progress: Callable[[int, str], None],
        how: Measuring = MEASURING,
    ) -> Accuracy:
        """The share of wrong answers; see `draw.measure.accuracy.measure_accuracy`."""
        if how.importance_samples:
            raise DrawError(
                "expected no --importance-samples for a classifier, which has no latent variables; "
                "leave it out"
            )
        return measure_accuracy(
            cast(Classifier | Convnet, model),
            images,
            batch_size=how.batch_size,
            accelerator=accelerator,
            on_progress=on_progress,
        )

    def seen(self, images: ImageSet, numbers: Int[np.ndarray, " n"], seed: int = 0) -> Shown:
        """Some images, as they are."""
        return Shown(to_unit_interval(images.images[numbers]), None)

    def meaning(self, images: ImageSet) -> str:
        """How many classes there are."""
        return f"{self.model_config.classes} classes; error in %, cross-entropy in nats"

    def facts(self, images: ImageSet, how: Measuring) -> dict[str, Any]:
        """None: no chance is in it."""
        return {}

    def print_result(self, title: str, result: Result) -> None:
        """The error with its interval, the cross-entropy, and the error after each glimpse."""
        print_accuracy(title, cast(Accuracy, result))

    def conclude(self, result: Result) -> str:
        """The test error with its interval."""
        measured = cast(Accuracy, result)
        return (
            f"test error {measured.error:.2f} % (95 % interval {measured.error_low:.2f} to "
            f"{measured.error_high:.2f}), cross-entropy {measured.cross_entropy:.4f} nats "
            f"({measured.images} images)"
        )

    def glance(self, model: nn.Module, validation: ImageSet, run: Path, step: int) -> None:
        """Where it looks."""
        if isinstance(model, Classifier):
            glimpses_of(model, validation, run / "glimpses" / f"step-{step:08d}.png")

    @property
    def picture_names(self) -> tuple[str, ...]:
        """Without a window there is nothing to see of where it looks."""
        blind = isinstance(self.model_config, ConvnetConfig)
        return CLASSIFICATION_PICTURES[blind:]

    def pictures(
        self,
        model: nn.Module,
        run: Path,
        metrics: Sequence[Mapping[str, Any]],
        training: ImageSet,
        test: ImageSet,
    ) -> list[Path]:
        """Where it looks, and the curves."""
        return classification_pictures(cast(Classifier | Convnet, model), run, metrics, test)
