"""The tab Classify: where a classifier looks, and what it thinks by then."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from draw.studio.generation import LARGEST_SEED
from draw.studio.numbers import whole
from draw.studio.page import parts
from draw.studio.page.parts import Studio
from draw.studio.page.sources import DRAW, Sources, choose_image, lack_of_choice
from draw.studio.pictures import PictureTarget, as_digit
from draw.studio.recognition import classify, clutters, describe, has_room, lay_digit


def build(studio: Studio) -> tuple[gr.Dropdown, gr.Markdown]:
    """Lay out the tab, and return its choice of model and the line about it."""
    parts.lead(
        "This network never sees the whole image sharply. It looks a few times through a small "
        "window that it places itself (green), and then says which digit it saw."
    )
    with gr.Row(elem_classes=["ds-columns", "ds-live"]):
        with gr.Column(scale=1, min_width=280, elem_classes=["ds-side"]):
            model, about = parts.model_choice(studio, draws=False, label="Classifier")
            sources = Sources(
                studio.shelf, model, "classify", centring="Make it as large as MNIST's digits"
            )
            with gr.Column(visible=False, elem_classes=["ds-source"]) as place_choice:
                clutter = gr.Checkbox(
                    True, label="Lay your drawing among pieces of other digits",
                    visible=clutters(studio.shelf, model.value),
                )  # fmt: skip
                place = gr.Number(
                    0, label="Seed", info="Of the place at which your drawing is laid"
                )
            stop = gr.Button("Stop", visible=False, elem_id="classify-stop")
        with gr.Column(scale=3, min_width=300, elem_classes=["ds-main"]):
            status = gr.Markdown("", elem_classes=["ds-status"], elem_id="classify-status")
            answer = gr.Markdown("", elem_classes=["ds-told"], elem_id="classify-answer")
            player = parts.player("classify-player")

    def make(name: str | None, cluttered: Any, where: Any, *fields: Any) -> Iterator[Any]:
        lacking = lack_of_choice(*fields)
        if name is None or lacking:
            yield "", lacking or "", "", gr.update(visible=False)
            return
        yield gr.skip(), "Looking …", gr.skip(), gr.update(visible=True)
        seed = whole("the seed", where, 0, LARGEST_SEED)
        drawn = fields[0] == DRAW
        config = studio.catalogue[name].config
        laid = drawn and has_room(config)
        wanted = as_digit(PictureTarget.by(config)) if laid else None
        image = choose_image(studio.shelf, name, wanted, *fields)
        pixels = image.pixels
        if laid:
            with studio.shelf.use(name) as loaded:
                choice = sources.choice(studio.shelf, fields)
                pixels = lay_digit(loaded, pixels, bool(cluttered), seed, choice)
        said = classify(studio.shelf, name, pixels, image.label)
        yield said.show.to_json(), image.words, describe(said), gr.update(visible=False)

    running = player.submit(
        parts.report_in_line(make, 4, 1), [model, clutter, place, *sources.fields],
        [player, status, answer, stop],
        concurrency_id="model", concurrency_limit=parts.AT_ONCE, show_progress="hidden",
        api_visibility="private", trigger_mode="always_last",
    )  # fmt: skip
    parts.finish(running, stop, status)
    gr.on(
        [model.change, clutter.change, place.change, *sources.changes], None, None, None,
        js=parts.ask("classify-player"), api_visibility="private",
    )  # fmt: skip

    def lay(name: str | None, kind: str) -> tuple[Any, Any]:
        room = name is not None and has_room(studio.catalogue[name].config)
        return (
            gr.update(visible=room and kind == DRAW),
            gr.update(visible=clutters(studio.shelf, name)),
        )

    gr.on(
        [model.change, sources.kind.change], parts.safe(lay), [model, sources.kind],
        [place_choice, clutter], show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    parts.need_model(model, sources.dice)
    return model, about
