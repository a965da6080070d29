"""Checks on what the page asks of Gradio's queue, before Gradio looks at any of it."""

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from draw.json_files import parse_json

LONGEST_CHOICE = 1000
"""Most characters of a name that was chosen from a list."""
SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
FILE = "gradio.FileData"


def _text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _choice(value: Any) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= LONGEST_CHOICE)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _file(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict)
        and isinstance(path := value.get("path"), str)
        and _uploaded(path)
        and isinstance(meta := value.get("meta"), dict)
        and meta.get("_type") == FILE
    )


def _uploaded(path: str) -> bool:
    """Whether a path is in the folder of the uploads, and does not lead out of it by a link.

    Gradio would copy any other file into that folder, and fetch a URL.
    """
    folder = os.path.realpath(get_upload_folder())
    try:
        return os.path.isabs(path) and os.path.realpath(path).startswith(os.path.join(folder, ""))
    except ValueError:  # a zero, or half a character
        return False


VALUES: Mapping[type, tuple[str, Callable[[Any], bool]]] = {
    gr.Dropdown: (f"text of at most {LONGEST_CHOICE} characters", _choice),
    gr.Radio: ("one of its choices", lambda value: value is not None and _choice(value)),
    gr.HTML: ("text", _text),
    gr.Number: ("a number", lambda value: value is None or _number(value)),
    gr.Slider: ("a number", _number),
    gr.Checkbox: ("true or false", lambda value: isinstance(value, bool)),
    gr.File: ("a file that was uploaded to this studio (send it again)", _file),
    gr.State: ("anything", lambda value: True),  # Gradio has its own, and takes none from a page
}
"""Value that each component of the page holds, in words, and a test of it."""


def session_of(blocks: gr.Blocks, body: bytes) -> str:
    """Check a question, and return the name of the session that asks.

    Args:
        blocks: the page.
        body: body of the request.

    Raises:
        ValueError: if it is no question that the page would ask.
    """
    asked = parse_json(body.decode())
    if not isinstance(asked, dict):
        raise ValueError("expected a question with its fields by name")
    number, name, data = (asked.get(key) for key in ("fn_index", "session_hash", "data"))
    event = blocks.fns.get(number) if type(number) is int else None
    if event is None:
        raise ValueError(f"expected the number of an event of the page, got {number!r:.40}")
    if not isinstance(name, str) or not SESSION.fullmatch(name):
        raise ValueError("expected a session's name of up to 64 letters and digits")
    if not isinstance(asked.get("trigger_id"), int | None):
        raise ValueError("expected the number of a component as trigger_id")
    if not isinstance(data, list) or (len(data) != len(event.inputs) and not event.cancels):
        raise ValueError(f"expected a list of {len(event.inputs)} fields")
    for component, value in zip(event.inputs, data, strict=False):
        words, holds = VALUES[type(component)]
        if not holds(value):
            label = getattr(component, "label", None) or "a field"
            raise ValueError(f"expected {label} to be {words}, got {value!r:.40}")
    return name
