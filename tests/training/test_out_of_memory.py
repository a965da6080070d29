"""Running out of memory in a step of training says which batch would fit."""

import sys
from pathlib import Path

import pytest
import torch

from draw.model.memory import TooLargeError, batch_that_fits, saved_per_image
from draw.training import memory_advice
from draw.training.start import start
from draw.training.trainer import Trainer
from running import TINY, batch_of, draw_command, image_set, on, with_train


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return start(with_train(TINY, batch_size=64), tmp_path / "run", image_set(8), image_set(4))


def run_out(*_: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore words")


@pytest.mark.parametrize("images", [10, 40])
def test_the_batch_that_fits_is_named(trainer: Trainer, images: int, monkeypatch) -> None:
    weights = sum(value.nbytes for value in trainer.bare_model.parameters())
    batch = batch_of(trainer)
    per_image = saved_per_image(
        lambda n: trainer.task.losses(
            on("reference", trainer.bare_model), memory_advice._first(batch, n)
        )
    )
    there = int((5 * weights + (images + 0.5) * per_image) / 0.8)
    monkeypatch.setattr(memory_advice, "memory_of", lambda device: there)
    monkeypatch.setattr(trainer, "_one_step", run_out)
    fits = {10: 8, 40: 32}[images]
    said = rf"cpu ran out of memory at step 0 with 64 .*--train\.batch-size {fits} \(CUDA out of"
    with pytest.raises(TooLargeError, match=said) as error:
        trainer.fit()
    assert "more words" not in str(error.value)
    assert isinstance(error.value.__cause__, torch.OutOfMemoryError)


@pytest.mark.parametrize("verb", [("evaluate", "run"), ("compare", "run", "run")])
def test_a_measurement_says_what_to_take(
    trainer: Trainer, verb: tuple[str, ...], tmp_path: Path, monkeypatch
) -> None:
    trainer.save()
    trainer.lock.release()
    for verb_module in ("compare", "measurement"):
        module = sys.modules[f"draw.cli.{verb_module}"]
        monkeypatch.setattr(module, "images_for", lambda *_: (image_set(4), trainer.task))
    monkeypatch.setattr(type(trainer.task), "evaluate", run_out)
    told = draw_command(*verb, "--batch-size", "100", cwd=tmp_path, check=1).stderr
    assert "100 images at a time do not fit into memory; pass --batch-size 50 (CUDA" in told


def test_where_not_one_image_fits_that_is_said(trainer: Trainer, monkeypatch) -> None:
    monkeypatch.setattr(memory_advice, "memory_of", lambda device: 1000)
    monkeypatch.setattr(trainer, "_one_step", run_out)
    with pytest.raises(TooLargeError, match="not even one fits: choose smaller sizes"):
        trainer.fit()


def test_other_errors_are_left_alone(trainer: Trainer, monkeypatch) -> None:
    def fail() -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(trainer, "_one_step", fail)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        trainer.fit()


def test_what_is_kept_of_an_image_is_counted() -> None:
    weight = torch.ones(5, requires_grad=True)

    def loss(images: int) -> torch.Tensor:
        x = torch.rand(images, 5)
        return (x * weight).exp().sum()  # keeps x, and the exponential

    assert saved_per_image(loss) == 2 * 5 * 4


@pytest.mark.parametrize(
    ("tried", "there", "expected"),
    [(128, 1_000_000, 64), (128, 20_000, 8), (128, 2_000, 0), (1, 1_000_000, 0)],
)
def test_a_smaller_batch_is_advised_always(tried: int, there: int, expected: int) -> None:
    assert batch_that_fits(tried, per_image=1_000, weights=1_000, there=there) == expected
