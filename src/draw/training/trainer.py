"""The training loop on Accelerate.

The order of the images and all noise are functions of the seed and the step, so a run that was
interrupted and resumed ends with the same bits on the CPU, and two processes make the same updates
as one with the same global batch.
"""

import math
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import proxy

import torch
from accelerate.utils import broadcast, broadcast_object_list
from torch import Tensor, nn
from torch.distributed import all_reduce

from draw.config.run import Config
from draw.data import ImageSet
from draw.errors import CutShort, DrawError, Interruption
from draw.files import remove_file
from draw.kernels.recorder import CudaRecorder
from draw.model.machine import settle
from draw.model.memory import check_batch, ran_out, weightless
from draw.models.kinds import check_loadable, task_for
from draw.program import program
from draw.progress import Bar, progress
from draw.randomness import Stream
from draw.runs.checkpoint import (
    checkpoint_path,
    checkpoints,
    save_tensors,
)
from draw.runs.lock import RunLock
from draw.runs.paths import note_decision
from draw.training.accelerator import make_accelerator
from draw.training.average import Average
from draw.training.budget import Budget
from draw.training.feed import Batcher, Feed, feed_at, resident_on
from draw.training.journal import TENSORBOARD, Journal
from draw.training.learning import freeze_decoder, parameter_groups
from draw.training.memory_advice import too_large
from draw.training.origin import weights_for
from draw.training.pace import Pace
from draw.training.patience import is_at_end, is_out_of_patience, last_step
from draw.training.prefetch import Prefetch
from draw.training.reduction import Reduction
from draw.training.selection import Selection
from draw.training.signals import requests_to_stop
from draw.training.snapshot import go_back, snapshot_of
from draw.training.step import Step, learning_rate_at

LOOK_EVERY = 50
"""Steps after which the host waits for a GPU at the latest: for losses, checkpoints, Ctrl-C."""


class Trainer:
    """A run: model, optimizer, averaged weights, and the folder that holds them.

    Args:
        config: config of the whole run.
        run: the run folder.
        training: images to learn from.
        validation: images to choose the best weights by.
        lock: lock of the folder, if it is held already.
    """

    clock: Callable[[], float] = staticmethod(time.monotonic)
    """Seconds since some moment: what train.minutes and train.checkpoint_minutes go by."""

    def __init__(
        self,
        config: Config,
        run: Path,
        training: ImageSet,
        validation: ImageSet,
        lock: RunLock | None = None,
    ) -> None:
        self.lock = lock or RunLock(run)
        self.config, self.run, self.task = config, run, task_for(config)
        self.training, self.validation = training, validation.evaluation_set()
        asked = settle(config.compute, training=True)
        self.accelerator = make_accelerator(asked, run / TENSORBOARD)
        self.compute = replace(asked, device=self.accelerator.device)
        self.journal = Journal(run, config.train.batch_size, self.accelerator)
        self.selection = Selection(config, self.task, self.validation, self.journal)
        processes = self.accelerator.num_processes
        if config.train.batch_size % processes:
            raise DrawError(
                f"expected train.batch_size to be a multiple of the {processes} processes, got "
                f"{config.train.batch_size}; pass --train.batch-size "
                f"{math.ceil(config.train.batch_size / processes) * processes}"
            )
        self._check_memory()
        torch.manual_seed(config.train.seed)
        self.bare_model = self.task.make_model()
        check_loadable(self.bare_model)
        if config.train.only == "encoder":
            freeze_decoder(self.bare_model)
        if config.train.decoder_dropout and not hasattr(self.bare_model, "encoder"):
            raise DrawError(
                f"expected a model that draws for train.decoder_dropout, got a "
                f"{type(self.bare_model).__name__}, which has no decoder; leave it out"
            )
        self.compute.place(self.bare_model)
        self.average = Average(self.bare_model, config.train.ema_decay)
        parameters = parameter_groups(self.bare_model, config.train)
        adam = torch.optim.AdamW(parameters, lr=0.0, fused=True)
        # no DistributedDataParallel, which would reduce within the backward pass: see `Reduction`
        self.model = self.accelerator.prepare_model(self.bare_model, evaluation_mode=True)
        self.optimizer = self.accelerator.prepare_optimizer(adam)
        broadcast(list(self.bare_model.state_dict().values()))
        self.update_weights = self._step()
        self.stream: Stream = "philox" if self.accelerator.device.type == "cuda" else "numpy"
        """Of the noise: a run keeps the one that it began with."""
        owner: Trainer = proxy(self)  # no cycle: a trainer that is dropped gives its lock back
        self.feed = Prefetch(lambda step: owner._make_feed(step), config.train.steps)
        self.step = self.good = 0
        """Updates that were made; those after which everything was found to be finite."""
        self.seconds = 0.0
        self.sums: dict[str, float] = {}
        self.text = ""
        self.stop_asked = False
        self.pace: Pace | None = None
        """How long its work takes, where that was measured."""
        self.budget = Budget(self.step, self.seconds)

    def _step(self) -> Step:
        """The update of the weights; on a GPU a CUDA graph, of several processes two."""
        accelerator, config = self.accelerator, self.config.train
        device, share = accelerator.device, config.batch_size // accelerator.num_processes
        first = accelerator.process_index * share
        batcher = Batcher(
            self.task.needs(self.training),
            config.seed,
            slice(first, first + share),
            resident_on(device, self.training),
        )
        recorder = CudaRecorder(device) if device.type == "cuda" else None
        processes = accelerator.num_processes
        reduction = Reduction(processes, all_reduce) if processes > 1 else None
        return Step(
            self.model,
            self.bare_model,
            self.optimizer,
            self.average,
            self.task,
            batcher,
            config,
            accelerator,
            recorder,
            reduction,
        )

    def _check_memory(self) -> None:
        """See that the weights, gradient, average and moments fit, and one batch."""
        processes = self.accelerator.num_processes
        weightless(self.task.make_model, copies=5 if processes == 1 else 6)
        share = self.config.train.batch_size // processes
        check_batch(self.config.model, share)

    @property
    def main(self) -> bool:
        """Whether this process writes files and speaks."""
        return bool(self.accelerator.is_main_process)

    @property
    def out_of_patience(self) -> bool:
        """Whether so many evaluations were none better that training ends before its last step."""
        return is_out_of_patience(self.config.train, self.selection.stale)

    @property
    def over(self) -> bool:
        """Whether no step is left to make."""
        return is_at_end(self.config.train, self.step, self.selection.stale)

    def choices(self) -> dict[str, str]:
        """Device, backend and precision of the run, with reasons, and the stream of its noise."""
        return {**self.compute.choices(self.bare_model), "noise": self.stream}

    def start(self, before: nn.Module | None = None) -> None:
        """Initialise the weights that depend on the training images, or take all of another model.

        Args:
            before: model whose weights to take; None for none.

        Raises:
            DrawError: if the weights do not fit.
        """
        if before is None:
            self.task.start_from_data(self.bare_model, self.training)
        else:
            self._take_weights(before)
        self.average.module.load_state_dict(self.bare_model.state_dict())

    def _take_weights(self, before: nn.Module) -> None:
        try:
            there: Any = before.config
            here, model = self.config.model, self.bare_model
            model.load_state_dict(weights_for(here, there, before.state_dict(), model.state_dict()))
        except RuntimeError as error:
            raise DrawError(
                f"the weights of {self.config.train.start_from} (train.start_from) do not fit the "
                f"model: {error}"
            ) from error

    def fit(self) -> None:
        """Train to the last step, or until patience is out (train.patience).

        Ends with `Interruption` after Ctrl-C or SIGTERM, and with `CutShort` at a second Ctrl-C,
        which does not wait for the step to be saved. The run folder is locked meanwhile.

        Raises:
            DrawError: if the loss is no longer finite, a file cannot be written, or another
                process trains in the folder.
        """
        with self.lock, self.compute.products():
            try:
                self._fit()
            except KeyboardInterrupt as stopped:
                if checkpoints(self.run):
                    raise CutShort(self.run, self.step, last_step(self.run)) from stopped
                raise

    def _fit(self) -> None:
        last_saved = self.clock()
        began = last_saved - self.seconds
        self.budget = Budget(self.step, self.seconds, self.pace and self.pace.evaluation)
        if self.main:
            self.journal.open()
            if not checkpoints(self.run):
                self.save()
        bar = progress(
            "train",
            self.config.train.steps,
            done=self.step,
            units_per_item=self.config.train.batch_size,
            enabled=self.main,
        )
        with requests_to_stop(self._ask_to_stop), self.feed, bar as update:
            while not self.over:
                stop = self.one_step()
                self.seconds = self.clock() - began
                if self.config.train.minutes is not None and self.good == self.step:
                    self._keep_to_minutes(update)
                config, last = self.config.train, self.step == self.config.train.steps
                if self.step % config.log_every == 0 or last:
                    self._log_training()
                update(self.step, self.text)
                if self.step % config.evaluate_every == 0 or last:
                    self._evaluate(update)
                    self.seconds = self.clock() - began
                due = self.clock() - last_saved > 60 * config.checkpoint_minutes
                due = due or stop or self.over
                if self.main and due and self.good == self.step:
                    self.save()
                    last_saved = self.clock()
                if stop and not self.over:
                    raise Interruption(self.run, self.step)

    def _keep_to_minutes(self, bar: Bar) -> None:
        """Decide anew how many steps fit into train.minutes, together with all processes."""
        found = [self.budget.steps(self.config, self.step, self.seconds)]
        broadcast_object_list(found)
        (steps,) = found
        if steps == self.config.train.steps:
            return
        train = replace(self.config.train, steps=steps)
        self.config = replace(self.config, train=train)
        self.update_weights.config, self.feed.end = train, steps
        if self.main:
            note_decision(self.run, self.config)
        bar.expect(steps)
        bar.note(f"step {self.step}: at this pace {steps:,} steps fill the minutes")

    def _evaluate(self, bar: Bar) -> None:
        began = self.clock()
        self.selection.evaluate(self.average.module, self.step, bar)
        self.budget.note_evaluation(self.clock() - began)
        bar(self.step, self.text)

    def one_step(self) -> bool:
        """One update of the weights, or an error that says which batch would fit into memory."""
        try:
            return self._one_step()
        except (MemoryError, RuntimeError) as error:
            if not ran_out(error):
                raise
            raise too_large(self, error) from error

    def _one_step(self) -> bool:
        """Update the weights; say whether any process was asked to stop, if it is time to look."""
        self.update_weights(self.step, self.feed(self.step))
        self.step += 1
        return self._look() if self._time_to_look() else False

    def _ask_to_stop(self) -> None:
        self.stop_asked = True

    def _time_to_look(self) -> bool:
        """Whether the host now waits for the device: on a CPU always, since it costs nothing there.

        Several processes look together, so that for them it depends on the step alone.
        """
        config, device = self.config.train, self.accelerator.device
        marks = config.log_every, config.evaluate_every, LOOK_EVERY, config.steps
        alone = self.accelerator.num_processes == 1
        return (
            device.type == "cpu"
            or any(self.step % mark == 0 for mark in marks)
            or (alone and self.stop_asked)
        )

    def _look(self) -> bool:
        """Fetch what the steps came to; says whether any process was asked to stop."""
        totals = self.update_weights.tally.fetch(self.accelerator.gather, self.stop_asked)
        if totals.bad is not None:
            self._refuse_to_go_on(*totals.bad)
        for name, value in totals.sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.good = self.step
        return totals.stop

    def _refuse_to_go_on(self, step: int, values: Mapping[str, float]) -> None:
        config = self.config.train
        came = ", ".join(f"{name} {value}" for name, value in values.items())
        smaller = f"--train.learning-rate {config.learning_rate / 2:.2g}"
        advice = f"Try a smaller step: {smaller}"
        if saved := checkpoints(self.run):
            advice = (
                f"The last good state is {saved[-1]}. Try a smaller step: {program()} train "
                f"--resume {shlex.quote(str(self.run))} {smaller}"
            )
        raise DrawError(
            f"the loss or its gradient is no longer finite at step {step} ({came}, "
            f"learning rate {learning_rate_at(step, config):.2g}). {advice}, or a smaller "
            "--train.clip-norm"
        )

    def _make_feed(self, step: int) -> Feed:
        """What the host hands to a step: this process's share of it."""
        return feed_at(
            step,
            self.training,
            self.update_weights.batcher.needs,
            self.config.train,
            self.update_weights.batcher.own,
            self.stream,
            resident=self.update_weights.batcher.resident is not None,
            pinned=self.accelerator.device.type == "cuda",
        )

    def _log_training(self) -> None:
        count = self.sums.pop("steps")
        means = {name: total / count for name, total in self.sums.items()}
        means |= self.task.derive(means)
        self.sums = {}
        rate = self.step * self.config.train.batch_size / max(self.seconds, 1e-9)
        self.text = self.task.describe(means)
        pace = {
            "learning_rate": learning_rate_at(self.step - 1, self.config.train),
            "seconds": round(self.seconds, 1),
            "images_per_second": round(rate, 1),
        }
        self.journal.write("train", self.step, means | pace)

    def save(self) -> None:
        """Write a checkpoint, and remove those that are older than the ones to keep."""
        save_tensors(checkpoint_path(self.run, self.step), *snapshot_of(self))
        self.remove_old_checkpoints()

    def remove_old_checkpoints(self) -> None:
        """Remove the checkpoints that are older than the ones to keep."""
        for old in checkpoints(self.run)[: -self.config.train.keep_checkpoints]:
            remove_file(old)

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Restore the weights, the moments and the counters that `save` wrote.

        Raises:
            DrawError: if weights or moments do not fit the config or are not finite, or the images
                are other ones.
        """
        go_back(self, tensors, state)
