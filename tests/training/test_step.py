"""A step is the same whether Python computes it or a recording, and never makes the host wait."""

import dataclasses
import logging
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import draw.model.checks
import draw.model.draw
from draw.config.run import Config
from draw.errors import DrawError, Interruption
from draw.json_files import read_json
from draw.kernels import replay
from draw.models.storage import load_model
from draw.runs.checkpoint import checkpoints, load_tensors
from draw.runs.metrics import read_metrics
from draw.runs.paths import RUN_FILE
from draw.tasks import Needs
from draw.training import trainer as loop
from draw.training.feed import Batcher, feed_at, resident_on
from draw.training.finish import finish
from draw.training.start import resume, resumed_config, start
from draw.training.step import WARM_UP
from draw.training.tally import Tally
from draw.training.trainer import Trainer
from running import TINY, batch_of, before_each_step, image_set, poison, with_compute, with_train
from tape import NoWaiting, Tape

TRAINING, VALIDATION = image_set(10), image_set(7, "validation", seed=1)
REFERENCE = with_compute(TINY, backend="reference")
DYNAMIC = dataclasses.replace(
    REFERENCE, data=dataclasses.replace(REFERENCE.data, binarize="dynamic")
)


def fresh(run: Path, config: Config = REFERENCE) -> Trainer:
    return start(config, run, TRAINING, VALIDATION)


def on_tape(trainer: Trainer) -> Tape:
    trainer.update_weights.recorder = tape = Tape()
    return tape


def test_a_number_that_a_patch_goes_by_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The KL is annealed by a function in a notebook: no recording keeps its first number."""
    divergence, steps = draw.model.draw.kl_divergence, [0]

    def annealed(*given: Any) -> Any:
        return (0.0 if steps[0] >= 6 else 1.0) * divergence(*given)

    monkeypatch.setattr(draw.model.draw, "kl_divergence", annealed)
    ends = []
    for name in ("python", "tape"):
        trainer, steps[0] = fresh(tmp_path / name), 0
        if name == "tape":
            on_tape(trainer)

        def count(trainer: Trainer = trainer) -> None:
            steps[0] = trainer.step

        before_each_step(trainer, count)
        trainer.fit()
        ends.append(trainer.bare_model.state_dict())
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def with_all_images(trainer: Trainer) -> None:
    """As on a GPU that has them."""
    update = trainer.update_weights
    update.batcher = dataclasses.replace(update.batcher, resident=torch.tensor(TRAINING.images))


def final(run: Path) -> dict[str, Any]:
    tensors, state = load_tensors(checkpoints(run)[-1])
    lines = [
        {k: v for k, v in line.items() if k not in ("seconds", "images_per_second")}
        for line in read_metrics(run / "metrics.jsonl")
    ]
    return {**tensors, "best": state["best"], "lines": lines}


def same(one: Path, other: Path) -> None:
    first, second = final(one), final(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        equal = torch.equal if isinstance(value, torch.Tensor) else lambda a, b: a == b
        assert equal(value, second[name]), name


@pytest.mark.parametrize("resident", [False, True], ids=["host", "resident"])
@pytest.mark.parametrize("stream", ["numpy", "philox"])
def test_a_recorded_run_has_the_same_bits(tmp_path: Path, stream: str, resident: bool) -> None:
    for name in ("python", "tape"):
        trainer = fresh(tmp_path / name, DYNAMIC)
        trainer.stream = stream  # type: ignore[assignment]
        if name == "tape":
            tape = on_tape(trainer)
            if resident:
                with_all_images(trainer)
        trainer.fit()
    assert (tape.warm, tape.recordings, tape.replays) == (WARM_UP, 1, TINY.train.steps - WARM_UP)
    same(tmp_path / "python", tmp_path / "tape")


def test_a_recorded_run_goes_on_with_another_learning_rate(tmp_path: Path) -> None:
    changed = with_train(REFERENCE, learning_rate=0.003, window_share=0.2, weight_decay=0.1)
    for name in ("python", "tape"):
        run = tmp_path / name
        trainer = fresh(run)
        first = trainer.update_weights
        tapes = [on_tape(trainer)] if name == "tape" else []

        def stop_at_six(trainer: Trainer = trainer) -> bool:
            trainer.stop_asked = trainer.step == 5
            return Trainer._one_step(trainer)

        trainer._one_step = stop_at_six  # type: ignore[method-assign]
        with pytest.raises(Interruption):
            trainer.fit()
        trainer = resume(resumed_config(run, changed), run, TRAINING, VALIDATION)
        assert trainer.update_weights is not first
        tapes += [on_tape(trainer)] if name == "tape" else []
        trainer.fit()
        assert all(tape.replays == 3 for tape in tapes)
    same(tmp_path / "python", tmp_path / "tape")


def test_a_changed_model_is_recorded_anew(tmp_path: Path) -> None:
    for name in ("python", "tape"):
        trainer = fresh(tmp_path / name)
        tape = on_tape(trainer) if name == "tape" else None
        for step in range(12):
            if step == 6:
                likelihood = trainer.bare_model.likelihood
                forward = likelihood.forward
                likelihood.forward = lambda *given, forward=forward: 2 * forward(*given)
            trainer._one_step()
        assert tape is None or tape.recordings == 2
        trainer.save()
    same(tmp_path / "python", tmp_path / "tape")


def test_what_cannot_be_recorded_runs_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing(Tape):
        def record(self, function: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(torch.Tensor, "backward", self.refuse)
                function()
            raise AssertionError("not reached")

        def refuse(self, *_: object, **__: object) -> None:
            raise RuntimeError("operation not permitted when stream is capturing")

    fresh(tmp_path / "python").fit()
    trainer = fresh(tmp_path / "refused")
    trainer.update_weights.recorder = Refusing()
    with caplog.at_level(logging.WARNING, "draw"):
        trainer.fit()
    assert caplog.text.count("it was not captured: operation not permitted") == 1
    same(tmp_path / "python", tmp_path / "refused")


@pytest.mark.parametrize("taped", [False, True])
def test_a_recording_holds_no_graphs_of_a_backend(
    tmp_path: Path, taped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, allowed = fresh(tmp_path / "run"), []
    losses = trainer.task.losses

    def watched(*given: Any) -> dict[str, torch.Tensor]:
        allowed.append(replay._capturing.get())
        return losses(*given)

    monkeypatch.setattr(trainer.task, "losses", watched)
    if taped:
        on_tape(trainer)
    trainer.fit()
    assert set(allowed) == {not taped}


@pytest.mark.parametrize("stream", ["numpy", "philox"])
def test_the_host_never_waits_for_a_step(
    tmp_path: Path, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = fresh(tmp_path / "run", DYNAMIC)
    trainer.stream = stream  # type: ignore[assignment]
    on_tape(trainer)
    feeds = [trainer.feed(step) for step in range(5)]
    # On a CPU the range of pixels is looked at in every step, which costs nothing there.
    monkeypatch.setattr(draw.model.checks, "check_unit_interval", lambda images: None)
    with NoWaiting():
        for step, feed in enumerate(feeds):
            trainer.update_weights(step, feed)
    with NoWaiting(), pytest.raises(AssertionError, match="the host waits for"):
        trainer._look()


def looking_every(trainer: Trainer, steps: int) -> None:
    """As on a GPU, where the host looks now and then."""
    last = trainer.config.train.steps
    trainer._time_to_look = lambda: trainer.step % steps == 0 or trainer.step == last  # type: ignore[method-assign]


def test_sums_are_the_same_however_often_the_host_looks(tmp_path: Path) -> None:
    config = with_train(REFERENCE, log_every=6)
    fresh(tmp_path / "always", config).fit()
    trainer = fresh(tmp_path / "now and then", config)
    looking_every(trainer, 3)
    trainer.fit()
    one, other = (
        read_metrics(tmp_path / name / "metrics.jsonl") for name in ("always", "now and then")
    )
    for first, second in zip(one, other, strict=True):
        for name in ("bound", "kl", "gradient_norm", "reconstruction"):
            if name in first:
                assert second[name] == pytest.approx(first[name], rel=1e-12)


def test_nothing_is_kept_of_steps_that_turn_out_not_to_be_finite(tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = with_train(REFERENCE, checkpoint_minutes=1e-9, evaluate_every=4, log_every=4)
    trainer = fresh(run, config)
    looking_every(trainer, 4)
    poison(trainer, 5)
    with pytest.raises(DrawError, match=r"no longer finite at step 5 \(bound .*step-00000004"):
        trainer.fit()
    assert trainer.step == 8
    tensors, state = load_tensors(checkpoints(run)[-1])
    assert state["step"] == 4
    assert all(value.isfinite().all() for value in tensors.values())
    assert load_model(str(run)).state["step"] == 4
    assert read_metrics(run / "metrics.jsonl")[-1]["step"] == 4
    resume(resumed_config(run), run, TRAINING, VALIDATION).fit()


@pytest.mark.parametrize(
    ("device", "processes", "stop_asked", "looked"),
    [
        ("cpu", 1, False, list(range(1, 13))),
        ("cpu", 2, False, list(range(1, 13))),
        ("cuda", 1, False, [5, 7, 10, 12]),
        ("cuda", 2, True, [5, 7, 10, 12]),
        ("cuda", 1, True, list(range(1, 13))),
    ],
)
def test_the_host_looks_at_a_gpu_where_it_has_to(
    tmp_path: Path, device: str, processes: int, stop_asked: bool, looked: list[int]
) -> None:
    trainer = fresh(tmp_path / "run", with_train(REFERENCE, log_every=5, evaluate_every=7))
    trainer.accelerator = SimpleNamespace(  # type: ignore[assignment]
        device=torch.device(device), num_processes=processes
    )
    trainer.stop_asked = stop_asked
    found = []
    for trainer.step in range(1, 13):
        found += [trainer.step] if trainer._time_to_look() else []
    assert found == looked


def test_the_host_looks_at_a_gpu_within_a_number_of_steps(tmp_path: Path) -> None:
    rare = with_train(REFERENCE, log_every=10**6, evaluate_every=10**6, steps=10**6)
    trainer = fresh(tmp_path / "run", rare)
    trainer.accelerator = SimpleNamespace(  # type: ignore[assignment]
        device=torch.device("cuda"), num_processes=2
    )
    trainer.step = loop.LOOK_EVERY
    assert trainer._time_to_look()


def gathering(*others: list[float]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Rows of other processes below one's own."""
    return lambda row: torch.cat([row, *(torch.tensor([other]) for other in others)])


def test_totals_are_those_of_all_processes() -> None:
    tally = Tally(torch.device("cpu"))
    for step in range(3):
        tally.add(torch.tensor(step), {"bound": torch.tensor(2.0), "norm": torch.tensor(1.0)})
        tally.count()
    totals = tally.fetch(gathering([1.0, -1.0, 12.0, 5.0, 0.0, 0.0]), False)
    assert totals == ({"bound": 9.0, "norm": 4.0, "steps": 3.0}, True, None)
    assert tally.fetch(gathering(), False) == (
        {"bound": 0.0, "norm": 0.0, "steps": 0.0},
        False,
        None,
    )
    assert tally.fetch(gathering(), True).stop


def test_the_first_step_that_is_not_finite_is_kept_whichever_process_had_it() -> None:
    tally = Tally(torch.device("cpu"))
    for step, value in enumerate((1.0, math.inf, math.nan, 4.0)):
        tally.add(torch.tensor(step), {"bound": torch.tensor(value), "norm": torch.tensor(1.0)})
    other = [0.0, 1.0, 12.0, 5.0, 7.0, math.inf]
    assert tally.fetch(gathering(), False).bad == (1, {"bound": math.inf, "norm": 1.0})
    assert tally.fetch(gathering(other), False).bad == (1, {"bound": 7.0, "norm": math.inf})
    assert tally.fetch(gathering(), False).bad is None


def test_a_run_keeps_the_stream_of_its_noise(tmp_path: Path, capsys) -> None:
    straight = fresh(tmp_path / "straight", DYNAMIC)
    straight.stream = "philox"
    straight.fit()
    run = tmp_path / "run"
    trainer = fresh(run, DYNAMIC)
    assert read_json(run / RUN_FILE)["made"]["compute"]["noise"] == "numpy"
    trainer.stream, trainer.stop_asked = "philox", True
    with pytest.raises(Interruption):
        trainer.fit()
    resumed = resume(resumed_config(run), run, TRAINING, VALIDATION)
    assert resumed.stream == "philox"
    assert read_json(run / RUN_FILE)["made"]["resumed"][0]["compute"]["noise"] == "philox"
    finish(resumed, image_set(5, "test"))
    assert capsys.readouterr().out.splitlines()[0].endswith("; noise philox")
    for name in ("model.canvas_0", "average.mu.bias"):
        assert torch.equal(final(run)[name], final(tmp_path / "straight")[name])


def test_each_step_has_philox_noise_of_its_own(tmp_path: Path, monkeypatch) -> None:
    trainer, noises = fresh(tmp_path / "run", with_train(REFERENCE, steps=3)), []
    trainer.stream = "philox"
    losses = trainer.task.losses

    def watched(model: Any, batch: Any) -> dict[str, torch.Tensor]:
        noises.append(batch.noise)
        return losses(model, batch)

    monkeypatch.setattr(trainer.task, "losses", watched)
    trainer.fit()
    for trainer.step in range(3):
        assert torch.equal(noises[trainer.step], batch_of(trainer).noise)
    assert len(torch.stack(noises).unique()) == torch.stack(noises).numel()


def test_checkpoints_of_before_there_were_two_streams_go_on_with_numpys(tmp_path: Path) -> None:
    trainer = fresh(tmp_path / "run")
    trainer.save()
    tensors, state = load_tensors(checkpoints(tmp_path / "run")[-1])
    assert state.pop("noise") == "numpy"
    trainer.stream = "philox"
    trainer.restore(tensors, state)
    assert trainer.stream == "numpy"


def test_philox_gives_each_process_its_share(tmp_path: Path) -> None:
    trainer = fresh(tmp_path / "run", DYNAMIC)
    trainer.stream = "philox"
    batcher = trainer.update_weights.batcher
    trainer.step = 3
    whole, shares = batch_of(trainer), []
    for own in (slice(0, 1), slice(1, 4)):
        trainer.update_weights.batcher = dataclasses.replace(batcher, own=own)
        shares.append(batch_of(trainer))
    assert torch.equal(whole.images, torch.cat([share.images for share in shares]))
    assert torch.equal(whole.noise, torch.cat([share.noise for share in shares], 1))
    assert set(whole.images.unique().tolist()) == {0.0, 1.0}


def test_philox_binarizes_grey_pixels_by_their_value() -> None:
    config = with_train(TINY, batch_size=10).train
    needs = Needs(noise=None, binarize=True, labels=False)
    batcher, drawn = Batcher(needs, 0, slice(0, 10)), []
    for step in range(300):
        feed = feed_at(
            step, TRAINING, needs, config, slice(0, 10), "philox", resident=False, pinned=False
        )
        order = torch.from_numpy(np.argsort(np.asarray(feed.images).sum((1, 2, 3))))
        drawn.append(batcher(feed, torch.tensor(step)).images[order])
    expected = TRAINING.images[np.argsort(TRAINING.images.sum((1, 2, 3)))] / 255
    difference = (torch.stack(drawn).mean(0) - torch.from_numpy(expected)).abs().max()
    assert difference < 5 * 0.5 / math.sqrt(300)


def test_images_are_where_they_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = torch.device("meta")
    free = 4 * TRAINING.images.nbytes
    monkeypatch.setattr("draw.training.feed._free", lambda device: free)
    found = resident_on(nowhere, TRAINING)
    assert found is not None
    assert (found.shape, found.dtype) == (TRAINING.images.shape, torch.uint8)
    assert resident_on(torch.device("cpu"), TRAINING) is None
    assert resident_on(nowhere, dataclasses.replace(TRAINING, augment=("shift",))) is None
    free -= 1
    assert resident_on(nowhere, TRAINING) is None


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_step_is_the_same_with_all_images_on_the_device(dropout: float) -> None:
    labelled = dataclasses.replace(TRAINING, labels=np.arange(10) % 3)
    needs = Needs(noise=None, binarize=False, labels=True, label_dropout=dropout)
    own, batches = slice(1, 4), []
    for held in (None, torch.tensor(labelled.images)):
        feed = feed_at(
            5, labelled, needs, TINY.train, own, "numpy", resident=held is not None, pinned=False
        )
        batches.append(Batcher(needs, 0, own, held)(feed, torch.tensor(5)))
    assert torch.equal(batches[0].images, batches[1].images)
    assert torch.equal(batches[0].labels, batches[1].labels)
