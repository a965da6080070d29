"""The tab Runs: curves, samples and settings of runs, also of those in training."""

import html
import json
from collections.abc import Iterator
from typing import Any

import gradio as gr
from PIL import Image

from draw.runs.lock import LOCK_FILE
from draw.studio import observation
from draw.studio.folders import run_folders
from draw.studio.numbers import whole
from draw.studio.observation import Run
from draw.studio.page import parts, training_form
from draw.studio.page.parts import Studio
from draw.studio.player import picture_address
from draw.studio.run_comparison import compare_runs

SECONDS = 3
"""Seconds between looks at a run that is followed."""
NOBODY = "none"


def build(studio: Studio) -> tuple[gr.Dropdown, gr.Dropdown]:
    """Lay out the tab, and return its two lists of runs."""
    parts.lead(
        "What the training runs of a folder have come to. Folders are only read: following a run "
        "does not touch it."
    )
    names = list(run_folders(studio.runs))
    timer = gr.Timer(SECONDS)
    train = gr.Accordion("Train a run", open=not names, elem_id="train")
    with gr.Row(elem_classes=["ds-choose-runs"]):
        first = gr.Dropdown(names, value=names[0] if names else None, label="Run", filterable=False)
        second = gr.Dropdown([NOBODY, *names], value=NOBODY, label="Compare with", filterable=False)
        follow = gr.Checkbox(True, label="Follow while it trains", min_width=180)
    with train:
        training_form.build(studio, first, timer)
    status = gr.HTML("", elem_id="runs-facts", elem_classes=["ds"])
    curves = parts.chart("runs-curves")
    measure = gr.Button("Measure both on the same test images", elem_id="compare-go", visible=False)
    compared = gr.HTML("", elem_id="compare-found", elem_classes=["ds", "ds-settings"])
    with gr.Row(elem_classes=["ds-columns"]):
        with gr.Column(scale=1, min_width=300):
            picture = gr.HTML("", elem_id="runs-picture", elem_classes=["ds"])
            scrub = gr.Slider(
                0, 1, value=0, step=1, label="Evaluation", visible=False, elem_id="runs-scrub",
                info="Its samples, from the first to the last; 0: those of the best weights",
            )  # fmt: skip
        with gr.Column(scale=1, min_width=300):
            settings = gr.HTML("", elem_id="runs-settings", elem_classes=["ds"])
    seen = gr.State(None)
    outputs = [status, curves, picture, scrub, settings, measure, seen]

    def show(name: str | None, other: str | None, at: Any) -> tuple[Any, ...]:
        if name is None:
            nothing = gr.update(visible=False)
            return _empty(studio), "", "", nothing, "", nothing, None
        stamps = _stamps(studio, name, other)
        runs = [observation.read(studio.runs, name, _going(studio, name))]
        if other and other != NOBODY and other != name:
            runs.append(observation.read(studio.runs, other, _going(studio, other)))
        if runs[0].task.score != runs[-1].task.score:
            gr.Info(f"{other} learns something else than {name}: only {name} is shown as curves")
        data = {"runs": [run.name for run in runs], "panels": observation.panels(runs)}
        last = len(observation.steps_of_pictures(runs[0]))
        return (
            "".join(map(_facts, runs)), json.dumps(data), _pictures(runs, at),
            gr.update(maximum=max(last, 1), visible=last > 1), _settings(runs),
            gr.update(visible=len(runs) > 1), stamps,
        )  # fmt: skip

    def look(
        name: str | None, other: str | None, following: bool, before: Any, at: Any = 0
    ) -> tuple[Any, ...]:
        if not following or name is None or _stamps(studio, name, other) == before:
            return tuple(gr.skip() for _ in outputs)
        stamps = _stamps(studio, name, other)
        try:
            return show(name, other, at)
        except Exception as error:  # told once, and again when something has changed
            note = f'<p class="ds-notice" role="status">{html.escape(parts.words(error))}</p>'
            return note, "", "", gr.skip(), "", gr.update(visible=False), stamps

    for choice in (first, second):
        choice.change(
            parts.safe(show), [first, second, scrub], outputs, show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip
        choice.change(lambda: "", None, compared, show_progress="hidden", api_visibility="private")

    def turn(name: str | None, other: str | None, at: Any) -> str:
        names = [name, *([other] if other not in (None, NOBODY, name) else [])]
        return _pictures([observation.read(studio.runs, one) for one in names], at)

    scrub.input(
        parts.safe(turn), [first, second, scrub], picture, show_progress="hidden",
        trigger_mode="always_last", api_visibility="private",
    )  # fmt: skip

    def compare(name: str | None, other: str | None) -> Iterator[Any]:
        yield "<p>Both are measured …</p>", gr.update(interactive=False)
        one, two = (observation.read(studio.runs, each) for each in (name, other))
        yield compare_runs(one, two, studio.shelf.asked), gr.update(interactive=True)

    measuring = measure.click(
        parts.safe(compare), [first, second], [compared, measure], concurrency_id="model",
        concurrency_limit=parts.AT_ONCE, show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    measuring.failure(
        lambda: ("", gr.update(interactive=True)), None, [compared, measure],
        api_visibility="private",
    )  # fmt: skip
    timer.tick(
        look, [first, second, follow, seen, scrub], outputs, show_progress="hidden",
        api_visibility="private",
    )  # fmt: skip
    return first, second


def refresh_runs(studio: Studio, first: str | None, second: str | None) -> tuple[Any, Any]:
    """Update both lists of runs; see `parts.refresh_choice`."""
    names = list(run_folders(studio.runs))
    return (
        parts.refresh_choice(names, first, names[0] if names else None),
        parts.refresh_choice([NOBODY, *names], second, NOBODY),
    )


def _stamps(studio: Studio, *names: str | None) -> list[tuple[int, ...]]:
    return [observation.stamp(studio.runs, name, _going(studio, name)) for name in names]


def _going(studio: Studio, name: str | None) -> bool | None:
    """Whether the studio's own training is at a run; None where that says nothing of it."""
    now = studio.training.status() if studio.training else None
    folder = run_folders(studio.runs).get(name or "")
    if now is None or folder is None or folder.resolve() != now.run.resolve():
        return None
    if not now.running and (now.run / LOCK_FILE).exists():
        return None  # somebody else goes on with it, or it was killed
    return now.running


def _empty(studio: Studio) -> str:
    folder = html.escape(studio.runs.name or str(studio.runs))
    return (
        f'<p class="ds-notice">There is no run in <code>{folder}</code> yet. In a terminal, '
        "<code>draw train digits</code> makes one in a minute and needs no network; it can be "
        "followed here while it trains. Other folders: <code>draw studio --runs FOLDER</code>.</p>"
    )


def _facts(run: Run) -> str:
    entries = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"
        for name, value in observation.facts(run)
    )
    share = min(1.0, run.step / run.config.train.steps)
    return (
        f'<section class="ds-facts ds-{run.state}"><h3>{html.escape(run.name)}</h3>'
        f'<div class="ds-progress"><i style="width: {share:.1%}"></i></div><dl>{entries}</dl>'
        "</section>"
    )


def _pictures(runs: list[Run], at: Any) -> str:
    """The pictures of an evaluation of the first run, and what the other had nearest to it."""
    steps = observation.steps_of_pictures(runs[0])
    number = whole("the number of an evaluation", at, 0, 1_000_000)
    near = steps[min(number, len(steps)) - 1] if number and steps else None
    return f'<div class="ds-samples">{"".join(_picture(run, near) for run in runs)}</div>'


def _picture(run: Run, near: int | None) -> str:
    found = observation.picture_of(run, near)
    if found is None:
        return ""
    path, words = found
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            address = picture_address(picture)
    except OSError:  # it is just being written
        return ""
    name = html.escape(run.name)
    return (
        f'<figure><img src="{address}" alt="{name}: {words}"><figcaption>{name}: {words}'
        "</figcaption></figure>"
    )


def _settings(runs: list[Run]) -> str:
    heads = "".join(f'<th scope="col">{html.escape(run.name)}</th>' for run in runs)
    rows = "".join(
        f'<tr class="{"ds-differs" if len(set(values)) > 1 else ""}">'
        f'<th scope="row">{html.escape(name)}</th>'
        + "".join(f"<td>{html.escape(value)}</td>" for value in values)
        + "</tr>"
        for name, values in observation.settings(runs)
    )
    return (
        '<details class="ds-settings" open><summary>Settings</summary>'
        f'<div tabindex="0" role="group" aria-label="Settings"><table><thead><tr><td></td>{heads}'
        f"</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )
