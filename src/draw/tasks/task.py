"""What training, evaluation, cards and the studio ask of a task.

To add one, write a class with these methods, and name it in `draw.models.kinds.KINDS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor, nn

from draw.config.run import Config
from draw.data import ImageSet
from draw.data.batches import batch_indices
from draw.model.pretrained import Model
from draw.randomness import VIEW_TRAINING, generator

Maker = Callable[[], Model]
"""Makes a model with its starting weights."""


@runtime_checkable
class Result(Protocol):
    """What an evaluation measured; a frozen dataclass."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""


@dataclass(frozen=True)
class Measuring:
    """How an evaluation is made."""

    batch_size: int = 250
    """Images at a time; only speed and memory depend on it."""
    importance_samples: int = 0
    """Samples K per image of the importance-weighted estimate, 0 to leave it out."""
    seed: int = 0
    """Of the noise."""


MEASURING = Measuring()


class Batch(NamedTuple):
    """What one step of training learns from."""

    images: Float[Tensor, "batch channels rows columns"]
    """In [0, 1]."""
    noise: Float[Tensor, "glimpses batch latent"] | None
    """Standard normal; None for a model that uses none."""
    labels: Int[Tensor, " batch"] | None
    """Class of each image; None for a model that is not told it."""

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        noise = None if self.noise is None else self.noise.to(device)
        labels = None if self.labels is None else self.labels.to(device)
        return Batch(self.images.to(device), noise, labels)


class ModelInput(NamedTuple):
    """Some images as a model sees them in evaluation."""

    images: Float[Tensor, "n channels rows columns"]
    """In [0, 1]."""
    labels: Int[Tensor, " n"] | None
    """Class of each image; None for a model that is not told it."""


class Curve(NamedTuple):
    """A number of the metrics that is shown against images seen."""

    field: str
    """Its name in the lines of metrics.jsonl."""
    title: str
    unit: str


class Profile(NamedTuple):
    """Numbers of an evaluation that are shown step by step."""

    field: str
    """Their name in the lines of metrics.jsonl."""
    title: str
    unit: str
    across: str
    """What there is one number for."""


@runtime_checkable
class Task(Protocol):
    """What a run learns: its loss, its evaluation, its words and its pictures."""

    score: ClassVar[str]
    """The number of an evaluation that the best weights have the least of."""
    curves: ClassVar[tuple[Curve, ...]]
    """Numbers of the metrics to show, the score first."""
    profile: ClassVar[Profile]
    """Numbers of an evaluation to show step by step."""
    hub_task: ClassVar[str]
    """What the Hugging Face Hub calls it, such as image-generation."""
    not_for: ClassVar[str]
    """For what a model should not be used, in a sentence for its card."""
    card_picture: ClassVar[str | None]
    """The file of `export_pictures` that a card shows."""

    def make_model(self) -> Model:
        """A model with its starting weights."""

    @property
    def what(self) -> str:
        """What the model does to which images, in a few words: 'draws mnist images of ...'."""

    @property
    def steps(self) -> str:
        """How often the model looks, in a few words; nothing where it does so once."""

    @property
    def condition(self) -> str:
        """What the model is told of an image, in a few words; nothing where it is told nothing."""

    @property
    def units(self) -> str:
        """What the losses are measured in."""

    def format_score(self, value: float) -> str:
        """A score with its unit, for a list."""

    def binarizes(self, images: ImageSet) -> bool:
        """Whether images are drawn as 0 or 1 before the model sees them."""

    def check(self, images: ImageSet) -> None:
        """Compare images with what the task needs of them.

        Raises:
            DrawError: if nothing can be learned from them, with what to do.
        """

    def start_from_data(self, model: nn.Module, training: ImageSet) -> None:
        """Set those starting weights that depend on the images."""

    def batch(self, training: ImageSet, step: int, own: slice) -> Batch:
        """What one step of training puts into `losses`.

        Args:
            training: images to learn from.
            step: from 0; with the seed it decides all chance.
            own: this process's share of the batch.
        """

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Means over a batch, by name; the first is what training makes small."""

    def derive(self, means: Mapping[str, float]) -> dict[str, float]:
        """Further numbers that follow from the means of `losses`."""

    def describe(self, values: Mapping[str, Any]) -> str:
        """The numbers of `losses` or of an evaluation in a few words, for the progress bar."""

    def describe_start(self, model: nn.Module, training: ImageSet) -> str:
        """Lines about the model, and what its numbers mean, for the start of a run."""

    def evaluate(
        self,
        model: nn.Module,
        images: ImageSet,
        accelerator: Accelerator,
        on_progress: Callable[[int, str], None],
        how: Measuring = MEASURING,
    ) -> Result:
        """Measure a model on every image exactly once; every process gets the result.

        Whoever measures does it here: training, `draw evaluate`, `draw export`.

        Args:
            model: on the device that is to do the work.
            images: as the model sees them in evaluation (`ImageSet.evaluation_set`).
            accelerator: splits the images among its processes.
            on_progress: called with the number of images done by this process and the score so far.
            how: what else decides what is measured, and how fast.

        Raises:
            DrawError: if such images cannot be measured, as `check`, or not in that way.
        """

    def model_input(
        self, images: ImageSet, numbers: Int[np.ndarray, " n"], seed: int = 0
    ) -> ModelInput:
        """Some images by number as the model sees them in evaluation."""

    def meaning(self, images: ImageSet) -> str:
        """What the numbers of an evaluation on such images mean, in words for people."""

    def facts(self, images: ImageSet, how: Measuring) -> dict[str, Any]:
        """What else decides the numbers of an evaluation, in plain values."""

    def figures(self, images: ImageSet) -> dict[str, str]:
        """Words for those numbers of an evaluation that go on a card, by name."""

    def remarks(self, model: nn.Module, images: ImageSet) -> dict[str, str]:
        """What a card says besides, in words by title."""

    def print_result(self, title: str, result: Result) -> None:
        """Show what an evaluation measured as a table."""

    def conclude(self, result: Result) -> str:
        """What the test came to, in a line or two."""

    def glance(self, model: nn.Module, validation: ImageSet, run: Path, step: int) -> None:
        """A picture of what the model does so far, in the run folder."""

    @property
    def picture_names(self) -> tuple[str, ...]:
        """The files that `pictures` makes."""

    def pictures(
        self,
        model: nn.Module,
        run: Path,
        metrics: Sequence[Mapping[str, Any]],
        training: ImageSet,
        test: ImageSet,
    ) -> list[Path]:
        """The pictures of a finished run, in its folder; `metrics` are the lines of its curves."""

    def plot(self, metrics: Sequence[Mapping[str, Any]], out: Path, *, title: str) -> Path:
        """Draw the curves of a run; see `draw.visualize.curves`."""

    def export_pictures(self, model: nn.Module, test: ImageSet, to: Path) -> None:
        """Pictures of a model that is given away, in a folder."""


@runtime_checkable
class TaskClass(Protocol):
    """A class of tasks, which is known before there is a run."""

    @property
    def draws(self) -> bool:
        """Whether its models draw: each is a `draw.model.draw.DRAW` or extends it."""

    @property
    def looks(self) -> bool:
        """Whether its models look, then answer: each is a `Classifier` or extends it."""

    def __call__(self, config: Config, model_config: Any, make: Maker) -> Task:
        """A task.

        Args:
            config: of the run.
            model_config: its model's.
            make: makes its model.
        """


def training_images(
    config: Config, training: ImageSet, step: int
) -> tuple[UInt8[np.ndarray, "batch channels rows columns"], Shaped[np.ndarray, " batch"] | None]:
    """The images of one step of training and their labels, a function of the arguments alone.

    It is the whole batch for every process, since a view draws for all images of it at once.
    """
    seed = config.train.seed
    indices = batch_indices(seed, step, config.train.batch_size, training.count)
    return training.batch(indices, generator(seed, VIEW_TRAINING, step))


def shape_of(config: Config) -> str:
    """Which images a run is about and of what shape, in words."""
    model = config.model
    return f"{config.data.name} images of {model.rows}x{model.columns}x{model.channels}"
