"""The tab Generate: new images, drawn step by step."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import gradio as gr

from draw.parts.state import NO_LABEL
from draw.studio import generation
from draw.studio.class_names import class_words, in_markdown
from draw.studio.downloads import Format, save_drawings
from draw.studio.generation import Request
from draw.studio.page import parts
from draw.studio.page.parts import Fields, Studio

CLEARLY = "How clearly the class shows: 1 as learned, above it more so"


def build(studio: Studio) -> tuple[gr.Dropdown, gr.Markdown, Fields]:
    """Lay out the tab; return its choice of model, the line about it, and its fields by name."""
    parts.lead(
        "From noise alone the network draws an image, a patch at a time. The red frame is the "
        "window through which it writes."
    )
    with gr.Row(elem_classes=["ds-columns", "ds-live"]):
        with gr.Column(scale=1, min_width=280, elem_classes=["ds-side"]):
            model, about = parts.model_choice(studio, draws=True, label="Model")
            number = gr.Slider(
                1, generation.MOST_IMAGES, value=16, step=1, label="Number of images"
            )
            seed = gr.Number(1, label="Seed", info="The same seed gives the same images")
            temperature = gr.Slider(
                0, generation.MOST_HEAT, value=1, step=0.05, label="Temperature",
                info="How far from average: 1 as learned, below it tamer, above it wilder",
            )  # fmt: skip
            known = generation.classes(studio.shelf, model.value)
            label = gr.Dropdown(
                generation.class_choices(studio.shelf, model.value), value=generation.EACH,
                label="Class", info="What to draw", allow_custom_value=True,
                visible=known is not None, elem_id="generate-class",
            )  # fmt: skip
            guidance = gr.Slider(
                0, generation.MOST_GUIDANCE, value=1, step=0.1, label="Guidance",
                info=CLEARLY,
                visible=generation.guides(studio.shelf, model.value), elem_id="generate-guidance",
            )  # fmt: skip
            with gr.Row():
                dice = gr.Button("Draw others", variant="primary", elem_id="generate-draw")
                stop = gr.Button("Stop", elem_id="generate-stop", visible=False)
        with gr.Column(scale=3, min_width=300, elem_classes=["ds-main"]):
            status = gr.Markdown("", elem_classes=["ds-status"], elem_id="generate-status")
            player = parts.player("generate-player")
            shown = gr.State(None)
            buttons, file = parts.save_row(
                {"png": "PNG", "strip": "Steps", "gif": "GIF", "webp": "WebP", "mp4": "MP4"}
            )

    def make(*fields: Any) -> Iterator[Any]:
        if fields[0] is None:  # the line about the model says what to do
            yield tuple(gr.skip() for _ in range(4))
            return
        asked = generation.request(*fields)
        finished = _finished(asked, class_words(studio.shelf, asked.model))
        yield gr.skip(), gr.skip(), f"Drawing 1 of {asked.n} …", gr.update(visible=True)
        for show in generation.generate(studio.shelf, asked):
            done = sum(part["count"] for part in show.parts)
            words = f"{done} of {asked.n} drawn …" if done < asked.n else finished
            yield show.to_json(), asked, words, gr.update(visible=done < asked.n)

    fields: Fields = {
        "model": model, "number": number, "seed": seed, "temperature": temperature,
        "label": label, "guidance": guidance,
    }  # fmt: skip
    running = player.submit(
        parts.report_in_line(make, 4, 2), [*fields.values()], [player, shown, status, stop],
        concurrency_id="model", concurrency_limit=parts.AT_ONCE, show_progress="hidden",
        api_visibility="private", trigger_mode="always_last",
    )  # fmt: skip
    parts.finish(running, stop, status)
    parts.follow("generate-player", fields, remember=True)
    parts.need_model(model, dice)

    def offer(name: str | None) -> Any:
        known = generation.classes(studio.shelf, name) is not None
        guides = generation.guides(studio.shelf, name)
        choices = generation.class_choices(studio.shelf, name)
        return (
            gr.update(visible=True, choices=choices)
            if known
            else gr.update(visible=False, choices=choices, value=generation.EACH),
            gr.update(visible=True) if guides else gr.update(visible=False, value=1),
        )

    model.change(
        parts.safe(offer), model, [label, guidance], show_progress="hidden",
        api_visibility="private",
    )  # fmt: skip
    label.change(
        parts.safe(_guidance), label, guidance, show_progress="hidden", api_visibility="private"
    )
    dice.click(None, None, seed, js=parts.DICE, api_visibility="private")

    def save(asked: Request, kind: str) -> Path:
        drawn = generation.trajectory(studio.shelf, asked)
        return save_drawings(drawn, generation.file_stem(asked), cast(Format, kind))

    parts.connect_saving(buttons, file, shown, save, running)
    return model, about, fields


def _guidance(chosen: str | None) -> Any:
    """The slider of the guidance, which rests where no class could show."""
    told = chosen != generation.NONE
    return gr.update(interactive=told, info=CLEARLY if told else "No class, so none to show")


def _finished(asked: Request, words: Callable[[int], str]) -> str:
    images = "1 image" if asked.n == 1 else f"{asked.n} images"
    what = "" if asked.label is None else f" of class {in_markdown(words(asked.label))}"
    if asked.label == NO_LABEL:
        what = " of no given class"
    if asked.guidance != 1:
        what += f", guidance {asked.guidance:g},"
    return f"{images}{what} by {asked.model}, seed {asked.seed}, temperature {asked.temperature:g}"
