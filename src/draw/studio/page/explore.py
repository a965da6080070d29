"""The tab Explore: between two images, one step's code, nearest training images."""

import json
from collections.abc import Iterator
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


def build(studio: Studio, tab: gr.Tab) -> tuple[gr.Dropdown, gr.Markdown]:
    """Lay out the tab, which begins when it is opened; return its choice of model and its line."""
    parts.lead(
        "Every drawing is told by a list of codes, one for each step. Here you can move between "
        "two such lists, exchange a single code, and see whether a drawing was merely remembered."
    )
    with gr.Row(elem_classes=["ds-with-about"]):
        model, about = parts.model_choice(studio, draws=True, label="Model")
        images = parts.image_choice(studio.shelf, elem_id="explore-images")
    with gr.Tabs(elem_classes=["ds-inner"]):
        with gr.Tab("Between two"):
            _between(studio, model, images, tab)
        with gr.Tab("One step"):
            _one_step(studio, model)
        with gr.Tab("Nearest in training"):
            _nearest(studio, model, images)
    return model, about


def _columns() -> Any:
    return gr.Row(elem_classes=["ds-columns"])


def _between(studio: Studio, model: gr.Dropdown, images: gr.Dropdown, tab: gr.Tab) -> None:
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
            go = gr.Button("Interpolate", variant="primary", elem_id="between-go")
            gr.HTML(
                "<p>Left empty, they become the two of sixteen that differ most.</p>",
                elem_classes=["ds-hint"],
            )
        with gr.Column(scale=3, min_width=300, elem_classes=["ds-main"]):
            gr.HTML(
                "<p>The codes of all steps are turned from one drawing's to the other's. Of test "
                "images they are what the network tells itself on looking at them.</p>",
                elem_classes=["ds-hint"],
            )
            player = parts.player("between-player")
    numbers = [first, second, *classes]
    found = gr.State(None)
    """What was chosen for the fields, not typed: another model has other ends."""
    shown = gr.State(None)

    def make(name: str | None, which: str, of: str | None, *typed: Any) -> tuple[Any, ...]:
        chosen = all(value is None for value in typed)
        ends = _ends(studio, name, which, of, *typed)
        if which == IMAGES:
            show = exploration.interpolate_images(studio.shelf, name, ends.first, ends.second, of)
        else:
            show = exploration.interpolate_seeds(studio.shelf, name, ends)
        fields = [ends.first, ends.second, *(ends.classes or (None, None))]
        return show.to_json(), *fields, fields if chosen else None, (name, which, of)

    def start(before: Any, name: str | None, which: str, of: str | None, *typed: Any) -> Any:
        if name is None or before == (name, which, of):
            return tuple(gr.skip() for _ in outputs)
        if before is None:  # a field that is empty from the start comes from the page as a 0
            typed = (None,) * len(numbers)
        return make(name, which, of, *typed)

    outputs = [player, *numbers, found, shown]
    gr.on(
        [go.click], parts.safe(make), [model, kind, images, *numbers], outputs,
        concurrency_id="model", concurrency_limit=parts.AT_ONCE, show_progress="hidden",
        api_visibility="private",
    )  # fmt: skip
    tab.select(
        parts.safe(start), [shown, model, kind, images, *numbers], outputs,
        concurrency_id="model", concurrency_limit=parts.AT_ONCE, show_progress="hidden",
        api_visibility="private",
    )  # fmt: skip

    def renew(name: str | None, which: str, before: Any, *typed: Any) -> tuple[Any, ...]:
        told = which == SEEDS and generation.classes(studio.shelf, name) is not None
        kept = before is None or list(typed) != list(before)
        fields = [gr.skip() if kept else None for _ in numbers]
        return gr.update(visible=told), *fields

    model.change(
        parts.safe(renew), [model, kind, found, *numbers], [classes_row, *numbers],
        show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    gr.on(
        [kind.input, images.input],
        parts.safe(lambda name, which: renew(name, which, [None] * 4, *[None] * 4)),
        [model, kind], [classes_row, *numbers], show_progress="hidden", api_visibility="private",
    )  # fmt: skip


def _ends(
    studio: Studio, name: str | None, which: str, of: str | None, start: Any, end: Any, *told: Any
) -> Ends:
    """The ends that are typed; chosen where all fields are empty."""
    if start is None and end is None and told == (None, None):
        if which == IMAGES:
            return exploration.differing_images(studio.shelf, name, of)
        return exploration.differing_seeds(studio.shelf, name)
    if which == IMAGES:
        a, b = (whole("the number of a test image", n, 1, MOST_EXAMPLES) for n in (start, end))
        return Ends(a, b)
    a, b = (whole("the seed", seed, 0, LARGEST_SEED) for seed in (start, end))
    if generation.classes(studio.shelf, name) is None:
        return Ends(a, b)
    first, second = (whole("the class", label, 0, LARGEST_LABEL) for label in told)
    return Ends(a, b, (first, second))


def _one_step(studio: Studio, model: gr.Dropdown) -> None:
    with _columns():
        with gr.Column(scale=1, min_width=280, elem_classes=["ds-side"]):
            seed = gr.Number(1, label="Seed of the drawing")
            last = exploration.last_step(studio.shelf, model.value) or 1
            step = gr.Slider(
                1, last, value=min(5, last), step=1, label="Step whose code is exchanged"
            )
            other = gr.Number(2, label="Seed of the new code")
            go = gr.Button("Exchange", variant="primary", elem_id="step-go")
        with gr.Column(scale=3, min_width=300, elem_classes=["ds-main"]):
            gr.HTML(
                "<p>All other codes stay. The bars show how much the finished drawing changes for "
                "each step exchanged alone: early steps place, late ones refine.</p>",
                elem_classes=["ds-hint"],
            )
            player = parts.player("step-player")
            bars = parts.chart("step-bars")

    def make(name: str | None, of: Any, which: Any, new: Any) -> tuple[str, str]:
        drawing = whole("the seed of the drawing", of, 0, LARGEST_SEED)
        number = whole("the step", which, 1, 100_000)
        code = whole("the seed of the new code", new, 0, LARGEST_SEED)
        changed = exploration.change_step(studio.shelf, name, drawing, number, code)
        percent = [round(100 * share, 2) for share in changed.differences]
        line = {"run": "change", "kind": "bars", "colour": 0, "y": percent}
        line["x"] = list(range(1, len(percent) + 1))
        panel = {
            "title": "Change of the finished drawing", "unit": "% of full brightness",
            "across": "step exchanged", "limits": [0, max(percent) or 1], "lines": [line],
        }  # fmt: skip
        return changed.show.to_json(), json.dumps({"runs": [], "panels": [panel]})

    def limit(name: str | None, chosen: int) -> Any:
        last = exploration.last_step(studio.shelf, name)
        return gr.skip() if last is None else gr.update(maximum=last, value=min(chosen, last))

    model.change(
        parts.safe(limit),
        [model, step],
        step,
        show_progress="hidden",
        api_visibility="private",
    )

    go.click(
        parts.safe(make), [model, seed, step, other], [player, bars], concurrency_id="model",
        concurrency_limit=parts.AT_ONCE, show_progress="hidden", api_visibility="private",
    )  # fmt: skip


def _nearest(studio: Studio, model: gr.Dropdown, images: gr.Dropdown) -> None:
    obstacle = exploration.obstacle_to_neighbours(studio.shelf, model.value)
    with _columns():
        with gr.Column(
            scale=1, min_width=280, elem_classes=["ds-side"], visible=obstacle is None
        ) as offer:
            seed = gr.Number(1, label="Seed of the drawings")
            with gr.Row():
                go = gr.Button("Search", variant="primary", elem_id="nearest-go")
                stop = gr.Button("Stop", visible=False, elem_id="nearest-stop")
        with gr.Column(scale=3, min_width=300, elem_classes=["ds-main"]):
            gr.HTML(
                "<p>A model that had learned its images by heart would draw them again. So each "
                "drawing is compared with all training images, pixel by pixel (L2).</p>",
                elem_classes=["ds-hint"],
            )
            status = gr.Markdown(
                _not_offered(obstacle), elem_classes=["ds-status"], elem_id="nearest-status"
            )
            found = gr.HTML("", elem_id="nearest-found", elem_classes=["ds"])

    def make(name: str | None, of: Any, chosen: str | None) -> Iterator[Any]:
        number = whole("the seed", of, 0, LARGEST_SEED)
        yield gr.skip(), "Getting the training images …", gr.update(visible=True)
        for each in exploration.neighbours(studio.shelf, name, number, chosen):
            done = each.pool >= each.total
            words = f"Compared with {each.pool:,} of {each.total:,} {each.note}"
            yield _pairs(each), words + ("." if done else " …"), gr.update(visible=not done)

    running = go.click(
        parts.safe(make), [model, seed, images], [found, status, stop], concurrency_id="search",
        concurrency_limit=1, show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    parts.finish(running, stop, status)

    def offered(name: str | None, chosen: str | None) -> tuple[Any, ...]:
        obstacle = exploration.obstacle_to_neighbours(studio.shelf, name, chosen)
        return gr.update(visible=obstacle is None), _not_offered(obstacle), ""

    gr.on(
        [model.change, images.change], parts.safe(offered), [model, images],
        [offer, status, found], show_progress="hidden", api_visibility="private",
    )  # fmt: skip


def _not_offered(obstacle: str | None) -> str:
    return "" if obstacle is None else f"Not offered for this model: {obstacle}"


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
