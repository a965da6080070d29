"""One update of the weights: images and noise, loss, gradient, clipping, AdamW, averaging."""

import logging
import math
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from draw.config.train import TrainConfig
from draw.kernels.graph_state import replaced_code, state_of
from draw.kernels.package_code import same_code
from draw.kernels.recorder import Recorder
from draw.kernels.replay import no_graphs
from draw.tasks import Task
from draw.training.average import Average
from draw.training.feed import Batcher, Feed
from draw.training.reduction import Reduction
from draw.training.tally import Tally

Computation = Callable[[], None]
"""Reads and writes tensors that stay where they are."""

log = logging.getLogger(__name__)
WARM_UP = 3
"""Steps before a recording: libraries choose their algorithms and the optimizer makes its state."""


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """Learning rate at a step (0-based): a linear warm-up, then half a cosine."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    height = config.learning_rate - config.final_learning_rate
    return config.final_learning_rate + height * (1 + math.cos(math.pi * min(1.0, progress))) / 2


class Step:
    """One update of the weights, which never makes the host wait for the device.

    With a recorder everything from the images to the average is one recorded computation: the host
    sets the step's number, its feed, the learning rates and the share of the average, all of them
    tensors, and has it done again. Without one the same function runs as it is. Of several
    processes each has two such computations, up to its gradients and from their mean on; the
    collective between them is never recorded.

    Args:
        model: model as Accelerate has prepared it.
        bare_model: the model itself.
        optimizer: AdamW whose groups have a "share" of the learning rate.
        average: running average of the weights.
        task: says what is learned.
        batcher: makes a batch of a feed.
        config: how to train.
        accelerator: has the device and the precision.
        recorder: None to compute every step in Python.
        reduction: takes the mean over several processes; None for one.
    """

    def __init__(
        self,
        model: nn.Module,
        bare_model: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: Average,
        task: Task,
        batcher: Batcher,
        config: TrainConfig,
        accelerator: Accelerator,
        recorder: Recorder | None = None,
        reduction: Reduction | None = None,
    ) -> None:
        self.model, self.bare_model = model, bare_model
        self.optimizer, self.average, self.task = optimizer, average, task
        self.batcher, self.config, self.accelerator = batcher, config, accelerator
        self.recorder, self.reduction = recorder, reduction
        self.tally = Tally(accelerator.device)
        self._number = torch.zeros((), dtype=torch.int64, device=accelerator.device)
        self._feed: Feed | None = None
        self._replays: dict[Computation, Computation] = {}
        self._recorded: list[Any] = []
        self._replaced: str | None = None
        self._to_warm_up = WARM_UP

    def __call__(self, number: int, feed: Feed) -> None:
        """Make the update of a step.

        Args:
            number: number of the step, from 0.
            feed: the step's own.
        """
        self._number.fill_(number)
        self._seed(number)
        self._take(feed)
        self._set_rates(learning_rate_at(number, self.config))
        self.average.prepare()
        self.tally.count()
        if self.recorder is None:
            self._compute(_run)
        else:
            with no_graphs():  # a backend's own would be a graph within this one
                self._compute(self._recording(self.recorder))

    def _seed(self, number: int) -> None:
        """Seed torch's random numbers, so that a resumed run draws what it would have drawn.

        Nothing of the package draws any; a part of somebody's own, with dropout, does.
        """
        process = self.accelerator.process_index
        seed = zlib.crc32(f"{self.config.seed} {number} {process}".encode())
        torch.default_generator.manual_seed(seed)
        if self.accelerator.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _recording(self, recorder: Recorder) -> Callable[[Computation], None]:
        """What runs a computation: at first the warm-up of a recording, then its replay."""
        state = state_of(self.bare_model)
        if not same_code(state, self._recorded):  # a recording knows no new code nor parameters
            self._replays, self._recorded, self._to_warm_up = {}, state, WARM_UP
            self._replaced = replaced_code(self.bare_model)
            if self._replaced is not None:
                log.warning("the step is slower than it could be: %s", self._replaced)
        if self._replaced is not None:
            return _run
        if self._to_warm_up > 0:
            self._to_warm_up -= 1
            return recorder.warm_up
        return partial(self._replay, recorder)

    def _replay(self, recorder: Recorder, computation: Computation) -> None:
        if computation not in self._replays:
            for group in self.optimizer.param_groups:
                group["capturable"] = True
            try:
                _, self._replays[computation] = recorder.record(computation)
            except RuntimeError as error:
                log.warning("the step is slower than it could be, it was not captured: %s", error)
                self.optimizer.zero_grad()
                self._replays[computation] = computation
        self._replays[computation]()

    def _compute(self, run: Callable[[Computation], None]) -> None:
        if self.reduction is None:
            run(self._whole)
            return
        run(self._own_gradients)
        self.reduction.reduce()
        run(self._with_mean_gradients)

    def _whole(self) -> None:
        self._update(self._differentiate())

    def _own_gradients(self) -> None:
        assert self.reduction is not None  # `_compute` has asked
        self.reduction.gather(self.bare_model, self._differentiate())

    def _with_mean_gradients(self) -> None:
        assert self.reduction is not None
        self._update(self.reduction.scatter(self.bare_model))

    def _differentiate(self) -> dict[str, Tensor]:
        assert self._feed is not None  # `_take` has set it
        losses = self.task.losses(self.model, self.batcher(self._feed, self._number))
        self.accelerator.backward(next(iter(losses.values())))
        return losses

    def _update(self, losses: dict[str, Tensor]) -> None:
        clip = self.config.clip_norm
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), clip)
        self.tally.add(self._number, {**losses, "gradient_norm": norm})
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update(self.bare_model)

    def _take(self, feed: Feed) -> None:
        """Have a feed on the device; for a recording, always in the same tensors."""
        device = self.accelerator.device
        if self.recorder is None or self._feed is None:
            self._feed = Feed(*(_on(device, part, self.recorder is not None) for part in feed))
            return
        for held, part in zip(self._feed, feed, strict=True):
            if held is not None and part is not None:
                held.copy_(part, non_blocking=True)

    def _set_rates(self, rate: float) -> None:
        """Set the learning rates: numbers, or for a recording tensors, one for each share."""
        groups = self.optimizer.param_groups
        if self.recorder is None:
            for group in groups:
                group["lr"] = rate * group["share"]
            return
        if not isinstance(groups[0]["lr"], Tensor):
            # what the fused kernels read: on a GPU float32
            device = self.accelerator.device
            dtype = torch.float32 if device.type == "cuda" else torch.float64
            rates = {
                share: torch.zeros((), dtype=dtype, device=device)
                for share in {group["share"] for group in groups}
            }
            for group in groups:
                group["lr"] = rates[group["share"]]
        for share, held in {group["share"]: group["lr"] for group in groups}.items():
            held.fill_(rate * share)


def _run(computation: Computation) -> None:
    computation()


def _on(device: torch.device, part: Tensor | None, own: bool) -> Tensor | None:
    """A tensor on a device; a copy that nobody else has, where it is to be written to."""
    if part is None:
        return None
    return part.to(device, non_blocking=True, copy=own)
