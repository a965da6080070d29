"""What may be asked of the server: the page's own routes, from the page itself, and no more."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

from draw.studio.pictures import MAX_BYTES

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ROUTES = (
    "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt", "/pwa_icon",
    "/gradio_api/startup-events", "/gradio_api/upload", "/gradio_api/upload_progress",
    "/gradio_api/queue/join", "/gradio_api/queue/data", "/gradio_api/cancel", "/gradio_api/reset",
    "/gradio_api/app_id", "/gradio_api/info",
)  # fmt: skip
FOLDERS = ("/assets/", "/static/", "/gradio_api/heartbeat/", "/gradio_api/file=")
LONGEST_BODY = 4_000_000
"""Bytes of a request that is no upload: fields and a drawing."""
LONGEST_UPLOAD = MAX_BYTES + 100_000
"""Bytes of an upload and what a form adds to it."""
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        b"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        b"connect-src 'self' data: blob:; worker-src 'self' blob:; frame-ancestors 'none'; "
        b"form-action 'self'; base-uri 'self'; object-src 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Guard:
    """Refuses what the page never asks for.

    Gradio serves more than a page of one's own needs: a proxy, an interface for programs, tools to
    edit the page. A page of somebody else may send requests to an address of this computer: the
    names in Host and Origin tell. The browser is told to fetch nothing from elsewhere.

    Args:
        app: what is guarded.
        local: whether the server is for this computer alone.
    """

    def __init__(self, app: Application, local: bool) -> None:
        self.app, self.local = app, local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; see the class."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        refusal = refused(scope["method"], scope["path"], headers, self.local)
        if refusal is not None:
            await _answer(send, *refusal)
            return

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        await self.app(scope, receive, with_headers)


def refused(
    method: str, path: str, headers: Mapping[bytes, str], local: bool
) -> tuple[int, str] | None:
    """Status and words for a request that is not served; None for one that is."""
    host = urlsplit(f"//{headers.get(b'host', '')}")
    if local and host.hostname not in LOCAL_NAMES:
        return 403, "expected a name of this computer in Host, such as localhost"
    origin = headers.get(b"origin")
    if origin is not None and urlsplit(origin).netloc != host.netloc:
        return 403, "expected a request of the studio's own page"
    path = unquote(path)
    if path != "/" and path not in ROUTES and not path.startswith(FOLDERS):
        return 404, "there is no such thing here"
    if path.startswith("/gradio_api/file=") and "://" in path:
        return 404, "there is no such file here"
    if method not in ("GET", "HEAD", "POST"):
        return 405, "expected GET or POST"
    if method == "POST":
        length = headers.get(b"content-length", "")
        if not length.isdecimal():
            return 411, "expected the length of what is sent"
        upload = path == "/gradio_api/upload"
        if int(length) > (LONGEST_UPLOAD if upload else LONGEST_BODY):
            return 413, f"expected a picture of at most {MAX_BYTES // 2**20} MiB; make it smaller"
    return None


async def _answer(send: Send, status: int, words: str) -> None:
    body = words.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        *HEADERS,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
