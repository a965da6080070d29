"""The interface of a task, which training, evaluation, cards and the studio work through.

To add a task, write a class with these methods, and name it in `draw.models.kinds.KINDS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
from accelerate import Accelerator
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from draw.config.data import Binarization
from draw.config.run import Config
from draw.data import ImageSet
from draw.model.pretrained import Model
from draw.tensors import by_shapes

Maker = Callable[[], Model]
"""A function that makes a model with its starting weights."""


@runtime_checkable
class Result(Protocol):
    """The interface of what an evaluation measured: a frozen dataclass."""

    @property
    def scores(self) -> Float[np.ndarray, " images"]:
        """The task's score of each image, by its number; their mean is the score."""

    def to_dict(self) -> dict[str, Any]:
        """Convert the result to plain values, ready for JSON."""


@dataclass(frozen=True)
class Measuring:
    """Options of an evaluation."""

    batch_size: int = 250
    """Images at a time; only speed and memory depend on it."""
    importance_samples: int = 0
    """Samples K per image of the importance-weighted estimate, 0 to leave it out."""
    seed: int = 0
    """Seed of the noise."""
    refinement_steps: int = 0
    """Updates of each image's posterior for the refined bound, 0 to leave it out."""


MEASURING = Measuring()


class Needs(NamedTuple):
    """What a step of training needs besides the images."""

    noise: tuple[int, int] | None
    """Glimpses and latent variables of an image's standard normal noise; None for none."""
    binarize: bool
    """Whether each pixel is drawn as 0 or 1 with its grey value as probability."""
    labels: bool
    """Whether the class of each image is told, or learned."""
    label_dropout: float = 0.0
    """Fraction of the classes that are not told, `NO_LABEL` in their place."""
    dropout: tuple[int, float] | None = None
    """Units of which some are left out, and the fraction that is; None for none."""
    masks: bool = False
    """Whether a random part of each image is known."""


class Batch(NamedTuple):
    """Inputs of one training step."""

    images: Float[Tensor, "batch channels rows columns"]
    """Images in [0, 1]."""
    noise: Float[Tensor, "glimpses batch latent"] | None
    """Standard normal noise; None for a model that uses none."""
    labels: Int[Tensor, " batch"] | None
    """Class of each image; None for an unconditional model."""
    unit_mask: Float[Tensor, "batch units"] | None = None
    """Factor of each of the decoder's units, 0 where it is left out; None where all are kept."""
    known: Bool[Tensor, "batch rows columns"] | None = None
    """True where a pixel is known; None for a model that is told no pixels."""

    def __repr__(self) -> str:
        return by_shapes(self)


class ModelInput(NamedTuple):
    """Some images as a model sees them in evaluation."""

    images: Float[Tensor, "n channels rows columns"]
    """Images in [0, 1]."""
    labels: Int[Tensor, " n"] | None
    """Class of each image; None for an unconditional model."""

    def __repr__(self) -> str:
        return by_shapes(self)


class Curve(NamedTuple):
    """A number of the metrics that is plotted against images seen."""

    field: str
    """Name of the number in the lines of metrics.jsonl."""
    title: str
    unit: str


class Profile(NamedTuple):
    """Numbers of an evaluation that are plotted step by step."""

    field: str
    """Name of the list of numbers in the lines of metrics.jsonl."""
    title: str
    unit: str
    across: str
    """Name of what there is one number for, such as a glimpse."""
    beside: tuple[str, ...] = ()
    """Names of further such lists, kept with the best weights, of models that have them."""
    over: str | None = None
    """Name of the one of them that is drawn over the numbers, as an outline."""
    difference: str = ""
    """Words for what the outline has above the numbers."""


@runtime_checkable
class Task(Protocol):
    """The interface of what a run learns: its loss, its evaluation, its words and its pictures."""

    score: ClassVar[str]
    """Name of the number of an evaluation by which the best weights are chosen: the least is
    best."""
    curves: ClassVar[tuple[Curve, ...]]
    """Numbers of the metrics to plot, the score first."""
    profile: ClassVar[Profile]
    """Numbers of an evaluation to plot step by step."""
    hub_task: ClassVar[str]
    """Name of the task on the Hugging Face Hub, such as image-generation."""
    not_for: ClassVar[str]
    """Uses that a model is not meant for, in a sentence for its card."""
    card_picture: ClassVar[str | None]
    """File of `export_pictures` that a card shows; None for no picture."""

    def make_model(self) -> Model:
        """Make a model with its starting weights."""

    @property
    def what(self) -> str:
        """Describe in a few words what the model does to which images: 'draws mnist images'."""

    @property
    def steps(self) -> str:
        """Number of glimpses in a few words; empty where the model looks once."""

    @property
    def condition(self) -> str:
        """Describe in a few words what the model is conditioned on; empty without a condition."""

    @property
    def units(self) -> str:
        """Units of the losses."""

    def format_score(self, value: float) -> str:
        """Format a score with its unit, for a list.

        Args:
            value: the score.
        """

    def binarization(self, images: ImageSet) -> Binarization:
        """Way in which the pixels of images come to be 0 or 1 before the model sees them."""

    def check(self, images: ImageSet) -> None:
        """Refuse images that the task cannot learn from.

        Args:
            images: images of one split.

        Raises:
            DrawError: if nothing can be learned from the images, with what to do.
        """

    def start_from_data(self, model: nn.Module, training: ImageSet) -> None:
        """Initialise those starting weights that depend on the training images."""

    def needs(self, training: ImageSet) -> Needs:
        """List what a step needs besides images; the batch of `losses` has it."""

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute means over a batch by name; the first is the loss that training minimises."""

    def derive(self, means: Mapping[str, float]) -> dict[str, float]:
        """Derive further numbers from the means of `losses`."""

    def describe(self, values: Mapping[str, Any]) -> str:
        """Format numbers of `losses` or of an evaluation in a few words, for the progress bar."""

    def describe_start(self, model: nn.Module, training: ImageSet) -> str:
        """Describe the model, and what its numbers mean, in lines for the start of a run."""

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
            model: the model, on the device that is to do the work.
            images: images as the model sees them in evaluation (`ImageSet.evaluation_set`).
            accelerator: accelerator that splits the images among its processes.
            on_progress: function called with the number of images done by this process and the
                score so far.
            how: options of the evaluation.

        Raises:
            DrawError: if such images cannot be measured (see `check`), or not with these options.
        """

    def model_input(
        self, images: ImageSet, numbers: Int[np.ndarray, " n"], seed: int = 0
    ) -> ModelInput:
        """Images by number as the model sees them in evaluation."""

    def meaning(self, images: ImageSet) -> str:
        """Describe in words for people what the numbers of an evaluation on such images mean."""

    def facts(self, images: ImageSet, how: Measuring) -> dict[str, Any]:
        """List what else decides the numbers of an evaluation, in plain values."""

    def figures(self, images: ImageSet) -> dict[str, str]:
        """Words by name for those numbers of an evaluation that go on a card.

        In braces they may have names of other numbers of it.
        """

    def remarks(self, model: nn.Module, images: ImageSet) -> dict[str, str]:
        """Further words of a card, by title."""

    def print_result(self, title: str, result: Result) -> None:
        """Print what an evaluation measured as a table."""

    def conclude(self, result: Result) -> str:
        """Summarise the result of the test in a line or two."""

    def glance(self, model: nn.Module, validation: ImageSet, run: Path, step: int) -> None:
        """Draw a picture of what the model does so far, in the run folder."""

    @property
    def picture_names(self) -> tuple[str, ...]:
        """Names of the files that `pictures` makes."""

    def pictures(
        self,
        model: nn.Module,
        run: Path,
        metrics: Sequence[Mapping[str, Any]],
        training: ImageSet,
        test: ImageSet,
    ) -> list[Path]:
        """Draw the pictures of a finished run in its folder; `metrics` are lines for its curves."""

    def plot(self, metrics: Sequence[Mapping[str, Any]], out: Path, *, title: str) -> Path:
        """Plot the curves of a run; see `draw.visualize.curves`."""

    def export_pictures(self, model: nn.Module, test: ImageSet, to: Path) -> None:
        """Draw the pictures of an exported model in its folder."""


@runtime_checkable
class TaskClass(Protocol):
    """The interface of a class of tasks, which is known before there is a run."""

    @property
    def draws(self) -> bool:
        """Whether the models of this task draw: each is a `draw.model.draw.DRAW` or extends it."""

    @property
    def looks(self) -> bool:
        """Whether the models look, then answer: each is a `Classifier` or extends it."""

    def __call__(self, config: Config, model_config: Any, make: Maker) -> Task:
        """Make the task of a run.

        Args:
            config: config of the run.
            model_config: config of the model, which is the run's.
            make: function that makes the model.
        """


def shape_of(config: Config) -> str:
    """Describe in words which images a run is about and their shape."""
    model = config.model
    name = "" if config.data.name == "images" else f"{config.data.name} "
    return f"{name}images of {model.rows}x{model.columns}x{model.channels}"
