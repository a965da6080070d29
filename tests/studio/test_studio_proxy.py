"""The studio behind a proxy that offers it under another name and path."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from playwright.sync_api import expect

from browser import launched, served
from draw.config.data import DataConfig
from draw.errors import DrawError
from draw.studio.guard import FOLDERS, LOCAL_NAMES, ROUTES, Receive, Scope, Send, refusal_of
from draw.studio.reach import Reach
from draw.studio.scratch import Scratch
from draw.studio.server import make_application
from studio_runs import DRAWS, make_run
from studio_server import ask, get, listening, studio_of

pytestmark = pytest.mark.live

NAME, ROOT = "draw.example.org", "/draw"
KNOWN = b"Host: draw.example.org\r\n"


def proxy_of(port: int) -> object:
    """A proxy as nginx would be with `location /draw/ { proxy_pass http://127.0.0.1:PORT/; }`."""

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if not scope["path"].startswith(f"{ROOT}/"):  # such as the icon that a browser asks for
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        path = scope["raw_path"].decode().removeprefix(ROOT)
        url = f"http://127.0.0.1:{port}{path}?{scope['query_string'].decode()}"
        headers = [one for one in scope["headers"] if one[0] != b"connection"]
        async with (
            httpx.AsyncClient(timeout=60) as client,
            client.stream(scope["method"], url, headers=headers, content=body or None) as answer,
        ):
            start = {"type": "http.response.start", "status": answer.status_code}
            kept = [one for one in answer.headers.raw if one[0].lower() != b"connection"]
            await send({**start, "headers": kept})
            async for part in answer.aiter_raw():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    return proxy


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Ports of the studio itself and of the proxy."""
    folder = tmp_path_factory.mktemp("proxy")
    make_run(folder / "runs" / "draws", DRAWS, DataConfig(name="digits"))
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))

        async def make() -> object:
            studio, scratch = studio_of(folder / "runs"), Scratch(folder / "uploads")
            return make_application(studio, Reach(other_names=(NAME,), root_path=ROOT), scratch)

        own = stack.enter_context(listening(asyncio.run(make())))
        yield own, stack.enter_context(listening(proxy_of(own)))


def test_the_page_is_at_the_proxys_name_and_path(ports):
    status, body = ask(ports[1], get(b"/draw/config", KNOWN))
    assert status == 200
    config = json.loads(body)
    assert config["root"] == f"http://{NAME}{ROOT}"
    status, page = ask(ports[1], get(b"/draw/", KNOWN))
    assert status == 200
    assert b"draw studio" in page


def test_only_names_that_were_given_are_answered(ports):
    for port, path in ((ports[0], b"/config"), (ports[1], b"/draw/config")):
        assert ask(port, get(path, KNOWN))[0] == 200
        status, words = ask(port, get(path, b"Host: evil.example\r\n"))
        assert (status, b"--allow-host NAME" in words) == (403, True)


def test_a_proxy_that_leaves_the_path_whole_is_told(ports):
    for path in (b"/draw", b"/draw/", b"/draw/config"):
        status, words = ask(ports[0], get(path, KNOWN))
        assert (status, words) == (
            404, b"expected a proxy that takes /draw off the path of what it passes on",
        )  # fmt: skip
    assert b"no such thing" in ask(ports[0], get(b"/drawing", KNOWN))[1]


def test_what_the_page_computes_with_is_there_at_any_path(ports):
    noise = b"/draw/noise?model=runs/draws&seed=1&index=0"
    for port, path in ((ports[0], noise), (ports[1], b"/draw" + noise)):
        status, body = ask(port, get(path, KNOWN))
        assert (status, len(body)) == (200, 4 * DRAWS.glimpses * DRAWS.latent_size)


@pytest.mark.parametrize("root_path", ["/draw", "/assets", "/gradio_api/queue"])
def test_no_route_of_the_page_is_taken_for_the_proxys_path(root_path):
    for path in (*ROUTES, *(f"{folder}a" for folder in FOLDERS)):
        assert refusal_of("GET", path, {b"host": "localhost"}, LOCAL_NAMES, root_path) is None


@pytest.mark.parametrize(
    ("reach", "names"),
    [
        (Reach(), {*LOCAL_NAMES}),
        (Reach("localhost", ("Draw.Example.org",)), {*LOCAL_NAMES, NAME}),
        (Reach("0.0.0.0"), None),
        (Reach("0.0.0.0", (NAME,)), {*LOCAL_NAMES, NAME}),
    ],
)
def test_names_of_an_address(reach, names):
    assert (None if reach.names is None else {*reach.names}) == names
    from_proxy = {b"host": NAME, b"origin": f"https://{NAME}"}
    served = refusal_of("GET", "/config", from_proxy, reach.names) is None
    assert served == (names is None or NAME in names)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"other_names": ("draw.example.org:80",)}, "--allow-host to be a name such as"),
        ({"other_names": ("http://draw.example.org",)}, "--allow-host to be a name such as"),
        ({"other_names": ("",)}, "--allow-host to be a name such as"),
        ({"root_path": "draw"}, "--root-path to be a path such as /draw"),
        ({"root_path": "/draw/"}, "--root-path to be a path such as /draw"),
        ({"root_path": "https://example.org/draw"}, "--root-path to be a path such as /draw"),
    ],
)
def test_what_is_no_name_or_path_is_refused(fields, words):
    with pytest.raises(DrawError, match=words):
        Reach(**fields)


@pytest.mark.slow
def test_a_browser_draws_through_the_proxy(tmp_path):
    make_run(tmp_path / "runs" / "draws", DRAWS, DataConfig(name="digits"))
    with (
        served(tmp_path / "runs", "--root-path", ROOT) as own,
        listening(proxy_of(int(own.rpartition(":")[2]))) as port,
        launched() as browser,
    ):
        address = f"http://127.0.0.1:{port}{ROOT}/"
        page, outside = browser.new_page(), []
        page.on("request", lambda sent: None if sent.url.startswith((address, "data:", "blob:"))
                else outside.append(sent.url))  # fmt: skip
        page.goto(address)
        page.locator("#generate-draw").wait_for(timeout=60_000)
        page.locator("#generate-draw").click()
        tile = page.locator("#generate-player .tile").first
        expect(tile).to_be_visible(timeout=60_000)
        assert outside == [], "the page asks for what the proxy does not have"
