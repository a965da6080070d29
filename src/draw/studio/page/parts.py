"""Components that the tabs share, and how mishaps are shown."""

import functools
import inspect
import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from draw.errors import DrawError
from draw.page.document import STUDIO_SCRIPT, STYLE
from draw.studio.given_images import OWN
from draw.studio.models import NOTHING, Catalogue, Shelf, describe
from draw.studio.training_process import TrainingProcess

logger = logging.getLogger("draw")

ASSETS = Path(__file__).parents[1] / "assets"
SCRIPTS = (ASSETS / "stream.js", STUDIO_SCRIPT, ASSETS / "chart.js")
STYLES = STYLE, ASSETS / "stage.css"
"""Styles of the parts, which stand apart from Gradio's."""
AT_ONCE = 2
"""Most computations at a time, over all visitors; the others wait in the queue."""
Fields = dict[str, gr.Dropdown | gr.Slider | gr.Number | gr.Radio]
"""Components of a tab by their names."""
DOWNLOAD = """(file) => {
    if (!file) return;
    const link = document.createElement("a");
    link.href = file.url;
    link.download = file.orig_name || "";
    link.click();
}"""
DICE = "() => Math.floor(Math.random() * 100000)"


@dataclass(frozen=True)
class Studio:
    """The models, runs and options that every tab works on."""

    catalogue: Catalogue
    shelf: Shelf
    runs: Path
    training: TrainingProcess | None = None
    """What trains new runs; None where nothing may be started from the page."""
    no_training: str = "Runs are started in a terminal: <code>draw train digits</code>."
    """Words for the page, where it may not."""


def head() -> str:
    """Styles and scripts in the page itself: nothing is fetched from anywhere."""
    style = (ASSETS / "studio.css").read_text(encoding="utf-8")
    parts = "\n".join(path.read_text(encoding="utf-8") for path in STYLES)
    scripts = "\n".join(
        f"<script>\n{path.read_text(encoding='utf-8')}</script>" for path in SCRIPTS
    )
    kept = f'<script type="text/plain" id="ds-parts-style">\n{parts}</script>'
    return f"<style>\n{style}</style>\n{kept}\n{scripts}"


def player(name: str) -> gr.HTML:
    """Component that plays what `draw.studio.player.Show` describes."""
    return _own("player", name)


def pad(name: str) -> gr.HTML:
    """Component to draw on; its value is a PNG as a data address, empty if nothing was drawn."""
    return _own("pad", name)


def explanation(name: str, model: str | None) -> gr.HTML:
    """Component that explains the model which is its value, with the page's own sections."""
    made = _own("explanation", name)
    made.value = model
    return made


def chart(name: str) -> gr.HTML:
    """Component with curves, as `draw.studio.observation.panels` describes them."""
    return _own("chart", name)


def answer(name: str) -> gr.HTML:
    """Component with HTML that is asked for as a player's drawings are."""
    return gr.HTML(
        "",
        js_on_load="DrawStudio.live(element, trigger);",
        apply_default_css=False,
        elem_id=name,
        elem_classes=["ds"],
    )


def _own(kind: str, name: str) -> gr.HTML:
    return gr.HTML(
        "",
        html_template="",
        js_on_load=f"DrawStudio.{kind}(element, props, watch, trigger);",
        apply_default_css=False,
        elem_id=name,
        elem_classes=["ds", f"ds-holds-{kind}"],
    )


def safe(action: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap an action: its mistakes and mishaps are messages in the page, and the server goes on."""
    if inspect.isgeneratorfunction(action):

        @functools.wraps(action)
        def stepping(*arguments: Any) -> Iterator[Any]:
            try:
                yield from action(*arguments)
            except Exception as error:
                raise _message(error) from error

        return stepping

    @functools.wraps(action)
    def acting(*arguments: Any) -> Any:
        try:
            return action(*arguments)
        except Exception as error:
            raise _message(error) from error

    return acting


def report_in_line(
    action: Callable[..., Iterator[Any]], outputs: int, status: int
) -> Callable[..., Iterator[Any]]:
    """Wrap an action that follows every change: what went wrong is said in its line, once.

    Args:
        action: generator of updates, the last of them for the button that stops it.
        outputs: number of updates at a time.
        status: number of the line among them.
    """

    @functools.wraps(action)
    def stepping(*arguments: Any) -> Iterator[Any]:
        try:
            yield from action(*arguments)
        except Exception as error:
            said: list[Any] = [gr.skip()] * outputs
            said[status] = f"**That did not work.** {words(error)}"
            said[-1] = gr.update(visible=False)
            yield tuple(said)

    return stepping


def ask(name: str) -> str:
    """JavaScript that has a player ask for its drawings, once no more is changed."""
    return f"() => DrawStudio.ask({json.dumps(name)})"


def follow(name: str, fields: Fields, *, remember: bool = False) -> None:
    """Draw anew, once, whenever one of the fields changes.

    Args:
        name: the player.
        fields: components by their names.
        remember: whether to keep the fields in the address, by their names.
    """
    names = ", ".join(fields)
    keep = f"DrawStudio.remember({{ {names} }}); " if remember else ""
    question = f"JSON.stringify([{names}])"
    gr.on(
        [each.change for each in fields.values()], None, [*fields.values()], None,
        js=f"({names}) => {{ {keep}DrawStudio.ask({json.dumps(name)}, {question}); }}",
        api_visibility="private",
    )  # fmt: skip


def _message(error: Exception) -> gr.Error:
    if isinstance(error, gr.Error):
        return error
    return gr.Error(words(error), title="That did not work", duration=20, print_exception=False)


def words(error: Exception) -> str:
    """Words of the page for a mistake or a mishap; the terminal has the details of a fault."""
    if isinstance(error, DrawError):
        return re.sub("^expected", "Expected", str(error))
    if isinstance(error, OSError):
        return f"A file could not be read or written: {error.strerror or error}"
    logger.exception("the studio met an error it did not expect", exc_info=error)
    return (
        f"Something unexpected happened ({type(error).__name__}). The studio goes on; its terminal "
        "has the details"
    )


def lead(text: str) -> gr.HTML:
    """Component with the sentence under a tab's name."""
    return gr.HTML(f"<p>{text}</p>", elem_classes=["ds-lead"])


def model_choice(studio: Studio, *, draws: bool, label: str) -> tuple[gr.Dropdown, gr.Markdown]:
    """Components to choose a model: a list of models and a line about the chosen one."""
    names = studio.catalogue.names(draws=draws)
    chosen = gr.Dropdown(names, value=names[0] if names else None, label=label, filterable=False)
    return chosen, gr.Markdown(
        about(studio, names[0] if names else None), elem_classes=["ds-about"]
    )


def image_choice(shelf: Shelf, *, elem_id: str) -> gr.Dropdown:
    """Component to choose images by name; there is nothing to choose where none are given."""
    names = [OWN, *(given.name for given in shelf.given)]
    return gr.Dropdown(
        names, value=OWN, label="Images", filterable=False, visible=len(names) > 1, elem_id=elem_id
    )


def about(studio: Studio, name: str | None) -> str:
    """Line about a model."""
    if name is None:
        return NOTHING
    try:
        with studio.shelf.use(name) as loaded:
            return describe(loaded)
    except (DrawError, OSError):  # what is done with the model says it
        return ""


def refresh_choice(names: Sequence[str], chosen: str | None, otherwise: str | None) -> Any:
    """Update the list of a choice; the chosen name is left alone if it is still there.

    The chosen name is not set again: on a busy computer another one may have been chosen meanwhile.
    """
    if chosen in names:
        return gr.update(choices=list(names))
    return gr.update(choices=list(names), value=otherwise)


def refresh_models(studio: Studio, chosen: str | None, *, draws: bool) -> Any:
    """Update the list of models; see `refresh_choice`."""
    names = studio.catalogue.names(draws=draws)
    return refresh_choice(names, chosen, names[0] if names else None)


def save_row(kinds: dict[str, str]) -> tuple[dict[str, gr.Button], gr.File]:
    """Components to save files: buttons, and where the files go."""
    with gr.Row(elem_classes=["ds-save"]):
        gr.HTML("<span>Save as</span>", elem_classes=["ds-save-words"])
        buttons = {
            kind: gr.Button(words, size="sm", min_width=64, interactive=False)
            for kind, words in kinds.items()
        }
    return buttons, gr.File(visible="hidden", label="Saved file", interactive=False)


def connect_saving(
    buttons: dict[str, gr.Button],
    file: gr.File,
    state: gr.State,
    save: Callable[[Any, str], Path],
    *running: Any,
) -> None:
    """Have each button make its file of what is shown, and the browser download it.

    There is nothing to press while nothing is shown that could be saved.

    Args:
        buttons: buttons, by the kind of file.
        file: where the file goes.
        state: what is shown; None for nothing that could be saved.
        save: makes the file.
        running: events that show something.
    """
    for event in running:
        event.then(
            lambda shown: [gr.update(interactive=shown is not None) for _ in buttons], state,
            [*buttons.values()], show_progress="hidden", api_visibility="private",
        )  # fmt: skip
    for kind, button in buttons.items():

        def make(shown: Any, kind: str = kind) -> str:
            if shown is None:
                raise DrawError("there is nothing to save yet; make a drawing first")
            return str(save(shown, kind))

        button.click(
            safe(make), state, file, concurrency_id="model", concurrency_limit=AT_ONCE,
            api_visibility="private",
        ).success(None, file, None, js=DOWNLOAD, api_visibility="private")  # fmt: skip


def need_model(model: gr.Dropdown, *buttons: gr.Button) -> None:
    """Have buttons pressed only where there is a model that does something then."""
    for button in buttons:
        button.interactive = model.value is not None

    def offer(name: str | None) -> Any:
        updates = [gr.update(interactive=name is not None) for _ in buttons]
        return updates if len(updates) > 1 else updates[0]

    model.change(offer, model, [*buttons], show_progress="hidden", api_visibility="private")


def finish(running: Any, stop: gr.Button, status: gr.Markdown) -> None:
    """Reset the page when a computation fails or is stopped: its button goes, a word stays."""
    # Gradio counts what is cancelled as failed too: both leave the same words.
    words = (gr.update(visible=False), "Not finished; what there was by then stays.")
    running.failure(lambda: words, None, [stop, status], api_visibility="private")
    stop.click(lambda: words, None, [stop, status], cancels=[running], api_visibility="private")
