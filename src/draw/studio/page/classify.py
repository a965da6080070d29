"""The tab Classify: where a classifier looks, and what it thinks by then."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from draw.studio.generation import LARGEST_SEED
from draw.studio.numbers import whole
from draw.studio.page import parts
from draw.studio.page.parts import Studio
from draw.studio.page.sources import DRAW, Sources, choose_image
from draw.studio.pictures import PictureTarget, as_digit
from draw.studio.recognition import classify, describe, lay_digit


def build(studio: Studio) -> tuple[gr.Dropdown, gr.Markdown]:
    """Lay out the tab, and return its choice of model and the line about it."""
    parts.lead(
        "This network never sees the whole image sharply. It looks a few times through a small "
        "window that it places itself (green), and then says which digit it saw."
    )
    with gr.Row(elem_classes=["ds-columns"]):
        with gr.Column(scale=1, min_width=280, elem_classes=["ds-side"]):
            model, about = parts.model_choice(studio, draws=False, label="Classifier")
            sources = Sources(
                studio.shelf, "classify", centring="Make it as large as MNIST's digits"
            )
            clutter = gr.Checkbox(True, label="Lay your drawing among pieces of other digits")
            place = gr.Number(0, label="Seed", info="Of the place at which your drawing is laid")
            with gr.Row():
                go = gr.Button("Look", variant="primary", elem_id="classify-go")
                stop = gr.Button("Stop", visible=False)
        with gr.Column(scale=3, min_width=300, elem_classes=["ds-main"]):
            status = gr.Markdown(
                "Choose an image and press *Look*.", elem_classes=["ds-status"],
                elem_id="classify-status",
            )  # fmt: skip
            answer = gr.Markdown("", elem_classes=["ds-told"], elem_id="classify-answer")
            player = parts.player("classify-player")

    def make(name: str | None, cluttered: Any, where: Any, *fields: Any) -> Iterator[Any]:
        yield gr.skip(), "Looking …", gr.skip(), gr.update(visible=True)
        seed = whole("the seed", where, 0, LARGEST_SEED)
        drawn = fields[0] == DRAW
        wanted = None
        if drawn:
            wanted = as_digit(PictureTarget.by(studio.catalogue[name].config))
        image = choose_image(studio.shelf, name, wanted, *fields)
        pixels = image.pixels
        if drawn:
            with studio.shelf.use(name) as loaded:
                choice = sources.choice(studio.shelf, fields)
                pixels = lay_digit(loaded, pixels, bool(cluttered), seed, choice)
        said = classify(studio.shelf, name, pixels, image.label)
        yield said.show.to_json(), image.words, describe(said), gr.update(visible=False)

    running = go.click(
        parts.safe(make), [model, clutter, place, *sources.fields],
        [player, status, answer, stop],
        concurrency_id="model", concurrency_limit=parts.AT_ONCE, show_progress="hidden",
        api_visibility="private",
    )  # fmt: skip
    parts.finish(running, stop, status)
    return model, about
