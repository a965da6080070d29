"""The tab How it works: the step of the paper's figure 2 with the numbers of a drawing."""

import gradio as gr

from draw.studio.page import parts
from draw.studio.page.parts import Studio


def build(studio: Studio) -> tuple[gr.Dropdown, gr.Markdown]:
    """Lay out the tab, and return its choice of model and the line about it."""
    parts.lead(
        "What the network computes at each step, with the numbers of the drawing that you looked "
        "at last; its windows and its messages can be taken in the hand. All of this is computed "
        "in the browser."
    )
    with gr.Row(elem_classes=["ds-with-about"]):
        model, about = parts.model_choice(studio, draws=True, label="Model")
    shown = parts.explanation("insight", model.value)
    model.change(
        lambda name: name or "", model, shown, show_progress="hidden", api_visibility="private"
    )
    return model, about
