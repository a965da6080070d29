"""The tab Explore: between two images, one step's code, nearest training images."""

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from draw.data.sources.labels import LARGEST_LABEL
from draw.studio import exploration, generation
from draw.studio.exploration import Ends
from draw.studio.generation import LARGEST_SEED
from draw.studio.image_source import MOST_EXAMPLES
from draw.studio.numbers import whole
from draw.studio.page import parts
from draw.studio.page.parts import Studio

SEEDS, IMAGES = "Two seeds", "Two test images"


def build(studio: Studio) -> tuple[gr.Dropdown, gr.Markdown]:
    """Lay out the tab, and return its choice of model and the line about it."""
    parts.lead(
        "Every drawing is told by a list of codes, one for each step. Here you can move between "
        "two such lists, exchange a single code, and see whether a drawing was merely remembered."
    )
    with gr.Row(elem_classes=["ds-with-about"]):
        model, about = parts.model_choice(studio, draws=True, label="Model")
        images = parts.image_choice(studio.shelf, elem_id="explore-images")
    with gr.Tabs(elem_classes=["ds-inner"]):
        with gr.Tab("Between two"):
            _between(studio, model, images)
        with gr.Tab("One step"):
            _one_step(studio, model)
        with gr.Tab("Nearest in training"):
            _nearest(studio, model, images)
    return model, about


def _columns() -> Any:
    return gr.Row(elem_classes=["ds-columns", "ds-live"])


def _run(
    asker: gr.HTML, make: Callable[..., Iterator[Any]], inputs: list[Any], outputs: list[Any],
    queue: str = "model", at_once: int = parts.AT_ONCE,
) -> None:  # fmt: skip
    """Have an action answer what a component asks.

    Args:
        asker: component that asks.
        make: generator of updates.
        inputs: components that the action is given.
        outputs: components that it updates: the line that says how it goes, those in between, and
            the button that stops it.
        queue: name of the computations among which it waits.
        at_once: most of these at a time.
    """
    running = asker.submit(
        parts.report_in_line(make, len(outputs), 0), inputs, outputs, concurrency_id=queue,
        concurrency_limit=at_once, show_progress="hidden", api_visibility="private",
        trigger_mode="always_last",
    )  # fmt: skip
    parts.finish(running, outputs[-1], outputs[0])


@dataclass(frozen=True)
class _Between:
    """What an interpolation was made of."""

    model: str
    kind: str
    images: str | None
    numbers: tuple[Any, ...]
    """Numbers of the fields, as they are after it."""
    automatic: bool
    """Whether they were chosen for the fields, and not typed: another model has other ends."""

    def entries(
        self, model: str, kind: str, images: str | None, numbers: Sequence[Any]
    ) -> list[Any]:
        """The numbers of the fields that count for a model and a kind of ends."""
        other = (kind, images) != (self.kind, self.images) or (
            self.automatic and model != self.model and tuple(numbers) == self.numbers
        )
        return [None] * len(numbers) if other else list(numbers)


def _between(studio: Studio, model: gr.Dropdown, images: gr.Dropdown) -> None:
    with _columns():
        with gr.Column(scale=1, min_width=280, elem_classes=["ds-side"]):
            kind = gr.Radio([SEEDS, IMAGES], value=SEEDS, label="Between", elem_id="between-kind")
            with gr.Row():
                first = gr.Number(None, label="From", min_width=100, placeholder="any")
                second = gr.Number(None, label="To", min_width=100, placeholder="any")
            told = generation.classes(studio.shelf, model.value) is not None
            with gr.Row(visible=told) as classes_row:
                classes = [
                    gr.Number(None, label=words, min_width=100, placeholder="any")
                    for words in ("Class of the first", "Class of the second")
                ]
            gr.HTML(
                "<p>Left empty, they become the two of sixteen that differ most.</p>",
                elem_classes=["ds-hint"],
            )
            with gr.Row():
                dice = gr.Button("Two others", elem_id="between-dice")
                stop = gr.Button("Stop", visible=False, elem_id="between-stop")
        with gr.Column(scale=3, min_width=300, elem_classes=["ds-main"]):
            gr.HTML(
                "<p>The codes of all steps are turned from one drawing's to the other's. Of test "
                "images they are what the network tells itself on looking at them.</p>",
                elem_classes=["ds-hint"],
            )
            status = gr.Markdown("", elem_classes=["ds-status"], elem_id="between-status")
            player = parts.player("between-player")
    numbers = [first, second, *classes]
    shown = gr.State(None)

    def make(
        before: _Between | None, name: str | None, which: str, of: str | None, *fields: Any
    ) -> Iterator[Any]:
        # A field that is empty from the start comes from the page as a 0.
        typed = before.entries(str(name), which, of, fields) if before else [None] * len(fields)
        automatic = before.automatic if before and tuple(typed) == before.numbers else False
        if name is None or before == _Between(name, which, of, tuple(typed), automatic):
            yield tuple(gr.skip() for _ in outputs)
            return
        yield "Drawing …", *(gr.skip() for _ in outputs[1:-1]), gr.update(visible=True)
        ends = _ends(studio, name, which, of, *typed)
        if which == IMAGES:
            show = exploration.interpolate_images(studio.shelf, name, ends.first, ends.second, of)
        else:
            show = exploration.interpolate_seeds(studio.shelf, name, ends)
        now = (ends.first, ends.second, *(ends.classes or (None, None)))
        automatic = all(value is None for value in typed)
        told = which == SEEDS and generation.classes(studio.shelf, name) is not None
        yield (
            "", show.to_json(), *now, gr.update(visible=told),
            _Between(name, which, of, now, automatic), gr.update(visible=False),
        )  # fmt: skip

    outputs = [status, player, *numbers, classes_row, shown, stop]
    _run(player, make, [shown, model, kind, images, *numbers], outputs)
    parts.follow(
        "between-player",
        {
            "model": model, "kind": kind, "images": images, "first": first, "second": second,
            "one": classes[0], "other": classes[1],
        },
    )  # fmt: skip

    def two_others(name: str | None, which: str, of: str | None) -> list[int]:
        if which == IMAGES:
            return exploration.any_images(studio.shelf, name, 2, of)
        return [1 + secrets.randbelow(100_000) for _ in range(2)]

    dice.click(
        parts.safe(two_others), [model, kind, images], [first, second], show_progress="hidden",
        api_visibility="private",
    )  # fmt: skip
    parts.need_model(model, dice)


def _ends(
    studio: Studio, name: str | None, which: str, of: str | None, start: Any, end: Any, *told: Any
) -> Ends:
    """The ends that are typed; chosen where all fields are empty, and classes where those are."""
    if start is None and end is None and told == (None, None):
        if which == IMAGES:
            return exploration.differing_images(studio.shelf, name, of)
        return exploration.differing_seeds(studio.shelf, name)
    if which == IMAGES:
        a, b = (whole("the number of a test image", n, 1, MOST_EXAMPLES) for n in (start, end))
        return Ends(a, b)
    a, b = (whole("the seed", seed, 0, LARGEST_SEED) for seed in (start, end))
    classes = generation.classes(studio.shelf, name)
    if classes is None:
        return Ends(a, b)
    if told == (None, None):
        return Ends(a, b, (0, min(1, classes - 1)))
    first, second = (whole("the class", label, 0, LARGEST_LABEL) for label in told)
    return Ends(a, b, (first, second))


def _one_step(studio: Studio, model: gr.Dropdown) -> None:
    with _columns():
        with gr.Column(scale=1, min_width=280, elem_classes=["ds-side"]):
            seed = gr.Number(1, label="Seed of the drawing")
            last = exploration.last_step(studio.shelf, model.value) or 1
            step = gr.Slider(
                1, max(last, 2), value=min(5, last), step=1, label="Step whose code is exchanged"
            )
            other = gr.Number(2, label="Seed of the new code")
            with gr.Row():
                dice = gr.Button("Another code", elem_id="step-dice")
                stop = gr.Button("Stop", visible=False, elem_id="step-stop")
        with gr.Column(scale=3, min_width=300, elem_classes=["ds-main"]):
            gr.HTML(
                "<p>All other codes stay. The bars show how much the finished drawing changes for "
                "each step exchanged alone: early steps place, late ones refine.</p>",
                elem_classes=["ds-hint"],
            )
            status = gr.Markdown("", elem_classes=["ds-status"], elem_id="step-status")
            player = parts.player("step-player")
            bars = parts.chart("step-bars")

    def make(name: str | None, of: Any, which: Any, new: Any) -> Iterator[Any]:
        last = exploration.last_step(studio.shelf, name)
        if name is None or last is None:  # the line about the model says why
            yield tuple(gr.skip() for _ in outputs)
            return
        drawing = whole("the seed of the drawing", of, 0, LARGEST_SEED)
        number = min(whole("the step", which, 1, 100_000), last)
        code = whole("the seed of the new code", new, 0, LARGEST_SEED)
        yield "Drawing …", gr.skip(), gr.skip(), gr.skip(), gr.update(visible=True)
        changed = exploration.change_step(studio.shelf, name, drawing, number, code)
        percent = [round(100 * share, 2) for share in changed.differences]
        line = {"run": "change", "kind": "bars", "colour": 0, "y": percent}
        line["x"] = list(range(1, len(percent) + 1))
        panel = {
            "title": "Change of the finished drawing", "unit": "% of full brightness",
            "across": "step exchanged", "limits": [0, max(percent) or 1], "lines": [line],
        }  # fmt: skip
        chart = json.dumps({"runs": [], "panels": [panel]})
        # A step beyond this model's last has become that, and the slider says so. All that is to
        # stay stands in the last update: a browser that is busy shows none of those before it.
        kept = gr.update(maximum=last)
        if number != which:
            kept = gr.update(maximum=last, value=number)
        yield "", changed.show.to_json(), chart, kept, gr.update(visible=False)

    outputs = [status, player, bars, step, stop]
    _run(player, make, [model, seed, step, other], outputs)
    parts.follow("step-player", {"model": model, "seed": seed, "step": step, "other": other})
    dice.click(None, None, other, js=parts.DICE, api_visibility="private")
    parts.need_model(model, dice)


def _nearest(studio: Studio, model: gr.Dropdown, images: gr.Dropdown) -> None:
    obstacle = exploration.obstacle_to_neighbours(studio.shelf, model.value)
    with _columns():
        with gr.Column(
            scale=1, min_width=280, elem_classes=["ds-side"], visible=obstacle is None
        ) as offer:
            seed = gr.Number(1, label="Seed of the drawings")
            with gr.Row():
                dice = gr.Button("Draw others", elem_id="nearest-dice")
                stop = gr.Button("Stop", visible=False, elem_id="nearest-stop")
        with gr.Column(scale=3, min_width=300, elem_classes=["ds-main"]):
            gr.HTML(
                "<p>A model that had learned its images by heart would draw them again. So each "
                "drawing is compared with all training images, pixel by pixel (L2).</p>",
                elem_classes=["ds-hint"],
            )
            status = gr.Markdown("", elem_classes=["ds-status"], elem_id="nearest-status")
            found = parts.answer("nearest-found")

    def make(name: str | None, of: Any, chosen: str | None) -> Iterator[Any]:
        if name is None:
            yield tuple(gr.skip() for _ in outputs)
            return
        obstacle = exploration.obstacle_to_neighbours(studio.shelf, name, chosen)
        if obstacle is not None:
            words = f"Not offered for this model: {obstacle}"
            yield words, "", gr.update(visible=False), gr.update(visible=False)
            return
        number, shown = whole("the seed", of, 0, LARGEST_SEED), gr.update(visible=True)
        yield "Getting the training images …", gr.skip(), shown, shown
        for each in exploration.neighbours(studio.shelf, name, number, chosen):
            done = each.pool >= each.total
            words = f"Compared with {each.pool:,} of {each.total:,} {each.note}"
            words += "." if done else " …"
            yield words, _pairs(each), shown, gr.update(visible=not done)

    outputs = [status, found, offer, stop]
    _run(found, make, [model, seed, images], outputs, "search", 1)
    parts.follow("nearest-found", {"model": model, "seed": seed, "images": images})
    dice.click(None, None, seed, js=parts.DICE, api_visibility="private")
    parts.need_model(model, dice)


def _pairs(found: exploration.Neighbours) -> str:
    """Samples above the training images that are nearest to them."""
    pairs = "".join(
        f'<li><img src="{sample}" alt="Drawing {k}"><img src="{nearest}" alt="Training image '
        f'{number + 1}"><span>no. {number + 1:,}, distance {distance:.1f}</span></li>'
        for k, (sample, nearest, number, distance) in enumerate(
            zip(found.samples, found.nearest, found.numbers, found.distances, strict=True), 1
        )
    )
    return (
        f'<figure class="ds-pairs"><ol>{pairs}</ol><figcaption>Above each drawing, below the '
        "training image nearest to it; a distance of 0 would be a copy.</figcaption></figure>"
    )
