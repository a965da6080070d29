"""The tab Reconstruct: how a given image is drawn, and what it costs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import gradio as gr

from draw.studio.downloads import Format, save_reconstruction
from draw.studio.generation import LARGEST_SEED
from draw.studio.inpainting import complete
from draw.studio.numbers import whole
from draw.studio.page import parts
from draw.studio.page.parts import Studio
from draw.studio.page.sources import Sources, choose_image, lack_of_choice
from draw.studio.reconstruction import Reconstruction, describe, reconstruct
from draw.visualize.completions import HALVES

WHOLE = "all"
"""Word for an image of which no half is hidden."""


def build(studio: Studio) -> tuple[gr.Dropdown, gr.Markdown]:
    """Lay out the tab, and return its choice of model and the line about it."""
    parts.lead(
        "The network looks at an image through a reading window (green), tells itself a few "
        "numbers, and draws it again through a writing window (red), step by step."
    )
    with gr.Row(elem_classes=["ds-columns", "ds-live"]):
        with gr.Column(scale=1, min_width=280, elem_classes=["ds-side"]):
            model, about = parts.model_choice(studio, draws=True, label="Model")
            sources = Sources(
                studio.shelf, model, "reconstruct",
                centring="Centre and scale it as MNIST's digits are",
            )  # fmt: skip
            seed = gr.Number(0, label="Seed", info="Of the noise in what it tells itself")
            known = gr.Radio(
                [WHOLE, *HALVES], value=WHOLE, label="Known of it",
                info="Of a half the network draws the rest, five times",
                elem_id="reconstruct-known",
            )  # fmt: skip
            stop = gr.Button("Stop", visible=False, elem_id="reconstruct-stop")
        with gr.Column(scale=3, min_width=300, elem_classes=["ds-main"]):
            status = gr.Markdown("", elem_classes=["ds-status"], elem_id="reconstruct-status")
            player = parts.player("reconstruct-player")
            cost = gr.Markdown("", elem_classes=["ds-told"])
            shown = gr.State(None)
            buttons, file = parts.save_row(
                {"strip": "PNG", "gif": "GIF", "webp": "WebP", "mp4": "MP4"}
            )

    def make(name: str | None, noise: Any, half: str, *fields: Any) -> Iterator[Any]:
        lacking = lack_of_choice(*fields)
        if name is None or lacking:
            yield "", None, lacking or "", "", gr.update(visible=False)
            return
        yield gr.skip(), gr.skip(), "Looking …", gr.skip(), gr.update(visible=True)
        which = whole("the seed", noise, 0, LARGEST_SEED)
        image = choose_image(studio.shelf, name, None, *fields)
        if half != WHOLE:
            show, words = complete(studio.shelf, name, image.pixels, half, which, image.label)
            yield show.to_json(), None, image.words, words, gr.update(visible=False)
            return
        made = reconstruct(studio.shelf, name, image.pixels, which, image.label)
        yield made.show.to_json(), made, image.words, describe(made), gr.update(visible=False)

    running = player.submit(
        parts.report_in_line(make, 5, 2), [model, seed, known, *sources.fields],
        [player, shown, status, cost, stop],
        concurrency_id="model", concurrency_limit=parts.AT_ONCE, show_progress="hidden",
        api_visibility="private", trigger_mode="always_last",
    )  # fmt: skip
    parts.finish(running, stop, status)
    parts.need_model(model, sources.dice)
    gr.on(
        [model.change, seed.change, known.change, *sources.changes], None, None, None,
        js=parts.ask("reconstruct-player"), api_visibility="private",
    )  # fmt: skip

    def save(made: Reconstruction, kind: str) -> Path:
        return save_reconstruction(
            made.image, made.trajectory, "reconstruction", cast(Format, kind)
        )

    parts.connect_saving(buttons, file, shown, save, running)
    return model, about
