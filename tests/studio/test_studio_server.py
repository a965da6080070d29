"""What the studio's server makes of requests that no browser would send."""

import asyncio
import gc
import io
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.routes import file_upload_statuses
from PIL import Image

from draw.config.data import DataConfig
from draw.studio.connection import Connection
from draw.studio.guard import (
    LOCAL_NAMES,
    LONGEST_BODY,
    LONGEST_UPLOAD,
    Guard,
    Message,
    host_name,
    refusal_of,
)
from draw.studio.page import sources
from draw.studio.page.sources import DRAW
from draw.studio.questions import FILE
from draw.studio.reach import Reach
from draw.studio.scratch import Scratch
from draw.studio.server import make_application
from studio_runs import DRAWS, make_run
from studio_server import (
    HOST,
    answer,
    answers,
    ask,
    connected,
    get,
    join,
    listening,
    post,
    studio_of,
    unwrap_generators,
)  # fmt: skip

pytestmark = pytest.mark.live

JOIN, UPLOAD = b"/gradio_api/queue/join", b"/gradio_api/upload"
FORM = b"Content-Type: multipart/form-data; boundary=a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SESSIONS = 4


def form(disposition: bytes, end: bytes = b"\r\n--a--\r\n", headers: bytes = FORM) -> bytes:
    body = b"--a\r\nContent-Disposition: " + disposition + b"\r\n\r\nx" + end
    return post(UPLOAD, body, headers)


def asked(**fields: object) -> bytes:
    """The question of a page, with some fields as no page has them."""
    question = {"data": [], "fn_index": 0, "session_hash": "a", **fields}
    return post(JOIN, json.dumps(question).encode())


def lengthy(length: bytes, path: bytes = JOIN) -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Content-Length: " + length + b"\r\n\r\n"


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    folder = tmp_path_factory.mktemp("server")
    make_run(folder / "runs" / "draws", DRAWS, DataConfig(name="digits"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))
        unwrap_generators(patch)

        async def make() -> object:  # outside of a loop Gradio makes some, and leaves them open
            scratch = Scratch(folder / "uploads")
            return make_application(studio_of(folder / "runs"), Reach(), scratch, SESSIONS)

        yield asyncio.run(make())


@pytest.fixture(scope="module")
def port(application) -> Iterator[int]:
    with listening(application) as port:
        yield port


MALFORMED = {
    # request lines
    "nothing": (b"\r\n\r\n", 400),
    "no HTTP": (b"\x16\x03\x01\r\n\r\n", 400),
    "one word": (b"GET\r\n\r\n", 400),
    "no version": (b"GET /\r\n\r\n", 400),
    "another version": (b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", (200, 400, 505)),
    "spaces": (b"GET  /  HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a control character": (b"GET /\x01 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "bytes beyond ASCII": (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a method beyond ASCII": (b"G\xffT / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a method of its own": (b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "DELETE": (b"DELETE / HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", (404, 405)),
    "CONNECT": (b"CONNECT example.org:80 HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "an address": (get(b"http://example.org/"), 404),
    "half an address": (get(b"http://["), 404),
    "two slashes": (get(b"//["), 404),
    "escapes of nothing": (get(b"/%ff%00"), 404),
    "an endless line": (get(b"/" + b"a" * 100_000), (400, 404)),
    "a long name": (get(b"/assets/" + b"a" * 5000), 404),
    "a name one too long": (get(b"/static/" + b"a" * 256), 404),
    "a zero in a name": (get(b"/static/%00"), 404),
    "a zero in a file": (get(b"/gradio_api/file=%00"), (403, 404)),
    "a long file": (get(b"/gradio_api/file=" + b"a" * 5000), 404),
    "no session": (get(b"/gradio_api/queue/data"), 422),
    "no upload": (get(b"/gradio_api/upload_progress"), 422),
    # headers
    "no Host": (get(b"/", b""), 400),
    "no Host in HTTP/1.0": (b"GET / HTTP/1.0\r\n\r\n", 400),
    "two Hosts": (get(b"/", HOST + HOST), 400),
    "two Origins": (get(b"/", HOST + 2 * b"Origin: http://127.0.0.1:7860\r\n"), 400),
    "no colon": (get(b"/", HOST + b"nonsense\r\n"), 400),
    "a header without name": (get(b"/", HOST + b": a\r\n"), 400),
    "a space before the colon": (get(b"/", HOST + b"A : a\r\n"), 400),
    "a zero in a header": (get(b"/", HOST + b"A: \x00\r\n"), 400),
    "a folded header": (get(b"/", b" folded: a\r\n" + HOST), 400),
    "a long header": (get(b"/", HOST + b"A: " + b"a" * 100_000 + b"\r\n"), (200, 400)),
    "thousands of headers": (get(b"/", HOST + b"A: a\r\n" * 20_000), (200, 400)),
    "headers without end": (get(b"/", HOST + b"A: " + b"a" * 1_000_000), 400),
    "cookies of nothing": (get(b"/", HOST + b"Cookie: \xff;;=\r\n"), 200),
    "ranges": (get(b"/theme.css", HOST + b"Range: bytes=0-,-1,9-0,x\r\n"), (200, 400, 416)),
    "a proxy's names": (get(b"/", HOST + b"X-Forwarded-Host: [\r\n"), 200),
    "another protocol": (get(b"/", HOST + b"Upgrade: websocket\r\nConnection: upgrade\r\n"), 200),
    # how long a body is
    "no length": (b"POST " + JOIN + b" HTTP/1.1\r\n" + HOST + b"\r\n", 411),
    "a length in words": (lengthy(b"ten"), 400),
    "a negative length": (lengthy(b"-1"), 400),
    "a length with a sign": (lengthy(b"+1"), 400),
    "a length in hexadecimal": (lengthy(b"0x1"), 400),
    "half a length": (lengthy(b"1.5"), 400),
    "a length of 20 digits": (lengthy(b"9" * 20), 413),
    "a length of 5,000 digits": (lengthy(b"9" * 5000), 400),
    "one byte too many": (lengthy(b"%d" % (LONGEST_BODY + 1)), 413),
    "an upload one byte too long": (lengthy(b"%d" % (LONGEST_UPLOAD + 1), UPLOAD), 413),
    "two lengths": (lengthy(b"1\r\nContent-Length: 2"), 400),
    "a length twice": (lengthy(b"1, 2"), 400),
    "chunks": (lengthy(b"")[: -len(b"Content-Length: \r\n\r\n")] + CHUNKED + b"\r\n", 411),
    "chunks and a length": (lengthy(b"2\r\n" + CHUNKED[:-2]) + b"0\r\n\r\n", (400, 411)),
    "an unknown encoding": (lengthy(b"2\r\nTransfer-Encoding: gzip"), (400, 411, 501)),
    "a body with GET": (get(b"/", HOST + b"Content-Length: 5\r\n") + b"aaaaa", 400),
    "chunks with GET": (get(b"/", HOST + CHUNKED) + b"0\r\n\r\n", 411),
    # questions to the queue
    "no question": (post(JOIN, b""), 400),
    "no JSON": (post(JOIN, b"{"), 400),
    "not UTF-8": (post(JOIN, b"\xff"), 400),
    "a list": (post(JOIN, b"[]"), 400),
    "nothing in JSON": (post(JOIN, b"null"), 400),
    "100,000 levels": (post(JOIN, b"[" * 100_000), 400),
    "5,000 digits": (post(JOIN, b"1" * 5000), 400),
    "no number": (post(JOIN, b'{"data": [NaN], "fn_index": 0, "session_hash": "a"}'), 400),
    "no fields": (post(JOIN, b"{}"), 400),
    "text that is no JSON by its type": (
        post(JOIN, b'{"data": [], "fn_index": 0, "session_hash": "a"}', b""), (400, 422),
    ),
    "an event of nobody": (asked(fn_index=99_999), 400),
    "an event below zero": (asked(fn_index=-1), 400),
    "an event in words": (asked(fn_index="0"), 400),
    "half an event": (asked(fn_index=0.5), 400),
    "an event that is a list": (asked(fn_index=[0]), 400),
    "an event that is true": (asked(fn_index=True), 400),
    "no event": (asked(fn_index=None), 400),
    "a session without a name": (asked(session_hash=""), 400),
    "a session with a long name": (asked(session_hash="a" * 65), 400),
    "a session that is a number": (asked(session_hash=5), 400),
    "no session's name": (asked(session_hash=None), 400),
    "fields by name": (asked(data={}), 400),
    "too many fields": (asked(data=[0] * 99), 400),
    "a trigger in words": (asked(trigger_id="a"), 400),
    "nothing to cancel": (post(b"/gradio_api/cancel", b"{}"), 422),
    "nothing to reset": (post(b"/gradio_api/reset", b"[]"), 422),
    # uploads
    "no form": (post(UPLOAD, b"x"), 400),
    "a form of no type": (post(UPLOAD, b"x", b""), 400),
    "no boundary": (post(UPLOAD, b"x", b"Content-Type: multipart/form-data\r\n"), 400),
    "another boundary": (post(UPLOAD, b"x", FORM), 400),
    "no name": (form(b"form-data"), 400),
    "no file": (form(b'form-data; name="files"'), 400),
    "an endless file name": (form(b'form-data; name="files"; filename="' + b"q" * 9000), 413),
    "a wrong character set": (
        form(b'form-data; name="files"', headers=FORM[:-2] + b"; charset=none\r\n"), 400,
    ),
    # what only the page's address takes
    "a page that is sent": (post(b"/", b"x"), 405),
    "a route of programs": (post(b"/gradio_api/run/predict", b"{}"), 404),
}  # fmt: skip


class TestRequests:
    @pytest.mark.parametrize("name", MALFORMED)
    def test_malformed_ones_are_refused_and_the_server_goes_on(self, port, name):
        request, expected = MALFORMED[name]
        status, words = ask(port, request)
        assert status in (expected if isinstance(expected, tuple) else (expected,)), words
        assert ask(port, get(b"/gradio_api/app_id"))[0] == 200

    @pytest.mark.parametrize(
        ("headers", "path"),
        [
            (b"Content-Length: 10\r\n" + CHUNKED, UPLOAD),
            (CHUNKED + b"Content-Length: 10\r\n", JOIN),
            (CHUNKED, UPLOAD),
            (b"Content-Length: 999999999999\r\n", UPLOAD),
        ],
    )
    @pytest.mark.parametrize("method", [b"POST ", b"GET "])
    def test_no_more_than_an_upload_is_read(self, port, method, headers, path):
        """Whoever sends on and on is cut off; what lies in the system's buffers is not read."""
        part, sent = b"10000\r\n" + b"x" * 65536 + b"\r\n", 0
        with connected(port) as connection:
            connection.sendall(method + path + b" HTTP/1.1\r\n" + HOST + FORM + headers + b"\r\n")
            try:
                while sent < 4 * LONGEST_UPLOAD:
                    sent += connection.send(part)
            except ConnectionError:
                pass
        assert sent < LONGEST_UPLOAD

    def test_bytes_are_counted_whatever_was_promised(self):
        """As a server in front of the application might let them through."""
        said: list[Message] = []
        taken = []

        async def application(scope, receive, send):
            while (await receive()).get("more_body"):
                taken.append(1)
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b""})

        async def receive():
            return {"type": "http.request", "body": bytes(1_000_000), "more_body": True}

        async def send(message):
            said.append(message)

        headers = [(b"host", b"localhost"), (b"content-length", b"10")]
        scope = {"type": "http", "method": "POST", "path": JOIN.decode(), "headers": headers}
        asyncio.run(Guard(application, names=LOCAL_NAMES)(scope, receive, send))
        assert said[0]["status"] == 413
        assert len(taken) == LONGEST_BODY // 1_000_000

    def test_a_page_can_ask(self, port, application):
        """The way that all the above leave open."""
        assert ask(port, get(b"/"))[0] == 200
        sent = form(b'form-data; name="files"; filename="a.png"')
        status, words = ask(port, sent)
        assert (status, Path(json.loads(words)[0]).name) == (200, "a.png")


class TestNames:
    @pytest.mark.parametrize(
        "host",
        [
            "", "[", "]", "[]", "[::1", "::1]", "[::1]x", "[::1]:", "[zz]", "[:::1]", "a b", "a/b",
            "a@b", "a:b", "a:", ":80", "localhost:99999", "localhost:-1", "localhost:80:80", "a\\b",
            "http://localhost", "localhost,localhost", "ä", "a\tb", "a?b", "a#b", "%5b",
            "[::1%eth0]",
        ],
    )  # fmt: skip
    def test_malformed_ones_are_refused(self, host):
        for names in (LOCAL_NAMES, None):
            assert refusal_of("GET", "/", {b"host": host}, names)[0] == 400
        origin = {b"host": "localhost", b"origin": f"http://{host}"}
        assert refusal_of("GET", "/", origin, names=LOCAL_NAMES)[0] == 403
        if "://" not in host:
            assert refusal_of("GET", "/", {**origin, b"origin": host}, names=LOCAL_NAMES)[0] == 403

    @pytest.mark.parametrize(
        ("host", "name"),
        [("localhost", "localhost"), ("LocalHost:1", "localhost"), ("[::1]:80", "::1"),
         ("[0:0::1]", "::1"), ("127.0.0.1:65535", "127.0.0.1"), ("my-pc.lan", "my-pc.lan")],
    )  # fmt: skip
    def test_names_are_read(self, host, name):
        assert host_name(host) == name

    def test_requests_that_other_pages_make(self):
        here = {b"host": "localhost:7860"}
        opened = {b"sec-fetch-mode": "navigate", b"sec-fetch-dest": "document"}
        for site in ("cross-site", "same-site", "nonsense", ""):
            other = {**here, b"sec-fetch-site": site}
            for path in ("/", "/config", "/gradio_api/file=a", "/gradio_api/queue/data"):
                assert refusal_of("GET", path, other, names=LOCAL_NAMES)[0] == 403
            framed = {**other, **opened, b"sec-fetch-dest": "iframe"}
            assert refusal_of("GET", "/", framed, names=LOCAL_NAMES)[0] == 403
            sent = {**other, **opened, b"content-length": "0"}
            assert refusal_of("POST", "/gradio_api/queue/join", sent, names=LOCAL_NAMES)[0] == 403
            assert refusal_of("GET", "/config", {**other, **opened}, names=LOCAL_NAMES)[0] == 403
            assert refusal_of("GET", "/", {**other, **opened}, names=LOCAL_NAMES) is None, (
                "a link opens it"
            )
        for site in ("same-origin", "none"):
            assert (
                refusal_of("GET", "/config", {**here, b"sec-fetch-site": site}, names=LOCAL_NAMES)
                is None
            )


class Hasty(Connection):
    headers_seconds = body_seconds = 0.2


@pytest.fixture(scope="module")
def hasty() -> Iterator[int]:
    async def application(scope, receive, send):
        if scope["type"] == "http":
            while (await receive()).get("more_body"):
                pass
            headers = [(b"content-length", b"2")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"ok"})

    with listening(application, Hasty) as port:
        yield port


class TestWaiting:
    """Each of these waited for ever; a server that still does makes the test wait in vain."""

    @pytest.mark.parametrize(
        "half",
        [b"", b"G", b"GET / HT", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a",
         lengthy(b"9"), lengthy(b"9") + b"12345678"],
    )  # fmt: skip
    def test_half_a_request_is_closed(self, hasty, half):
        with connected(hasty) as connection:
            connection.sendall(half)
            assert answer(connection) == (408, b"the rest of the request did not come in time")
            assert connection.recv(1) == b""

    @pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\nA: ", lengthy(b"1000000")])
    def test_drops_do_not_keep_it_open(self, hasty, start):
        with connected(hasty) as connection:
            connection.sendall(start)
            connection.settimeout(0.02)
            for _ in range(1000):
                try:
                    assert b"408" in connection.recv(65536)
                    break
                except TimeoutError:
                    connection.sendall(b"a")
            else:
                pytest.fail("the connection stays open")

    def test_the_second_request_of_a_connection_too(self, hasty):
        with connected(hasty) as connection:
            for _ in range(3):
                connection.sendall(get(b"/"))
                assert answer(connection) == (200, b"ok")
            connection.sendall(b"GET")
            assert answer(connection)[0] == 408


@pytest.fixture(scope="module")
def light(application) -> int:
    """An event that takes one field and no time: another source of images is chosen."""
    events = application.routes[-1].app.get_blocks().fns.values()
    return next(
        event._id
        for event in events
        if event.name == "<lambda>" and (len(event.inputs), len(event.outputs)) == (1, 3)
    )


def fewest() -> Counter[str]:
    """Objects by type, the fewest there are within a second: what is under way comes and goes."""
    least: Counter[str] = Counter()
    for number in range(10):
        time.sleep(0.1 * (number > 0))
        gc.collect()
        found = Counter(type(thing).__name__ for thing in gc.get_objects())
        least = least & found if number else found
    return least


class TestSessions:
    def visit(self, port: int, event: int, session: str) -> None:
        assert ask(port, join(session, event, DRAW))[0] == 200
        said = answers(port, session)
        assert [one["success"] for one in said if one["msg"] == "process_completed"] == [True]

    @pytest.mark.slow
    def test_nothing_is_kept_of_those_long_ago(self, port, light):
        """Objects by type, counted once there are as many sessions as are kept, and later."""
        counts = []
        for number in range(6 * SESSIONS):
            self.visit(port, light, f"visitor{number}")
            if number in (2 * SESSIONS, 6 * SESSIONS - 1):
                counts.append(fewest())
        before, after = counts
        assert 0 < after["SessionState"] == before["SessionState"] <= SESSIONS + 1
        # A page's description has hundreds of dicts, so that what grows with each visit shows;
        # what waits for its time (timers, each with its context) goes when that has come.
        kept = after.keys() - {"TimerHandle", "Context"}
        grown = {name: after[name] - before[name] for name in kept}
        assert {name: by for name, by in grown.items() if by > 3 * SESSIONS} == {}

    def test_answers_that_nobody_fetches(self, port, light, application):
        blocks = application.routes[-1].app.get_blocks()
        for number in range(5 * SESSIONS):
            assert ask(port, join(f"silent{number}", light, DRAW))[0] == 200
        for book in (blocks._queue.pending_messages_per_session, blocks.state_holder.session_data,
                     blocks._queue.pending_event_ids_session):  # fmt: skip
            assert len(book) <= SESSIONS + 1, "the last is forgotten after its answer"

    def test_a_page_that_only_asks_is_refused_in_the_end(self, port, light):
        found = [ask(port, join("greedy", light, DRAW))[0] for _ in range(45)]
        assert (found[0], found[-1]) == (200, 429)

    def test_uploads_are_forgotten_too(self, port):
        sent = form(b'form-data; name="files"; filename="a.png"')
        for number in range(5 * SESSIONS):
            tracked = sent.replace(UPLOAD, UPLOAD + b"?upload_id=u%d" % number, 1)
            assert ask(port, tracked)[0] == 200
        assert len(file_upload_statuses._statuses) <= SESSIONS + 1
        assert len(file_upload_statuses._signals) <= SESSIONS + 1


class TestFiles:
    """Only what was uploaded is read: no other file of this computer, and nothing from a URL."""

    @pytest.fixture
    def uploads(self) -> Path:
        return Path(os.environ["GRADIO_TEMP_DIR"])

    @pytest.fixture
    def outside(self, tmp_path: Path) -> Path:
        Image.new("RGB", (16, 16), (255, 0, 0)).save(tmp_path / "private.png")
        return tmp_path / "private.png"

    @pytest.fixture
    def events(self, application: Any) -> list[Any]:
        """All events that call something."""
        found = application.routes[-1].app.get_blocks().fns.values()
        return [event for event in found if event.fn is not None and not event.cancels]

    @pytest.fixture
    def take_pictures(self, events: list[Any]) -> list[Any]:
        found = [one for one in events if gr.File in {type(field) for field in one.inputs}]
        assert len(found) > 1
        return found

    def fields(self, event: Any, path: object) -> list[Any]:
        """A question about a file; the rest is as on a page that nobody has touched."""
        file = {"path": str(path), "meta": {"_type": FILE}}
        chosen = {"Image": sources.UPLOAD, "Model": "runs/draws"}
        return [
            None if isinstance(field, gr.State) else file if isinstance(field, gr.File)
            else chosen.get(field.label, field.value) for field in event.inputs
        ]  # fmt: skip

    def happens(self, port: int, session: str, event: Any, path: object) -> dict[str, Any]:
        assert ask(port, join(session, event._id, *self.fields(event, path)))[0] == 200
        said = answers(port, session)
        return next(one for one in said if one["msg"] == "process_completed")

    def test_an_upload_is_read_and_what_is_made_of_it_is_saved(self, port, events, take_pictures):
        file = io.BytesIO()
        Image.new("L", (30, 30), 200).save(file, "PNG")
        part = b'Content-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        body = b"--a\r\n" + part + file.getvalue() + b"\r\n--a--\r\n"
        status, said = ask(port, post(UPLOAD, body, FORM))
        assert status == 200
        shows = next(
            event for event in take_pictures
            if event.name == "make" and "Model" in {field.label for field in event.inputs}
        )  # fmt: skip
        shown = self.happens(port, "sends", shows, json.loads(said)[0])
        assert shown["success"], shown
        states = {one._id for one in shows.outputs if isinstance(one, gr.State)}
        save = next(event for event in events if [*map(type, event.outputs)] == [gr.File]
                    and event.inputs[0]._id in states)  # fmt: skip
        saved = self.happens(port, "sends", save, "")
        assert saved["success"], saved
        address = saved["output"]["data"][0]["url"]
        status, picture = ask(port, get(address[address.index("/gradio_api") :].encode()))
        assert status == 200
        assert Image.open(io.BytesIO(picture)).format == "PNG"

    def test_any_other_file_is_refused_and_nothing_copied(
        self, port, take_pictures, outside, uploads, tmp_path
    ):
        within = uploads / tmp_path.name  # another where the test is run once more
        within.mkdir(parents=True)
        link, folder = within / "link.png", within / "folder"
        link.symlink_to(outside)
        folder.symlink_to(tmp_path)
        before = sorted(uploads.rglob("*"))
        for event in take_pictures:
            for path in (
                outside, link, folder / outside.name, uploads, f"{uploads}/../private.png",
                f"{uploads}-2/a.png", os.path.relpath(link), "/etc/hostname", "/nowhere.png", "",
                f"file://{outside}", "http://127.0.0.1:9/a.png", "https://example.org/a.png",
                "\0", "\ud800", f"{uploads}/\ud800",
            ):  # fmt: skip
                status, words = ask(port, join("reads", event._id, *self.fields(event, path)))
                assert status == 400, path
                assert b"a file that was uploaded to this studio" in words, path
        assert sorted(uploads.rglob("*")) == before

    def test_gradio_would_refuse_it_too(self, port, take_pictures, outside, uploads, monkeypatch):
        monkeypatch.setattr("draw.studio.questions._uploaded", lambda path: True)
        before = sorted(uploads.rglob("*"))
        for number, event in enumerate(take_pictures):
            assert not self.happens(port, f"asks{number}", event, outside)["success"]
        assert sorted(uploads.rglob("*")) == before
