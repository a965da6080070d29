"""The form that starts, stops and goes on with a training, above the runs."""

from pathlib import Path
from typing import Any

import gradio as gr

from draw.errors import DrawError
from draw.runs.checkpoint import checkpoints
from draw.studio import observation
from draw.studio.folders import run_folders
from draw.studio.generation import LARGEST_SEED
from draw.studio.given_images import OWN
from draw.studio.numbers import real, whole
from draw.studio.page import parts
from draw.studio.page.parts import Studio
from draw.studio.training_process import Order, presets

PRESETS_STEPS, STEPS, MINUTES = "As the preset", "Steps", "Minutes"
MOST_STEPS, MOST_MINUTES = 10_000_000, 100_000.0


def build(studio: Studio, run: gr.Dropdown, timer: gr.Timer) -> None:
    """Lay out the form.

    Args:
        studio: models, runs and the right to train.
        run: list of runs, in which a new one is chosen.
        timer: how often to look at a training.
    """
    training = studio.training
    if training is None:
        gr.HTML(f"<p>{studio.no_training}</p>", elem_id="train-none", elem_classes=["ds-hint"])
        return
    with gr.Row():
        names = presets(bool(studio.shelf.given))
        preset = gr.Dropdown(names, value=names[0], label="Preset", filterable=False)
        images = parts.image_choice(studio.shelf, elem_id="train-images")
        seed = gr.Number(0, label="Seed of the training", min_width=120)
        length = gr.Radio([PRESETS_STEPS, STEPS, MINUTES], value=PRESETS_STEPS, label="How long")
        amount = gr.Number(10, label="So many", visible=False, min_width=120)
    with gr.Row():
        start = gr.Button("Train", variant="primary", elem_id="train-start", min_width=120)
        stop = gr.Button("Stop", elem_id="train-stop", interactive=False, min_width=120)
        again = gr.Button(
            "Go on with the run below", elem_id="train-again", interactive=False, min_width=120
        )
    status = gr.Markdown("", elem_classes=["ds-status"], elem_id="train-status")
    length.change(
        lambda chosen: gr.update(visible=chosen != PRESETS_STEPS), length, amount,
        show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    outputs = [status, start, stop, again]

    def shown(name: str | None) -> tuple[Any, ...]:
        now = training.status()
        running = now is not None and now.running
        return (
            "" if now is None else now.words, gr.update(interactive=not running),
            gr.update(interactive=running),
            gr.update(interactive=not running and _can_go_on(studio, name)),
        )  # fmt: skip

    def begin(name: str | None, *fields: Any) -> tuple[Any, ...]:
        training.start(_order(studio, *fields))
        return shown(name)

    def resume(name: str | None) -> tuple[Any, ...]:
        folder = run_folders(studio.runs).get(name or "")
        if folder is None:
            raise DrawError(f"expected one of the runs in {studio.runs.name}, got {name!r}")
        training.resume(folder)
        return shown(name)

    def end(name: str | None) -> tuple[Any, ...]:
        training.stop()
        words, *buttons = shown(name)
        now = training.status()
        return (f"{words} It saves and stops …" if now and now.running else words), *buttons

    for button, action, fields in (
        (start, begin, [run, preset, images, seed, length, amount]),
        (again, resume, [run]),
        (stop, end, [run]),
    ):
        button.click(
            parts.safe(action), fields, outputs, show_progress="hidden", api_visibility="private"
        )
    told = gr.State(None)

    def follow(name: str | None, before: Any) -> tuple[Any, ...]:
        now = training.status()
        found = "" if now is None else _name(studio, now.run)
        key = (now, name, found)
        if key == before:
            return tuple(gr.skip() for _ in (*outputs, told, run))
        chosen = gr.skip()
        names = list(run_folders(studio.runs))
        if found in names and (before is None or before[2] != found):
            # It has just appeared: it is what the visitor waits for.
            chosen = gr.update(choices=names, value=found) if before is not None else gr.skip()
        elif found not in names:
            key = (now, name, "")
        return *shown(name), key, chosen

    timer.tick(
        follow, [run, told], [*outputs, told, run], show_progress="hidden", api_visibility="private"
    )


def _name(studio: Studio, run: Path) -> str:
    """Name of a run of this studio among `run_folders`."""
    return f"{studio.runs.resolve().name}/{run.name}"


def _can_go_on(studio: Studio, name: str | None) -> bool:
    """Whether a run has a step left to make; one that patience has ended has none."""
    try:
        run = observation.read(studio.runs, name)
        train = run.config.train
        ended = run.state == "finished" and train.patience is not None
        return run.step < train.steps and not ended and bool(checkpoints(run.folder))
    except (DrawError, OSError):
        return False


def _order(studio: Studio, preset: str, images: str, seed: Any, length: str, amount: Any) -> Order:
    steps, minutes = None, None
    if length == STEPS:
        steps = whole("the number of steps", amount, 1, MOST_STEPS)
    elif length == MINUTES:
        minutes = real("the number of minutes", amount, 0.01, MOST_MINUTES)
    given = None
    if images != OWN:
        (given,) = studio.shelf.images(images).candidates()
    return Order(str(preset), whole("the seed", seed, 0, LARGEST_SEED), steps, minutes, given)
