"""Learning to draw: the bound of eq 12."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Int
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.config.run import Config
from draw.data import ImageSet
from draw.data.batches import binarize, spread, to_unit_interval
from draw.measure.accuracy import check_labels
from draw.measure.bound import Evaluation, evaluate, evaluation_images
from draw.measure.tables import print_evaluation
from draw.model.draw import DRAW
from draw.models.kinds import make_model
from draw.parts.conditions import condition_of
from draw.parts.likelihood import check_pixels, in_bits, meaning
from draw.randomness import BINARIZE_TRAINING, TRAINING, generator
from draw.tasks.task import MEASURING, Batch, Measuring, Result, Shown, seen_in_training
from draw.visualize import sample_grid
from draw.visualize.run import DRAWING_PICTURES, drawing_pictures


class Drawing:
    """A `draw.tasks.Task`: a DRAW model that learns to draw images like those it sees.

    Args:
        config: of the run.
        model_config: its model's.
    """

    score = "bound"

    def __init__(self, config: Config, model_config: DRAWConfig) -> None:
        self.config, self.model_config = config, model_config

    def dynamic(self, images: ImageSet) -> bool:
        """Whether images are drawn as 0 or 1 before the model sees them."""
        return self.config.data.binarize == "dynamic" and not images.binary

    @property
    def takes_labels(self) -> bool:
        """Whether the model is told the class of an image."""
        return bool(condition_of(self.model_config).takes_labels)

    def labels(self, images: ImageSet) -> Int[np.ndarray, " n"] | None:
        """The classes of images for the model, None if it is not told them."""
        return images.labels if self.takes_labels else None

    def make_model(self) -> DRAW:
        """A model of the config's own class, with its starting weights."""
        return cast(DRAW, make_model(self.model_config))

    def check(self, images: ImageSet) -> None:
        """See that the likelihood is one of such pixels; see `check_pixels`."""
        dynamic = self.config.data.binarize == "dynamic"
        check_pixels(self.model_config, binary=images.binary, dynamic=dynamic, source=images.source)
        if self.takes_labels:
            check_labels(images, self.model_config.classes)

    def start_from_data(self, model: nn.Module, training: ImageSet) -> None:
        """Start the canvas at the mean of the training images, so that learning begins with shape.

        # ours: the paper learns c_0 and does not say where it starts.
        """
        canvas_0 = torch.from_numpy(training.mean().clip(0.01, 0.99)).logit()
        with torch.no_grad():
            cast(DRAW, model).canvas_0.copy_(canvas_0)

    def batch(self, training: ImageSet, step: int, own: slice) -> Batch:
        """Images, the noise of eq 6, and their classes where the model is told them."""
        size, seed = self.config.train.batch_size, self.config.train.seed
        seen, labels = seen_in_training(self.config, training, step)
        images = to_unit_interval(seen[own])
        if self.dynamic(training):
            random = generator(seed, BINARIZE_TRAINING, step)
            uniform = random.random((size, *images.shape[1:]), np.float32)[own]
            images = binarize(images, torch.from_numpy(uniform))
        shape = self.model_config.glimpses, size, self.model_config.latent_size
        noise = generator(seed, TRAINING, step).standard_normal(shape, np.float32)[:, own]
        classes = None
        if self.takes_labels:
            assert labels is not None  # `check` has seen them
            classes = torch.from_numpy(labels[own])
        return Batch(images, torch.from_numpy(noise), classes)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The bound and its parts, in nats."""
        output = model(batch.images, batch.noise, batch.labels)
        return {
            "bound": output.bound.mean(),
            "reconstruction": output.reconstruction.mean(),
            "kl": output.kl.sum(1).mean(),
        }

    def derived(self, means: Mapping[str, float]) -> dict[str, float]:
        """The bound in bits per dimension, where it is one of 8-bit pixels."""
        bits = in_bits(self.model_config, means["bound"])
        return {} if bits is None else {"bits_per_dimension": bits}

    def describe(self, values: Mapping[str, Any]) -> str:
        """The bound and its parts."""
        bits = values.get("bits_per_dimension")
        return (
            f"bound {values['bound']:.2f} = reconstruction {values['reconstruction']:.2f} + KL "
            f"{values['kl']:.2f} nats"
            + ("" if bits is None else f", {bits:.3f} bits per dimension")
        )

    def describe_start(self, model: nn.Module, training: ImageSet) -> str:
        """What the nats mean, and which kernel runs."""
        nats = self.meaning(training)
        return f"{nats}\n{self.model_config.glimpses} glimpses; kernel: {cast(DRAW, model).kernel}"

    def evaluate(
        self,
        model: nn.Module,
        images: ImageSet,
        accelerator: Accelerator,
        on_progress: Callable[[int, str], None],
        how: Measuring = MEASURING,
    ) -> Evaluation:
        """The bound; see `draw.measure.bound.evaluate`."""
        self.check(images)
        return evaluate(
            cast(DRAW, model),
            images.images,
            labels=self.labels(images),
            dynamic=self.dynamic(images),
            batch_size=how.batch_size,
            importance_samples=how.importance_samples,
            seed=how.seed,
            accelerator=accelerator,
            on_progress=on_progress,
        )

    def seen(self, images: ImageSet, numbers: Int[np.ndarray, " n"], seed: int = 0) -> Shown:
        """Some images, drawn as 0 or 1 where the model learns from such."""
        x = evaluation_images(images.images, numbers, self.dynamic(images), seed)
        labels = self.labels(images)
        return Shown(x, None if labels is None else torch.from_numpy(labels[numbers]))

    def meaning(self, images: ImageSet) -> str:
        """What the nats are; see `draw.parts.likelihood.meaning`."""
        return meaning(self.model_config, binary=images.binary, dynamic=self.dynamic(images))

    def facts(self, images: ImageSet, how: Measuring) -> dict[str, Any]:
        """Likelihood, binarization and the seed of the noise."""
        binarization = "static" if images.binary else "dynamic" if self.dynamic(images) else "none"
        return {
            "likelihood": self.model_config.likelihood,
            "binarization": binarization,
            "seed": how.seed,
        }

    def print_result(self, title: str, result: Result) -> None:
        """The bound, its parts, the estimate and the KL of each step."""
        print_evaluation(title, cast(Evaluation, result))

    def conclude(self, result: Result) -> str:
        """The test bound, its parts and its standard error."""
        measured = cast(Evaluation, result)
        bits = measured.bits_per_dimension
        return (
            f"test bound {measured.bound:.2f} +- {measured.bound_standard_error:.2f} nats = "
            f"reconstruction {measured.reconstruction:.2f} + KL {measured.kl:.2f} "
            f"({measured.images} images)"
            + ("" if bits is None else f"\n= {bits:.4f} bits per dimension")
        )

    def glance(self, model: nn.Module, validation: ImageSet, run: Path, step: int) -> None:
        """Samples."""
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
        """Samples, drawings step by step, reconstructions, curves."""
        some = test.fixed()
        shown = self.seen(some, spread(some.count, 6))
        meaning = self.meaning(test)
        return drawing_pictures(cast(DRAW, model), run, metrics, training, *shown, meaning)
