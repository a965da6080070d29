"""Small runs for the tests of training, evaluation and the command line."""

import dataclasses
import io
import logging
import math
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, TypeVar

import jaxtyping
import numpy as np
import psutil
import pytest
import torch
from accelerate import Accelerator

from draw.cli import main
from draw.config.compute import PLAIN, ComputeConfig
from draw.config.data import DataConfig
from draw.config.model import DRAWConfig
from draw.config.run import Config
from draw.config.train import TrainConfig
from draw.data import ImageSet
from draw.errors import Interruption
from draw.model.machine import settle
from draw.model.recurrent import Recurrent
from draw.tasks import Batch
from draw.training.accelerator import make_accelerator
from draw.training.trainer import Trainer

Network = TypeVar("Network", bound=torch.nn.Module)

TINY_MODEL = DRAWConfig(
    rows=6, columns=5, glimpses=3, hidden_size=8, latent_size=4, read_size=2, write_size=3
)
TINY = Config(
    preset="tiny",
    model=TINY_MODEL,
    data=DataConfig(name="images", binarize="none"),
    train=TrainConfig(
        steps=12,
        batch_size=4,
        learning_rate=0.01,
        warmup_steps=3,
        log_every=2,
        evaluate_every=6,
        ema_decay=0.9,
    ),
    compute=ComputeConfig(precision="fp32"),
)

_SIZES = "--model.glimpses", "2", "--model.hidden-size", "8", "--model.latent-size", "3"
_WINDOWS = "--model.read-size", "2", "--model.write-size", "2"
_TRAINING = (
    *("--train.batch-size", "8", "--train.log-every", "1", "--train.evaluate-images", "20"),
    *("--precision", "fp32"),
)
TINY_DIGITS = (*_SIZES, *_WINDOWS, *_TRAINING)
"""Flags that make `draw train digits` a matter of a second."""
TINY_WITHOUT_WINDOWS = (*_SIZES, *_TRAINING)
"""The same for a model without attention."""


def with_train(config: Config, **changes: Any) -> Config:
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **changes))


def with_compute(config: Config, **changes: Any) -> Config:
    return dataclasses.replace(config, compute=dataclasses.replace(config.compute, **changes))


Steps = TypeVar("Steps", bound=Recurrent)


def on(backend: str, model: Steps) -> Steps:
    """A model that asks for a backend."""
    model.backend = backend
    return model


def plain_accelerator() -> Accelerator:
    """Accelerate on the device that there is, in fp32."""
    return make_accelerator(settle(PLAIN))


def image_set(
    count: int, split: str = "train", *, seed: int = 0, binary: bool = False, channels: int = 1
) -> ImageSet:
    random = np.random.default_rng((seed, count))
    images = random.integers(0, 256, (count, channels, 6, 5), dtype=np.uint8)
    if binary:
        images = np.where(images > 127, 255, 0).astype(np.uint8)
    return ImageSet(
        name="images",
        split=split,
        images=images,
        labels=None,
        source="made by a test",
        fingerprint=f"{split} {seed} {count} {binary}",
        binary=binary,
    )


def batch_of(trainer: Trainer) -> Batch:
    """What the next step of a run learns from."""
    return trainer.update_weights.batcher(trainer.feed(trainer.step), torch.tensor(trainer.step))


def draw_command(
    *arguments: str, cwd: Path, check: int | None = 0, program: str = "draw"
) -> subprocess.CompletedProcess[str]:
    """Run the command line in this process, as it would go in one of its own.

    `check` is the exit status that it has to have, None for any; `program` what was started.

    A process spends more time on importing torch than most commands take. What `main` lets through
    goes through here as well; a warning is an exception, as in every test.
    """
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = _status_of_main(arguments, cwd, program)
    done = subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())
    assert check in (None, done.returncode), done.stdout + done.stderr
    return done


def _status_of_main(
    arguments: tuple[str, ...], cwd: Path, program: str = "draw", **environment: str
) -> int:
    with _as_in_a_process_of_its_own(), chdir(cwd), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [program, *arguments])
        for name, value in {"COLUMNS": "120", **environment}.items():
            patch.setenv(name, value)
        try:
            main()
        except SystemExit as left:
            return left.code if isinstance(left.code, int) else int(left.code is not None)
    return 0


def draw_at_a_terminal(
    *arguments: str, cwd: Path, kind: str, answers: Sequence[tuple[str, str]] = ()
) -> tuple[str, str]:
    """Run the command line in this process; standard input and error are a terminal's.

    Whoever sits there gives each answer once the last line has what it is for.

    Returns:
        Standard output, and what the terminal got since the last answer.
    """
    parent, child = pty.openpty()
    out, seen, left = io.StringIO(), b"", list(answers)

    def sit() -> None:
        nonlocal seen
        with suppress(OSError):  # the other end is closed
            while part := os.read(parent, 4096):
                seen += part
                if left and re.search(left[0][0], seen.decode(errors="replace")):
                    os.write(parent, left.pop(0)[1].encode())
                    seen = b""

    person = threading.Thread(target=sit)
    person.start()
    try:
        with (
            open(child) as given,
            open(os.dup(child), "w", buffering=1) as err,
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr(sys, "stdin", given)
            with redirect_stdout(out), redirect_stderr(err):
                status = _status_of_main(arguments, cwd, TERM=kind)
    finally:
        person.join()
        os.close(parent)
    told = seen.decode(errors="replace")
    assert status == 0, told
    assert not left, told
    return out.getvalue(), told


@contextmanager
def _as_in_a_process_of_its_own() -> Iterator[None]:
    """One thread, no logging set up, and the package's errors instead of the shape checks'."""
    threads, root, package = torch.get_num_threads(), logging.root, logging.getLogger("draw")
    handlers, levels = root.handlers, (root.level, package.level)
    root.handlers = []
    torch.set_num_threads(1)
    disabled = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", disabled)
        torch.set_num_threads(threads)
        root.handlers = handlers
        for logger, level in zip((root, package), levels, strict=True):
            logger.setLevel(level)


def draw_process(
    *arguments: str, cwd: Path, launcher: tuple[str, ...] = ("-m",), check: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does, in a process of its own."""
    return python_process(*launcher, "draw", *arguments, cwd=cwd, check=check)


def python_process(*arguments: str, cwd: Path, check: int = 0) -> subprocess.CompletedProcess[str]:
    """Run Python, and look at how it ends."""
    done = ended(started(*arguments, cwd=cwd))
    assert done.returncode == check, done.stdout + done.stderr
    return done


def started(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """Python at work, in a session of its own: it may start others."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**one_thread(), "PYTHONFAULTHANDLER": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str], seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """How a process ends; one that takes too long ends with all it started, and what it said.

    Its last words are where each thread of each process of it was (PYTHONFAULTHANDLER).
    """
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        stuck = [psutil.Process(process.pid), *children_of(process)]
        for one in stuck:  # all of them, before one sees that another has ended
            with suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGABRT)
        psutil.wait_procs(stuck, timeout=5)
        out, err = stopped(process)
        pytest.fail(f"{process.args!r} took longer than {seconds} seconds:\n{out}{err}")
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def stopped(process: subprocess.Popen[str]) -> tuple[str, str]:
    """End a process and all that it started, if it is still at work; what it said till then."""
    if process.poll() is None:
        for one in [psutil.Process(process.pid), *children_of(process)]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
    return process.communicate()


def children_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """All that a process started, and what those did."""
    return [*psutil.Process(process.pid).children(recursive=True)]


def one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}


def before_each_step(trainer: Trainer, act: Callable[[], None]) -> None:
    """Have something happen before each of a trainer's steps."""
    one_step = trainer._one_step

    def step() -> bool:
        act()
        return one_step()

    trainer._one_step = step  # type: ignore[method-assign]


def stop_after(trainer: Trainer, step: int) -> None:
    """As if Ctrl-C came during a step."""

    def ask() -> None:
        trainer.stop_asked = trainer.step + 1 >= step

    before_each_step(trainer, ask)


def train_until(trainer: Trainer, step: int) -> None:
    """Train, and stop after a step as Ctrl-C does."""
    stop_after(trainer, step)
    with pytest.raises(Interruption):
        trainer.fit()


def poison(trainer: Trainer, step: int) -> None:
    """Put an infinite weight into a model that draws, before a step."""

    def act() -> None:
        if trainer.step == step:
            with torch.no_grad():
                trainer.bare_model.get_parameter("mu.bias")[0] = math.inf

    before_each_step(trainer, act)


def with_normal_weights(model: Network, scale: float) -> Network:
    """A model whose parameters are normal of a standard deviation, always the same."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=random))
    return model
