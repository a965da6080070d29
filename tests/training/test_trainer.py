"""Training: the schedule, the average, resuming bit by bit, and everything that can go wrong."""

import dataclasses
import errno
import json
import math
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

from draw.config.compute import ComputeConfig
from draw.config.model import ClassifierConfig, ConvDRAWConfig, DRAWConfig
from draw.config.run import Config
from draw.data.batches import batch_indices
from draw.errors import CutShort, DrawError, Interruption
from draw.json_files import read_json
from draw.model.classifier import Classifier
from draw.model.draw import DRAW
from draw.model.machine import settle
from draw.models.kinds import make_model, run_config
from draw.models.storage import load_model
from draw.parts.priors import PRIORS
from draw.parts.priors.learned import LearnedPrior
from draw.runs.checkpoint import checkpoints, load_tensors
from draw.runs.metrics import read_metrics
from draw.training import selection
from draw.training.finish import finish
from draw.training.origin import PARTS, check_sizes, describe_origin, weights_for
from draw.training.start import resume, resumed_config, start
from draw.training.trainer import Trainer, learning_rate_at
from running import (
    TINY,
    batch_of,
    before_each_step,
    image_set,
    poison,
    stop_after,
    train_until,
    with_compute,
    with_train,
)

TRAINING, VALIDATION = image_set(10), image_set(7, "validation", seed=1)


def fresh(run: Path, config: Config = TINY) -> Trainer:
    return start(config, run, TRAINING, VALIDATION)


def again(run: Path, config: Config | None = None) -> Trainer:
    return resume(resumed_config(run, config), run, TRAINING, VALIDATION)


def final_state(run: Path) -> dict[str, torch.Tensor]:
    return load_tensors(checkpoints(run)[-1])[0]


def without_times(line: dict[str, object]) -> dict[str, object]:
    return {k: v for k, v in line.items() if k not in ("seconds", "images_per_second")}


def test_learning_rate_rises_linearly_and_falls_along_half_a_cosine() -> None:
    config = with_train(TINY, steps=110, warmup_steps=10, learning_rate=0.4).train
    assert learning_rate_at(0, config) == pytest.approx(0.04)
    assert learning_rate_at(9, config) == pytest.approx(0.4)
    assert learning_rate_at(60, config) == pytest.approx(0.2)
    assert learning_rate_at(110, config) == pytest.approx(0.0)


@pytest.mark.parametrize(("steps", "warned"), [(3, True), (12, False)])
def test_a_rate_that_would_never_be_reached_is_told_of(
    steps: int, warned: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = with_train(TINY, steps=steps, warmup_steps=6, learning_rate=0.25)
    with caplog.at_level("WARNING", "draw"):
        trainer = start(config, tmp_path / "run", TRAINING, VALIDATION)
        trainer.lock.release()
    assert ("the learning rate rises for 6 steps" in caplog.text) == warned
    if warned:
        assert "never comes to 0.25 nor falls to 0; pass --train.warmup-steps 0" in caplog.text


def test_learning_rate_ends_where_it_is_told_to() -> None:
    config = with_train(TINY, learning_rate=0.4, final_learning_rate=0.1).train
    assert learning_rate_at(config.steps, config) == pytest.approx(0.1)


def test_training_lowers_the_bound(tmp_path: Path) -> None:
    config = with_train(TINY, steps=60, evaluate_every=30)
    fresh(tmp_path / "run", config).fit()
    bounds = [line["bound"] for line in read_metrics(tmp_path / "run" / "metrics.jsonl")]
    assert np.mean(bounds[-5:]) < bounds[0] - 0.5


def test_metrics_are_means_over_the_steps_between_lines(tmp_path: Path) -> None:
    fresh(tmp_path / "one", with_train(TINY, log_every=1)).fit()
    fresh(tmp_path / "four", with_train(TINY, log_every=4)).fit()
    each, grouped = (
        [
            line["bound"]
            for line in read_metrics(tmp_path / run / "metrics.jsonl")
            if line["kind"] == "train"
        ]
        for run in ("one", "four")
    )
    assert len(grouped) == 3
    assert grouped == pytest.approx(np.reshape(each, (3, 4)).mean(1))


def test_an_update_is_adam_on_the_clipped_gradient_of_the_mean_bound(tmp_path: Path) -> None:
    config = with_train(TINY, steps=1, clip_norm=0.5, warmup_steps=0)
    trainer = fresh(tmp_path / "run", config)
    model = DRAW(config.model)
    model.load_state_dict(trainer.bare_model.state_dict())
    images, noise, *_ = batch_of(trainer)
    trainer.fit()

    adam = torch.optim.Adam(model.parameters(), lr=config.train.learning_rate)
    model(images, noise).bound.mean().backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    assert norm > 0.5
    adam.step()
    for name, value in trainer.bare_model.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-5, atol=1e-7)


def one_update(
    run: Path, **settings: object
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Weights before and after one update at the full step size, always from the same weights."""
    trainer = fresh(run, with_train(TINY, steps=1, warmup_steps=0, **settings))
    before = {name: value.clone() for name, value in trainer.bare_model.state_dict().items()}
    trainer.fit()
    return before, trainer.bare_model.state_dict()


def test_weight_decay_shrinks_weights_and_nothing_else(tmp_path: Path) -> None:
    before, plain = one_update(tmp_path / "plain")
    _, decayed = one_update(tmp_path / "decayed", weight_decay=3.0)
    for name, value in plain.items():
        taken = 3.0 * TINY.train.learning_rate * before[name] if ".weight" in name else 0.0
        torch.testing.assert_close(decayed[name], value - taken, rtol=1e-5, atol=1e-7)
    assert {name for name in before if ".weight" not in name} >= {"canvas_0", "mu.bias"}


def test_windows_take_their_share_of_the_step(tmp_path: Path) -> None:
    before, plain = one_update(tmp_path / "plain")
    _, shared = one_update(tmp_path / "shared", window_share=0.2)
    windows = {
        f"attention.{kind}_window.{part}"
        for kind in ("read", "write")
        for part in ("weight", "bias")
    }
    for name, value in plain.items():
        expected = (0.2 if name in windows else 1.0) * (value - before[name])
        torch.testing.assert_close(shared[name] - before[name], expected, rtol=1e-3, atol=1e-7)
    assert windows <= before.keys()


def test_a_share_for_windows_that_there_are_not_is_refused(tmp_path: Path) -> None:
    model = dataclasses.replace(TINY.model, attention="none")
    config = with_train(dataclasses.replace(TINY, model=model), window_share=0.2)
    message = r"train\.window_share 1 for a DRAW without windows, got 0\.2.*--train\.window-share 1"
    with pytest.raises(DrawError, match=message):
        fresh(tmp_path / "run", config)
    assert not (tmp_path / "run").exists()
    fresh(tmp_path / "run", with_train(config, window_share=1.0))


def test_the_average_starts_unbiased_and_lags_behind_the_weights(tmp_path: Path) -> None:
    trainer = fresh(tmp_path / "run", with_train(TINY, steps=3))
    history = []
    one_step = trainer._one_step

    def watched() -> bool:
        stop = one_step()
        history.append(trainer.bare_model.canvas_0.detach().clone())
        return stop

    trainer._one_step = watched  # type: ignore[method-assign]
    trainer.fit()
    expected = history[0]
    for n, weights in enumerate(history[1:], 1):
        decay = min(TINY.train.ema_decay, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * weights
    torch.testing.assert_close(trainer.average.module.canvas_0, expected)


def test_best_weights_are_those_with_the_lowest_validation_bound(tmp_path: Path) -> None:
    run = tmp_path / "run"
    fresh(
        run,
        with_train(
            TINY,
            learning_rate=0.5,
            final_learning_rate=0.5,
            evaluate_every=1,
            warmup_steps=0,
            ema_decay=0.0,
        ),
    ).fit()
    bounds = {
        line["step"]: line["bound"]
        for line in read_metrics(run / "metrics.jsonl")
        if line["kind"] == "validation"
    }
    state = load_model(str(run)).state
    assert state["step"] == min(bounds, key=bounds.__getitem__)
    assert state["validation_bound"] == min(bounds.values())
    assert state["step"] != max(bounds)


def test_interrupted_and_resumed_ends_with_the_same_bits(tmp_path: Path) -> None:
    fresh(tmp_path / "straight").fit()
    run = tmp_path / "interrupted"
    for step in (5, 8, None):
        trainer = fresh(run) if step == 5 else again(run)
        if step is None:
            trainer.fit()
        else:
            stop_after(trainer, step)
            with pytest.raises(Interruption, match=f"stopped at step {step}.*--resume {run}"):
                trainer.fit()
    straight, resumed = final_state(tmp_path / "straight"), final_state(run)
    assert straight.keys() == resumed.keys()
    assert any(name.startswith("optimizer") for name in straight)
    for name, value in straight.items():
        assert torch.equal(value, resumed[name]), name
    lines = [
        [without_times(line) for line in read_metrics(folder / "metrics.jsonl")]
        for folder in (tmp_path / "straight", run)
    ]
    assert lines[0] == lines[1]


def test_what_is_changed_on_resuming_is_written_down_and_stays(tmp_path: Path) -> None:
    run = tmp_path / "run"
    trainer = fresh(run)
    train_until(trainer, 5)
    made = read_json(run / "run.json")["made"]
    longer = with_train(TINY, steps=TINY.train.steps + 3)
    for config, step in ((longer, 6), (None, 8)):
        trainer = again(run, config)
        assert run_config(run) == longer
        stop_after(trainer, step)
        with pytest.raises(Interruption):
            trainer.fit()
    again(run).fit()
    assert checkpoints(run)[-1].stem == f"step-{longer.train.steps:08d}"
    noted = read_json(run / "run.json")["made"]
    resumed = noted.pop("resumed")
    assert noted == made
    assert [(note["step"], note["changes"]) for note in resumed] == [
        (5, {"train.steps": [TINY.train.steps, longer.train.steps]}), (6, {}), (8, {}),
    ]  # fmt: skip
    assert all(note["command"] == made["command"] for note in resumed)


def test_a_place_given_on_resuming_is_written_down_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = interrupted(tmp_path / "run")
    (tmp_path / "pictures").mkdir()
    monkeypatch.chdir(tmp_path)
    again(run, dataclasses.replace(TINY, data=dataclasses.replace(TINY.data, path="pictures")))
    assert run_config(run).data.path == str(tmp_path / "pictures")


def test_a_run_can_go_on_from_an_earlier_checkpoint(tmp_path: Path) -> None:
    config = with_train(TINY, checkpoint_minutes=1e-9, keep_checkpoints=20)
    run = tmp_path / "run"
    fresh(run, config).fit()
    straight = final_state(run)
    checkpoints(run)[-1].write_bytes(b"damaged")
    resume(config, checkpoints(run)[5], TRAINING, VALIDATION).fit()
    assert [path.stem for path in checkpoints(run)][-1] == "step-00000012"
    assert all(torch.equal(value, final_state(run)[name]) for name, value in straight.items())


def best_of(folder: Path) -> int:
    return int(load_tensors(folder / "model.safetensors")[1]["step"])


def worsening(run: Path) -> Config:
    """The config of a run that was stopped after step 2, its best weights being of step 1."""
    config = with_train(
        TINY, learning_rate=0.5, final_learning_rate=0.5, evaluate_every=1, warmup_steps=0,
        ema_decay=0.0, checkpoint_minutes=1e-9, keep_checkpoints=20,
    )  # fmt: skip
    train_until(fresh(run, config), 2)
    assert best_of(run / "best") == 1
    return config


def test_best_weights_of_a_later_step_make_room_for_those_of_the_branch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    config = worsening(run)
    content = (run / "best" / "model.safetensors").read_bytes()
    trainer = resume(config, checkpoints(run)[0], TRAINING, VALIDATION)
    assert (trainer.selection.best, trainer.selection.stale) == (None, 0)
    assert "are of step 1, and it goes on from step 0: the best are chosen anew" in caplog.text
    train_until(trainer, 2)
    assert best_of(run / "best") == 1, "the same steps lead to the same weights"
    assert not list(run.glob("best-of*"))
    config = with_train(config, learning_rate=0.4, final_learning_rate=0.4)
    train_until(resume(config, checkpoints(run)[0], TRAINING, VALIDATION), 1)
    aside = run / "best-of-step-00000001"
    assert load_model(str(aside)).state["step"] == best_of(run / "best") == 1
    assert (run / "best" / "model.safetensors").read_bytes() != content
    config = with_train(config, learning_rate=0.3, final_learning_rate=0.3)
    train_until(resume(config, checkpoints(run)[0], TRAINING, VALIDATION), 1)
    assert best_of(run / "best-of-step-00000001-2") == 1


def test_best_weights_of_an_earlier_step_stay(tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = worsening(run)
    score = load_model(str(run)).state["validation_bound"]
    trainer = again(run, config)
    assert (trainer.selection.best, trainer.selection.stale) == (score, 1)
    assert best_of(run / "best") == 1


@pytest.mark.parametrize(("images", "anew"), [(VALIDATION.count, False), (900, False), (3, True)])
def test_best_weights_of_another_measurement_make_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, images: int, anew: bool
) -> None:
    run = tmp_path / "run"
    config = worsening(run)
    for _ in range(2):  # killed before it makes a step, it is still so
        trainer = again(run, with_train(config, evaluate_images=images, patience=1))
        assert (trainer.selection.best is None) == anew
        assert trainer.over != anew, "nor do those evaluations count for its patience"
        assert best_of(run / "best") == 1
        trainer.lock.release()
    told = f"chosen on {VALIDATION.count} validation images, and it goes on with {images}: the"
    assert (told in caplog.text) == anew
    if anew:
        train_until(trainer, 3)
        assert best_of(run / "best") == 3
        assert best_of(run / "best-of-step-00000001") == 1


def test_a_run_at_its_end_keeps_its_best_weights(tmp_path: Path) -> None:
    """No evaluation comes that would choose others: its test alone is left to make."""
    run = tmp_path / "run"
    fresh(run).fit()
    trainer = again(run, with_train(TINY, evaluate_images=3))
    assert trainer.over
    assert (run / "best").exists()
    assert trainer.selection.best is not None


def test_all_processes_hold_to_the_best_weights_that_the_first_one_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in another process, which may see other files, and which does nothing to them."""
    run = tmp_path / "run"
    config = worsening(run)
    (run / "best" / "model.safetensors").write_bytes(b"")
    first = Trainer(config, run, TRAINING, VALIDATION)
    told: list[object] = []
    monkeypatch.setattr(selection, "broadcast_object_list", told.extend)
    first.selection.best, first.selection.stale = 3.0, 2
    first.selection.set_back(5, config)
    assert told == [(None, 0)]
    monkeypatch.setattr(selection.Selection, "_counts_no_more", None)
    monkeypatch.setattr(selection, "broadcast_object_list", lambda out: out.__setitem__(0, told[0]))
    accelerator = SimpleNamespace(is_main_process=False)
    first.journal.accelerator = accelerator  # type: ignore[assignment]
    first.selection.best, first.selection.stale = 3.0, 2
    first.selection.set_back(5, config)
    assert (first.selection.best, first.selection.stale) == (None, 0)


def test_two_runs_with_one_seed_are_equal_and_with_another_are_not(tmp_path: Path) -> None:
    for run, seed in (("a", 0), ("b", 0), ("c", 1)):
        fresh(tmp_path / run, with_train(TINY, seed=seed)).fit()
    a, b, c = (final_state(tmp_path / run)["model.canvas_0"] for run in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_noise_is_fresh_for_every_step_of_training_and_every_glimpse(tmp_path: Path) -> None:
    trainer = fresh(tmp_path / "run")
    _, first, *_ = batch_of(trainer)
    trainer.step = 1
    _, second, *_ = batch_of(trainer)
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_dynamic_binarization_draws_grey_pixels_anew_each_time(tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, data=dataclasses.replace(TINY.data, binarize="dynamic"))
    config = with_train(config, batch_size=TRAINING.count)
    trainer = start(config, tmp_path / "run", TRAINING, VALIDATION)
    batches = []
    for epoch in range(300):
        trainer.step = epoch
        order = np.argsort(batch_indices(0, epoch, TRAINING.count, TRAINING.count))
        batches.append(batch_of(trainer)[0][order])
    drawn = torch.stack(batches)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    grey = torch.from_numpy(TRAINING.images).float() / 255
    assert (drawn.mean(0) - grey).abs().max() < 5 * 0.5 / math.sqrt(300)


def test_static_images_pass_dynamic_binarization_unchanged(tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, data=dataclasses.replace(TINY.data, binarize="dynamic"))
    binary = image_set(10, binary=True)
    trainer = start(config, tmp_path / "run", binary, VALIDATION)
    assert trainer.task.binarization(binary) == "static"
    images, *_ = batch_of(trainer)
    indices = batch_indices(0, 0, config.train.batch_size, 10)
    assert torch.equal(images, torch.from_numpy(binary.images[indices]).float() / 255)


def test_the_canvas_starts_at_the_mean_image(tmp_path: Path) -> None:
    trainer = fresh(tmp_path / "run")
    mean = torch.from_numpy(TRAINING.images / 255).mean(0)
    for model in (trainer.bare_model, trainer.average.module):
        torch.testing.assert_close(model.canvas_0.sigmoid().double(), mean)


def test_a_run_can_start_from_the_weights_of_another_with_fewer_glimpses(tmp_path: Path) -> None:
    before, folder = TINY.model, tmp_path / "before"
    fresh(folder).fit()
    train = dataclasses.replace(TINY.train, start_from=str(folder))
    model = dataclasses.replace(before, glimpses=before.glimpses + 2)
    trainer = fresh(tmp_path / "after", dataclasses.replace(TINY, model=model, train=train))
    best = load_model(str(folder)).model.state_dict()
    for name, value in trainer.bare_model.state_dict().items():
        assert torch.equal(value, best[name]), name
    for name, value in trainer.average.module.state_dict().items():
        assert torch.equal(value, best[name]), name
    train_until(trainer, 1)
    for name, value in trainer.average.module.state_dict().items():
        assert torch.equal(value, trainer.bare_model.state_dict()[name]), name


def test_windows_that_turn_start_from_windows_that_do_not(tmp_path: Path) -> None:
    """The same function at first: all angles are zero, and everything else is as it was."""
    folder = tmp_path / "before"
    upright = dataclasses.replace(TINY.model, read_heads=2)
    fresh(folder, dataclasses.replace(TINY, model=upright)).fit()
    train = dataclasses.replace(TINY.train, start_from=str(folder))
    model = dataclasses.replace(upright, attention="rotated")
    trainer = fresh(tmp_path / "after", dataclasses.replace(TINY, model=model, train=train))
    assert "attention rotated" in describe_origin(trainer.config)
    before, after = load_model(str(folder)).model, trainer.bare_model
    config = before.config
    images = torch.rand(3, *config.image_shape)
    noise = torch.randn(config.glimpses, 3, config.latent_size)
    expected, found = before.reconstruct(images, noise), after.reconstruct(images, noise)
    torch.testing.assert_close(found.canvases, expected.canvases, rtol=1e-5, atol=1e-5)
    train_until(trainer, 2)
    turned = after.reconstruct(images, noise)
    assert all(bool(w.numbers["angle"].any()) for w in (turned.read_windows, turned.write_windows))


EXTENDED = [
    (field, name)
    for field, table in PARTS.items()
    for name, part in table.items()
    if getattr(part, "extends", None) is table[getattr(DRAWConfig(), field)]
]
"""Parts that do at first what the paper's do."""
WHOLE = DRAWConfig(rows=6, columns=5, glimpses=2, hidden_size=8, latent_size=3, attention="none")
MAPS = ConvDRAWConfig(rows=8, columns=8, glimpses=2, hidden_size=8, latent_size=4, prior="standard")


def test_the_parts_that_do_more_are_known() -> None:
    assert EXTENDED == [("prior", "learned"), ("condition", "class"), ("condition", "known")]


@pytest.mark.parametrize("there", [WHOLE, MAPS], ids=["draw", "conv"])
@pytest.mark.parametrize(("field", "name"), EXTENDED)
def test_a_part_that_does_more_starts_where_another_was(
    field: str, name: str, there: DRAWConfig
) -> None:
    """The same function at first, whatever it is told; its weights take part in the loss."""
    here = dataclasses.replace(there, **{field: name}, classes=3)  # type: ignore[arg-type]
    before, after = make_model(there), make_model(here)
    assert isinstance(before, DRAW)
    assert isinstance(after, DRAW)
    with torch.no_grad():
        for parameter in before.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    after.load_state_dict(weights_for(here, there, before.state_dict(), after.state_dict()))
    images = torch.rand(3, *there.image_shape).round()
    noise = torch.randn(there.glimpses, 3, there.latent_size)
    known = torch.rand(3, there.rows, there.columns) < 0.5
    told = {"class": {"labels": torch.tensor([0, 1, 2])}, "known": {"known": known}}.get(name, {})
    expected, found = before(images, noise), after(images, noise, **told)
    torch.testing.assert_close(found.kl, expected.kl)
    torch.testing.assert_close(found.canvas, expected.canvas)
    found.kl.sum().backward()
    own = dict(after.get_submodule(field).named_parameters())
    moved = [n for n, value in own.items() if value.grad is not None and bool(value.grad.any())]
    assert {n.split(".")[0] for n in moved} >= ({"mu"} if field == "prior" else {"enc", "dec"})


def test_a_part_that_does_more_is_trained_with_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "before"
    fresh(folder).fit()
    train = dataclasses.replace(TINY.train, start_from=str(folder))
    model = dataclasses.replace(TINY.model, prior="learned")  # type: ignore[call-arg]
    trainer = fresh(tmp_path / "after", dataclasses.replace(TINY, model=model, train=train))
    assert "prior learned" in describe_origin(trainer.config)
    assert not trainer.bare_model.get_parameter("prior.mu.weight").any()
    train_until(trainer, 2)
    assert trainer.bare_model.get_parameter("prior.mu.weight").any()


def test_a_part_that_would_not_be_trained_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "before"
    fresh(folder).fit()
    train = dataclasses.replace(TINY.train, start_from=str(folder), only="encoder")
    for field, name in EXTENDED:
        model = dataclasses.replace(TINY.model, **{field: name})
        with pytest.raises(
            DrawError, match=rf"expected model\.{field} \w+, as in .*got {name}, which"
        ):
            check_sizes(dataclasses.replace(TINY, model=model, train=train))
    check_sizes(dataclasses.replace(TINY, train=train))


def test_a_part_keeps_what_it_has_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of one's own that extends one with weights."""

    class Wide(LearnedPrior):
        extends: ClassVar = LearnedPrior

        def __init__(self, config: DRAWConfig) -> None:
            super().__init__(config)
            self.width = torch.nn.Parameter(torch.zeros(config.latent_size))

    monkeypatch.setitem(PRIORS, "standard", LearnedPrior)
    monkeypatch.setitem(PRIORS, "learned", Wide)
    there, here = WHOLE, dataclasses.replace(WHOLE, prior="learned")
    before, after = make_model(there), make_model(here)
    torch.nn.init.ones_(before.get_parameter("prior.mu.weight"))
    after.load_state_dict(weights_for(here, there, before.state_dict(), after.state_dict()))
    assert bool((after.get_parameter("prior.mu.weight") == 1).all())


def test_a_classifier_starts_to_turn_where_it_looked(tmp_path: Path) -> None:
    there = ClassifierConfig(rows=6, columns=5, glimpses=2, hidden_size=8, read_size=2, classes=3)
    here, before = dataclasses.replace(there, attention="rotated"), Classifier(there)
    after = Classifier(here)
    after.load_state_dict(weights_for(here, there, before.state_dict(), after.state_dict()))
    images = torch.rand(2, 1, 6, 5)
    torch.testing.assert_close(after(images).logits, before(images).logits)


def test_weights_that_do_not_fit_are_no_start(tmp_path: Path) -> None:
    folder, after = tmp_path / "before", tmp_path / "after"
    fresh(folder).fit()
    train = dataclasses.replace(TINY.train, start_from=str(folder))
    model = dataclasses.replace(TINY.model, hidden_size=TINY.model.hidden_size + 1)
    message = r"(?s)\(train.start_from\) do not fit the model.*h_enc_0"
    with pytest.raises(DrawError, match=message):
        fresh(after, dataclasses.replace(TINY, model=model, train=train))
    train = dataclasses.replace(TINY.train, start_from="nowhere")
    with pytest.raises(DrawError, match="there is no folder nowhere"):
        fresh(after, dataclasses.replace(TINY, train=train))
    assert not after.exists()


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    run = tmp_path / "run"
    trainer = fresh(run, with_train(TINY, checkpoint_minutes=1e-9))
    poison(trainer, 4)
    with pytest.raises(DrawError, match=r"no longer finite at step 4 .*--train\.learning-rate"):
        trainer.fit()
    tensors, state = load_tensors(checkpoints(run)[-1])
    assert state["step"] == 4
    assert all(value.isfinite().all() for value in tensors.values())
    calmer = with_train(TINY, learning_rate=0.001)
    again(run, with_train(calmer, checkpoint_minutes=1e-9)).fit()
    assert load_tensors(checkpoints(run)[-1])[1]["step"] == TINY.train.steps


def test_an_existing_folder_is_never_overwritten(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "precious.txt").write_text("mine")
    with pytest.raises(DrawError, match=r"exists already .*--resume .*--out"):
        fresh(run)
    assert [path.name for path in run.iterdir()] == ["precious.txt"]


def test_a_full_disk_keeps_what_there_was(tmp_path: Path) -> None:
    run = tmp_path / "run"
    trainer = fresh(run, with_train(TINY, checkpoint_minutes=1e-9, evaluate_every=100, steps=6))
    trainer.save()
    before = {path: path.read_bytes() for path in run.rglob("*.safetensors")}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        with pytest.raises(DrawError, match=r"could not write .*untouched"):
            trainer.fit()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path: path.read_bytes() for path in run.rglob("*.safetensors")} == before
    assert not list(run.rglob("*.writing*"))
    again(run, with_train(TINY, checkpoint_minutes=1e-9, evaluate_every=100, steps=6)).fit()


@pytest.fixture
def full_disk() -> Iterator[Callable[[], None]]:
    """What fills the disk: from then on no file of this process takes a byte."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("moment", ["open", "log", "close"])
def test_curves_on_a_full_disk_are_an_error_in_words(
    moment: str,
    tmp_path: Path,
    full_disk: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """TensorBoard alone would print the trace of its thread, and end the run with a number."""
    run = tmp_path / "run"
    journal = fresh(run).journal

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    match moment:
        case "open":
            full_disk()
        case "log":
            monkeypatch.setattr(journal.accelerator, "log", refuse)
        case "close":
            monkeypatch.setattr(journal.accelerator, "end_training", refuse)
    act = {
        "open": journal.open,
        "log": lambda: journal.track("train", 1, {"loss": 1.0}),
        "close": journal.close,
    }[moment]
    expected = rf"could not write {run}/tensorboard: .*\. Free some space, .* --resume {run}$"
    with pytest.raises(DrawError, match=expected):
        act()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [("model", "glimpses", 4), ("data", "binarize", "dynamic"), ("train", "seed", 3)],
)
def test_a_config_that_does_not_fit_the_checkpoint_is_refused(
    tmp_path: Path, section: str, field: str, value: object
) -> None:
    fresh(tmp_path / "run").fit()
    part = dataclasses.replace(getattr(TINY, section), **{field: value})
    changed = dataclasses.replace(TINY, **{section: part})
    with pytest.raises(DrawError, match=f"{section}.{field} is .* got {value!r}"):
        resumed_config(tmp_path / "run", changed)


def test_other_images_than_before_are_refused(tmp_path: Path) -> None:
    trainer = fresh(tmp_path / "run")
    train_until(trainer, 2)
    with pytest.raises(DrawError, match=r"not those that .*--data\.path"):
        resume(TINY, tmp_path / "run", image_set(11), VALIDATION)


def test_a_finished_run_asks_for_more_steps(tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = finish(fresh(run), image_set(5, "test", seed=2))
    line = read_metrics(run / "metrics.jsonl")[-1]
    assert (line["kind"], line["step"]) == ("test", 12)
    assert line["weights_step"] == result["best"]["step"] == load_model(str(run)).state["step"]
    with pytest.raises(DrawError, match=r"all of its 12 steps.*--train\.steps 24"):
        again(run)
    longer = again(run, with_train(TINY, steps=14))
    longer.fit()
    assert longer.step == 14


def interrupted(run: Path, step: int = 8) -> Path:
    trainer = fresh(run)
    train_until(trainer, step)
    return run


def test_damaged_best_weights_are_told_at_once_and_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = interrupted(tmp_path / "run")
    best = run / "best" / "model.safetensors"
    best.write_bytes(best.read_bytes()[:-1])
    loaded = load_model(str(run))
    assert loaded.state["step"] == 8
    assert f"The last weights of {run} are used in place of its best" in caplog.text
    caplog.clear()
    trainer = again(run)
    assert "The last weights" in caplog.text
    trainer.fit()
    assert load_model(str(run)).state["step"] == TINY.train.steps


def test_a_finished_run_with_damaged_best_weights_is_measured_by_its_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, test = tmp_path / "run", image_set(5, "test", seed=2)
    fresh(run).fit()
    (run / "best" / "model.safetensors").write_bytes(b"")
    result = finish(again(run), test)
    assert result is not None
    assert result["best"]["step"] == 12
    assert "weights of step 12, the last of 12 steps" in capsys.readouterr().out


def test_pictures_that_are_missing_are_made_and_the_result_is_told_again(tmp_path: Path) -> None:
    run, test = tmp_path / "run", image_set(5, "test", seed=2)
    first = finish(fresh(run), test)
    (run / "generation.gif").unlink()
    second = finish(again(run), test)
    assert first == second
    assert (run / "generation.gif").exists()
    kinds = [line["kind"] for line in read_metrics(run / "metrics.jsonl")]
    assert kinds.count("test") == 1
    with pytest.raises(DrawError, match="all of its 12 steps"):
        again(run)


def test_a_run_that_lost_its_checkpoints_is_no_new_one(tmp_path: Path) -> None:
    run = interrupted(tmp_path / "run")
    for path in checkpoints(run):
        path.unlink()
    before = (run / "metrics.jsonl").read_bytes()
    with pytest.raises(DrawError, match="no checkpoint to go on from"):
        again(run)
    assert (run / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        *((name, True) for name in ("best/model.safetensors", "best/config.json", "curves.png")),
        ("metrics.damaged.jsonl", True),
        ("checkpoints/step-00000000.safetensors", True),
        *((name, False) for name in ("best", "samples", "glimpses", "tensorboard")),
    ],
)
def test_what_could_not_be_written_later_is_told_at_once(
    tmp_path: Path, name: str, folder: bool
) -> None:
    run = interrupted(tmp_path / "run")
    path = run / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if folder:
        path.mkdir()
    else:
        path.write_text("")
    with pytest.raises(DrawError, match=f"at {path}, got .*; move it away, then go on"):
        again(run)


def test_resume_removes_half_written_files_of_dead_processes_and_nothing_else(
    tmp_path: Path,
) -> None:
    run, dead = interrupted(tmp_path / "run"), 999_999_999
    for number in (dead, os.getpid()):
        (run / "best" / f".model.{number}.writing.safetensors").write_text("half")
        (run / f".run.{number}.writing.json").write_text("half")
    others = (
        f".run.{os.getppid()}.writing.json", ".run.x.writing.json", f"run.{dead}.writing.json",
        f".{dead}.writing", f".run.{dead}.writing.json.more", f".run.{dead}.writings",
    )  # fmt: skip
    for name in others:
        (run / name).write_text("mine")
    (run / f".folder.{dead}.writing").mkdir()
    again(run).fit()
    left = {path.name for path in run.rglob("*") if "writing" in path.name}
    assert left == {*others, f".folder.{dead}.writing"}


def test_a_folder_with_half_written_files_of_draw_alone_is_new(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / ".run.999999999.writing.json").write_text("half")
    (run / ".lock").write_text("{}")
    fresh(run).fit()
    assert not list(run.glob(".*"))


def test_images_of_another_shape_are_refused_with_the_flags_to_pass(tmp_path: Path) -> None:
    with pytest.raises(
        DrawError,
        match=r"expected images of 6x5x1 .*got 6x5x3 .*--data\.size 6 5 --data\.mode grey",
    ):
        start(TINY, tmp_path / "run", image_set(10, channels=3), VALIDATION)
    assert not (tmp_path / "run").exists()


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    config = with_train(TINY, checkpoint_minutes=1e-9, keep_checkpoints=3)
    fresh(tmp_path / "run", config).fit()
    names = [path.stem for path in checkpoints(tmp_path / "run")]
    assert names == [f"step-{step:08d}" for step in (10, 11, 12)]


def test_metrics_cut_short_by_a_crash_are_made_again(tmp_path: Path) -> None:
    run = tmp_path / "run"
    trainer = fresh(run)
    train_until(trainer, 4)
    with open(run / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"kind": "train", "step": 6, "bound": 1.0}) + '\n{"kind": "tra')
    again(run).fit()
    steps = [
        line["step"] for line in read_metrics(run / "metrics.jsonl") if line["kind"] == "train"
    ]
    assert steps == [2, 4, 6, 8, 10, 12]


def test_ctrl_c_in_the_test_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "a run"
    trainer = fresh(run)
    with monkeypatch.context() as patch:
        patch.setattr("draw.training.finish.load_model", ask_to_stop)
        with pytest.raises(Interruption, match=f"step 12; .*draw train --resume '{run}'$"):
            finish(trainer, image_set(5, "test", seed=2))
    assert again(run).over


def ask_to_stop(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """As in a terminal: what a shell starts in the background passes over SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def send_twice(number: signal.Signals, trainer: Trainer, step: int) -> None:
    def send() -> None:
        if trainer.step == step:
            for _ in range(2):  # not os.kill, of which the system may make one signal of two
                signal.raise_signal(number)

    before_each_step(trainer, send)


def test_a_second_sigterm_waits_for_the_saving_too(tmp_path: Path) -> None:
    """The studio, and those who supervise, may send it again."""
    trainer = fresh(tmp_path / "run")
    send_twice(signal.SIGTERM, trainer, 4)
    with pytest.raises(Interruption, match="stopped at step 5; everything is saved"):
        trainer.fit()


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_ctrl_c_says_from_where_it_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "a run"
    train_until(fresh(run), 5)
    trainer = again(run)
    send_twice(signal.SIGINT, trainer, 7)
    says = f"stopped at once at step 7; saved is step 5. .*draw train --resume '{run}'$"
    with pytest.raises(CutShort, match=says):
        trainer.fit()
    again(run).fit()


def test_ctrl_c_is_left_as_it_was_found(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    fresh(tmp_path / "run").fit()
    assert signal.getsignal(signal.SIGINT) is before


def test_samples_are_drawn_at_each_evaluation(tmp_path: Path) -> None:
    fresh(tmp_path / "run").fit()
    names = sorted(path.name for path in (tmp_path / "run" / "samples").iterdir())
    assert names == ["step-00000006.png", "step-00000012.png"]


@pytest.mark.parametrize("capable", [True, False])
def test_auto_is_bf16_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, capable: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": capable})
    assert settle(ComputeConfig(device="cpu")).precision == ("bf16" if capable else "fp32")


def test_training_in_bf16_keeps_weights_and_states_in_fp32(tmp_path: Path) -> None:
    trainer = fresh(tmp_path / "run", with_train(with_compute(TINY, precision="bf16"), steps=40))
    output = trainer.model(*batch_of(trainer))
    assert {part.dtype for part in output} == {torch.float32}
    trainer.fit()
    assert all(value.dtype == torch.float32 for value in trainer.bare_model.parameters())
    fresh(tmp_path / "exact", with_train(TINY, steps=40)).fit()
    rounded, exact = (
        read_metrics(tmp_path / run / "metrics.jsonl")[-1]["bound"] for run in ("run", "exact")
    )
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.01)


def test_batches_hold_every_image_once_in_each_epoch() -> None:
    for size in (3, 7, 25):
        steps = math.ceil(40 / size)
        seen = np.concatenate([batch_indices(0, step, size, 10) for step in range(steps)])
        for epoch in range(4):
            assert sorted(seen[10 * epoch : 10 * epoch + 10]) == list(range(10))
    first, second = batch_indices(0, 0, 10, 10), batch_indices(0, 1, 10, 10)
    assert not np.array_equal(first, second)
