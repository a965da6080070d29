"""The source of an image that a model is to look at: drawn, uploaded, or a test image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from draw.config.data import Fit
from draw.errors import DrawError
from draw.model.preprocessing import conversion_for
from draw.studio.exploration import any_images
from draw.studio.given_images import ImageChoice
from draw.studio.image_source import examples
from draw.studio.models import Shelf
from draw.studio.numbers import whole
from draw.studio.page import parts
from draw.studio.pictures import PictureTarget, Pixels, from_page, from_upload

TEST, DRAW, UPLOAD = "Test image", "Draw", "Upload"
FITS: dict[str, Fit] = {
    "Whole, with bars": "pad",
    "Middle, cropped": "crop",
    "Stretched": "stretch",
}


@dataclass(frozen=True)
class ChosenImage:
    """An image, and what is known of it."""

    pixels: Pixels
    label: int | None
    words: str
    """Words about where the image comes from."""


class Sources:
    """Components of three ways to choose an image, one of them visible at a time.

    Args:
        shelf: models and images on offer.
        model: choice of the model that looks at them.
        name: start of the elements' names.
        centring: label of the offer to place a drawing as MNIST's digits are placed.
    """

    def __init__(self, shelf: Shelf, model: gr.Dropdown, name: str, *, centring: str) -> None:
        self.kind = gr.Radio(
            [TEST, DRAW, UPLOAD], value=TEST, label="Image", elem_id=f"{name}-source"
        )
        with gr.Column(visible=True, elem_classes=["ds-source"]) as test:
            self.images = parts.image_choice(shelf, elem_id=f"{name}-images")
            with gr.Row(elem_classes=["ds-with-dice"]):
                self.number = gr.Number(1, label="Number of the test image")
                self.dice = gr.Button("Another", size="sm", min_width=88)
        with gr.Column(visible=False, elem_classes=["ds-source"]) as drawing:
            self.page = parts.pad(f"{name}-pad")
            self.centring = gr.Checkbox(
                True, label=centring, visible=_grey(shelf, model.value), elem_id=f"{name}-centring"
            )
        with gr.Column(visible=False, elem_classes=["ds-source"]) as upload:
            self.file = gr.File(
                label="A picture (PNG, JPEG, WebP, …)", file_count="single", height=130,
                elem_id=f"{name}-file",
            )  # fmt: skip
            self.fit = gr.Radio(list(FITS), value="Middle, cropped", label="If its shape differs")
            self.on_paper = gr.Checkbox(False, label="It is dark ink on light paper")
        self.fields = [
            self.kind, self.images, self.number, self.page, self.centring, self.file, self.fit,
            self.on_paper,
        ]  # fmt: skip
        self.changes = [
            self.kind.change, self.images.change, self.number.change, self.page.change,
            self.centring.change, self.file.change, self.fit.change, self.on_paper.change,
        ]  # fmt: skip
        self.kind.change(
            lambda kind: [gr.update(visible=kind == each) for each in (TEST, DRAW, UPLOAD)],
            self.kind, [test, drawing, upload], show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip

        def another(name: str | None, chosen: str | None) -> int:
            return any_images(shelf, name, 1, chosen)[0]

        self.dice.click(
            parts.safe(another), [model, self.images], self.number, show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip
        model.change(
            lambda name: gr.update(visible=_grey(shelf, name)), model, self.centring,
            show_progress="hidden", api_visibility="private",
        )  # fmt: skip

    def choice(self, shelf: Shelf, values: Sequence[Any]) -> ImageChoice:
        """The test images that are chosen, of the values of `fields`."""
        return shelf.images(values[self.fields.index(self.images)])


def _grey(shelf: Shelf, name: str | None) -> bool:
    """Whether drawings for a model are grey, as MNIST's digits are; not if it cannot be had."""
    try:
        return shelf.catalogue[name].config.channels == 1
    except DrawError:
        return False


def choose_image(
    shelf: Shelf, model: str | None, wanted: PictureTarget | None, *fields: Any
) -> ChosenImage:
    """Read the image that the fields of `Sources` name, of the size that a model needs.

    Args:
        shelf: models in memory.
        model: name of the model.
        wanted: size and colours to turn a drawing or an upload into; by default what the model
            needs.
        fields: values of `Sources.fields`.

    Raises:
        DrawError: if there is no such image.
    """
    kind, images, number, page, centring, file, fit, on_paper = fields
    with shelf.use(model) as loaded:
        wanted = wanted or PictureTarget.by(loaded.model.config)
        if kind == TEST:
            found = examples(loaded, choice=shelf.images(images))
            index = whole("the number of the test image", number, 1, found.images.count)
            labels = found.images.labels
            label = None if labels is None else int(labels[index - 1])
            return ChosenImage(
                found.images.images[index - 1],
                label,
                f"Test image {index} of {found.images.count}, {found.note}",
            )
        as_in_training = conversion_for(loaded.model)
    if kind == DRAW:
        centred = bool(centring) and wanted.channels == 1
        return ChosenImage(from_page(page, replace(wanted, centring=centred)), None, "Your drawing")
    if fit not in FITS:
        raise DrawError(f"expected one of {', '.join(FITS)}, got {fit!r}")
    wanted = replace(wanted, fit=FITS[fit], on_paper=bool(on_paper), as_in_training=as_in_training)
    return ChosenImage(from_upload(file, wanted), None, "Your picture, as the model gets it")


def lack_of_choice(*fields: Any) -> str:
    """Words for what is still to be done before there is an image; none if there is one."""
    kind, _, _, page, _, file, _, _ = fields
    if kind == DRAW and not page:
        return "Draw something on the page."
    return "Choose a picture." if kind == UPLOAD and file is None else ""
