"""Fields of every kind but the right one: what the page says then, and that it says it."""

import asyncio
import base64
import dataclasses
import io
import json
import logging
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio.routes import App
from gradio.state_holder import SessionState
from PIL import Image

from draw.config.data import DataConfig
from draw.config.model import ClassifierConfig
from draw.errors import DrawError
from draw.studio.exploration import Ends
from draw.studio.generation import NONE
from draw.studio.image_source import examples
from draw.studio.models import Catalogue, Shelf
from draw.studio.numbers import whole
from draw.studio.page import app, explore, generate, sources
from draw.studio.page.explore import IMAGES
from draw.studio.page.parts import Studio
from draw.studio.page.sources import DRAW, TEST, UPLOAD
from draw.studio.pictures import PNG_ADDRESS
from draw.studio.questions import FILE, LONGEST_CHOICE, VALUES, session_of
from studio_runs import DRAWS, make_run
from studio_server import unwrap_generators

OTHERS: tuple[Any, ...] = (
    None, True, 5, -1.5, 10**400, 1e308, "", "words", "\0", "a" * (LONGEST_CHOICE + 1),
    [], ["runs/draws"], [[]], {}, {"a": [1]}, {"path": "/etc/passwd"},
    {"path": "/etc/passwd", "meta": {"_type": FILE}},
    {"path": "../../etc/passwd", "meta": {"_type": FILE}},
    {"path": "\0", "meta": {"_type": FILE}},
)  # fmt: skip
"""One of them is right for some field; none is for all."""


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    root = tmp_path_factory.mktemp("fields") / "runs"
    digits = DataConfig(name="digits", binarize="dynamic", cache_dir=str(root.parent / "cache"))
    make_run(root / "draws", DRAWS, digits)
    small = ClassifierConfig(rows=28, columns=28, glimpses=2, hidden_size=8, read_size=2)
    make_run(root / "looks", small, digits)
    make_run(root / "little", dataclasses.replace(small, rows=20, columns=20), digits)
    make_run(root / "wide", dataclasses.replace(small, rows=30, columns=40), digits)
    make_run(root / "told", dataclasses.replace(DRAWS, condition="class"), digits)
    make_run(root / "coloured", dataclasses.replace(DRAWS, channels=3), DataConfig("images"))
    catalogue = Catalogue(None, root)
    return Studio(catalogue, Shelf(catalogue), root)


@pytest.fixture(scope="module")
def page(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[gr.Blocks]:
    async def build() -> gr.Blocks:
        blocks = app.build(studio)
        blocks.queue()
        App.create_app(blocks)
        return blocks

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        patch.setattr("draw.model.pretrained.WEIGHTS", tmp_path_factory.mktemp("no-weights"))
        unwrap_generators(patch)
        yield asyncio.run(build())


def right(component: gr.components.Component) -> Any:
    """What the page sends of a field that nobody has touched."""
    return None if isinstance(component, gr.State) else getattr(component, "value", None)


def question(event: int, fields: list[Any]) -> bytes:
    return json.dumps({"fn_index": event, "session_hash": "a", "data": fields}).encode()


async def happens(page: gr.Blocks, event: Any, fields: list[Any]) -> list[Any]:
    """The event, to its end: all that it sends to its outputs."""
    state, iterator = SessionState(page), None
    sent: list[Any] = []
    while True:
        made = await page.process_api(event, fields, state=state, iterator=iterator)
        sent += made["data"]
        iterator = made["iterator"]
        if iterator is None:
            return sent


def outcome(page: gr.Blocks, event: Any, fields: list[Any]) -> tuple[str, str]:
    try:
        session_of(page, question(event._id, fields))
    except ValueError as error:
        return "refused", str(error)
    try:
        sent = asyncio.run(happens(page, event, fields))
    except gr.Error as error:
        return "told", str(error)
    lines = [text for text in sent if isinstance(text, str) and "That did not work." in text]
    return ("told", lines[-1]) if lines else ("done", "")


def events(page: gr.Blocks) -> list[Any]:
    return [event for event in page.fns.values() if event.fn is not None and not event.cancels]


def function(page: gr.Blocks, name: str, place: int = 0) -> Any:
    """What an event of the page calls, without its wrappings."""
    found = [event.fn for event in page.fns.values() if event.name == name]
    return found[place]


def test_another_is_one_of_the_test_images(page, studio, monkeypatch):
    # Forty numbers drawn anew at each run would all be small now and then.
    seeded = random.Random(0)
    monkeypatch.setattr(random, "SystemRandom", lambda: seeded)
    another, others = function(page, "another"), function(page, "two_others")
    with studio.shelf.use("runs/draws") as loaded:
        count = examples(loaded).images.count
    assert count > 170
    numbers = [another("runs/draws", None) for _ in range(40)]
    assert max(numbers) > 170
    assert min(numbers) >= 1
    assert {len({*others("runs/draws", IMAGES, None)}) for _ in range(15)} == {2}
    assert max(max(others("runs/draws", IMAGES, None)) for _ in range(15)) <= count


def test_seeds_without_classes_are_told_two(studio):
    ends = explore._ends(studio, "runs/told", explore.SEEDS, None, 3, 4, None, None)
    assert ends == Ends(3, 4, (0, 1))
    ends = explore._ends(studio, "runs/draws", explore.SEEDS, None, 3, 4, None, None)
    assert ends == Ends(3, 4)


def test_boxes_that_do_nothing_are_not_there(page, studio):
    lay = function(page, "lay")
    for name, kind, room in (("looks", DRAW, False), ("wide", DRAW, True), ("wide", TEST, False)):
        shown = [update["visible"] for update in lay(f"runs/{name}", kind)]
        assert shown == [room, False], (name, kind)
    grey = [sources._grey(studio.shelf, name) for name in ("runs/draws", "runs/coloured", None)]
    assert grey == [True, False, False]


def test_a_drawing_for_images_smaller_than_a_digit(page, studio):
    drawn = np.zeros((100, 100), np.uint8)
    drawn[20:80, 40:60] = 255
    file = io.BytesIO()
    Image.fromarray(drawn).save(file, "PNG")
    address = PNG_ADDRESS + base64.b64encode(file.getvalue()).decode()
    (make,) = (
        event.fn for event in page.fns.values()
        if event.name == "make" and "Classifier" in {each.label for each in event.inputs}
    )  # fmt: skip
    fields = [DRAW, None, 1, address, True, None, "Middle, cropped", False]
    *_, (shown, words, answer, _) = make("runs/little", True, 0, *fields)
    assert (json.loads(shown)["rows"], words) == (20, "Your drawing")
    assert answer.startswith("It says")


def test_without_a_class_the_guidance_rests():
    assert generate._guidance(NONE)["interactive"] is False
    assert generate._guidance("7")["interactive"] is True


def test_without_a_model_there_is_nothing_to_press(page, tmp_path, monkeypatch):
    """And with the first one there is: each button that does something then can be pressed."""
    monkeypatch.setattr("draw.model.pretrained.WEIGHTS", tmp_path)
    catalogue = Catalogue(None, tmp_path / "runs")

    async def build() -> gr.Blocks:
        return app.build(Studio(catalogue, Shelf(catalogue), catalogue.runs))

    def buttons(blocks: gr.Blocks, *, interactive: bool) -> set[str]:
        return {
            block.elem_id or f"{block.value} {block._id}" for block in blocks.blocks.values()
            if isinstance(block, gr.Button) and block.visible and block.interactive is interactive
        }  # fmt: skip

    empty = asyncio.run(build())
    assert buttons(empty, interactive=True) == set()
    freed = {
        button._id for event in empty.fns.values() if event.name == "offer"
        for button, update in zip(event.outputs, _listed(event.fn("a")), strict=True)
        if isinstance(button, gr.Button) and update["interactive"]
    }  # fmt: skip
    assert len(freed) == len(buttons(page, interactive=True)) > 5


def _listed(updates: Any) -> list[Any]:
    return list(updates) if isinstance(updates, list | tuple) else [updates]


class TestFields:
    def test_every_kind_of_field_is_known(self, page):
        used = {type(field) for event in page.fns.values() for field in event.inputs}
        assert used <= VALUES.keys()

    def test_those_of_the_page_are_right(self, page):
        for event in events(page):
            found = outcome(page, event, [right(field) for field in event.inputs])
            assert found[0] in ("done", "told"), found
            assert "unexpected" not in found[1]

    @pytest.mark.slow
    def test_others_are_told(self, page, caplog):
        """Every field of every event, with every value of another type or from nowhere."""
        found: Counter[str] = Counter()
        wrong = []
        for event in events(page):
            for place, field in enumerate(event.inputs):
                if isinstance(field, gr.State):
                    continue
                for value in OTHERS:
                    fields = [right(each) for each in event.inputs]
                    fields[place] = value
                    kind, words = outcome(page, event, fields)
                    found[kind] += 1
                    if "unexpected" in words or (kind == "refused" and "expected" not in words):
                        wrong.append(f"{event.name} {field.label}={value!r:.30}: {words}")
        assert wrong == []
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
        assert min(found.values()) > 20, found

    def test_an_upload_that_was_removed_is_told(self, page):
        gone = {"path": f"{page.app.uploaded_file_dir}/0123/a.png", "meta": {"_type": FILE}}
        events_of_files = [
            event for event in events(page) if gr.File in {type(field) for field in event.inputs}
        ]
        assert events_of_files
        for event in events_of_files:
            fields = [
                gone if isinstance(field, gr.File) else UPLOAD if field.label == "Image"
                else right(field) for field in event.inputs
            ]  # fmt: skip
            kind, words = outcome(page, event, fields)
            assert (kind, "could not be read" in words or "send it again" in words) == (
                "told",
                True,
            )

    @pytest.mark.parametrize("value", [10**400, -(10**400), 10**22])
    def test_numbers_beyond_all_floats(self, value):
        with pytest.raises(DrawError, match="expected the seed to be a number from 0 to 64, got"):
            whole("the seed", value, 0, 64)


class TestFollowing:
    """A run's page is looked at every three seconds."""

    @pytest.mark.parametrize("error", [DrawError("damaged"), ValueError("?"), TypeError("?")])
    def test_a_mishap_is_told_once(self, page, monkeypatch, error):
        def read(*_: object) -> None:
            raise error

        monkeypatch.setattr("draw.studio.observation.read", read)
        look = next(event.fn for event in page.fns.values() if event.name == "look")
        told = look("runs/draws", "none", True, None)
        assert 'role="status"' in told[0]
        again = look("runs/draws", "none", True, told[-1])
        assert all(output == gr.skip() for output in again)

    @pytest.mark.parametrize(
        "content",
        [b"\xff\xfe\n", b"[" * 100_000, b'{"kind": "test", "step": "x", "images_seen": []}\n',
         b'{"kind": [], "step": 1e999}\n', b"null\n5\n[]\n", b'{"kind": {}}'],
    )  # fmt: skip
    def test_hostile_metrics_are_counted(self, page, studio, content):
        path = studio.runs / "draws" / "metrics.jsonl"
        before = path.read_bytes()
        path.write_bytes(before + content)
        try:
            look = next(event.fn for event in page.fns.values() if event.name == "look")
            assert "Damaged lines" in look("runs/draws", "none", True, None)[0]
        finally:
            path.write_bytes(before)
