"""The guard of the server, which serves the page's own routes to the page itself, and no more."""

import ipaddress
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote

from draw.errors import DrawError
from draw.studio.carried import NOISE, WEIGHTS
from draw.studio.pictures import MAX_BYTES

logger = logging.getLogger("draw")

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Refusal = tuple[int, str]
"""HTTP status and words."""

UPLOAD = "/gradio_api/upload"
ROUTES = (
    "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt", "/pwa_icon",
    "/gradio_api/startup-events", UPLOAD, "/gradio_api/upload_progress",
    "/gradio_api/queue/join", "/gradio_api/queue/data", "/gradio_api/cancel", "/gradio_api/reset",
    "/gradio_api/app_id", "/gradio_api/info", WEIGHTS, NOISE,
)  # fmt: skip
FOLDERS = ("/assets/", "/static/", "/gradio_api/heartbeat/", "/gradio_api/file=")
LONGEST_BODY = 4_000_000
"""Most bytes of a request that is no upload: fields and a drawing."""
LONGEST_UPLOAD = MAX_BYTES + 100_000
"""Most bytes of an upload and what a form adds to it."""
TOO_LARGE = f"expected a picture of at most {MAX_BYTES // 2**20} MiB; make it smaller"
FAULT = "something unexpected happened; the studio's terminal has the details"
LONGEST_NAME = 200
"""Most characters between two slashes of a path: the page's own are shorter, and no file's is
longer."""
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
ONCE = (
    b"host", b"origin", b"content-length", b"content-type",
    b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest",
)  # fmt: skip
"""Headers that decide, and so may come only once."""
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
    """Refuses what the page never asks for, and answers for what Gradio fails at.

    Gradio serves more than a page of one's own needs: a proxy, an interface for programs, tools to
    edit the page. A page of somebody else may send requests to an address of this computer: Host,
    Origin and Sec-Fetch-Site tell. The browser is told to fetch nothing from elsewhere.

    Args:
        app: application that is guarded.
        names: names under which it may be asked for, in Host; None for any.
        root_path: what a proxy takes off the paths of requests before it passes them on.
    """

    def __init__(
        self, app: Application, names: Collection[str] | None, root_path: str = ""
    ) -> None:
        self.app, self.names, self.root_path = app, names, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it; see the class."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        refusal = repeats_header(scope["headers"])
        if refusal is None:
            headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
            refusal = refusal_of(
                scope["method"], scope["path"], headers, self.names, self.root_path
            )
        exchange = _Exchange(receive, send, longest(scope["path"]), scope["method"] == "POST")
        if refusal is None:
            refusal = await self._served(scope, exchange)
        if refusal is not None:
            await answer(send, *refusal)

    async def _served(self, scope: Scope, exchange: "_Exchange") -> Refusal | None:
        """Let the application answer; what to say if it could not."""
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except Exception as error:
            if exchange.left:  # nobody waits for an answer any more
                return None
            if exchange.answered:
                raise
            if exchange.exceeded:
                return 413, TOO_LARGE
            if scope["path"] == UPLOAD and not isinstance(error, OSError):
                return 400, "expected a form with a file, got something else; send a picture"
            logger.exception("the studio met an error it did not expect", exc_info=error)
            return 500, FAULT
        if exchange.answered or exchange.left:
            return None
        return (413, TOO_LARGE) if exchange.exceeded else (500, FAULT)


class _Exchange:
    """A request's body, counted as it comes, and the answer, with our headers.

    Args:
        receive: where the body comes from.
        send: where the answer goes.
        most: bytes that the body may have.
        expected: whether there is a body.
    """

    def __init__(self, receive: Receive, send: Send, most: int, expected: bool) -> None:
        self._receive, self._send, self._most, self._more = receive, send, most, expected
        self._bytes = 0
        self._failed = False
        self.answered = False
        self.exceeded = False
        """More bytes came than the body may have, whatever the headers promised."""
        self.left = False
        """The other side went before it had sent all."""

    async def receive(self) -> Message:
        """The next part of the body."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.left = self._more
            return message
        self._bytes += len(message.get("body", b""))
        self._more = bool(message.get("more_body", False))
        self.exceeded = self._bytes > self._most
        if self.exceeded:
            raise DrawError(TOO_LARGE)
        return message

    async def send(self, message: Message) -> None:
        """The next part of the answer; what Gradio says when it fails is held back."""
        if message["type"] == "http.response.start":
            self._failed = self.exceeded or message["status"] == 500
            # What is still to come would be read only to be thrown away.
            closing = ((b"connection", b"close"),) if self._more else ()
            message["headers"] = [*message.get("headers", ()), *HEADERS, *closing]
        if not self._failed:
            self.answered = True
            await self._send(message)


async def answer(send: Send, status: int, words: str) -> None:
    """Answer without the application, and end the connection: what else it brings is not read."""
    body = words.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *HEADERS,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def repeats_header(headers: list[tuple[bytes, bytes]]) -> Refusal | None:
    """Refuse a request that has one of `ONCE` twice."""
    counts = Counter(name for name, _ in headers)
    for name in ONCE:
        if counts[name] > 1:
            return 400, f"expected {name.decode()} once, got it {counts[name]} times"
    return None


def refusal_of(
    method: str,
    path: str,
    headers: Mapping[bytes, str],
    names: Collection[str] | None,
    root_path: str = "",
) -> Refusal | None:
    """Status and words for a request that is not served; None for one that is."""
    return (
        _foreign(method, path, headers, names)
        or _unknown(method, path, root_path)
        or _boundless(method, path, headers)
    )


def _foreign(
    method: str, path: str, headers: Mapping[bytes, str], names: Collection[str] | None
) -> Refusal | None:
    """Requests under other names, or that another page makes."""
    host = headers.get(b"host", "")
    name = host_name(host)
    if name is None:
        return 400, "expected a name or an address in Host, such as localhost:7860"
    if names is not None and name not in names:
        return 403, (
            "expected a name of this computer in Host, such as localhost, or one that the studio "
            "was started with: draw studio --allow-host NAME"
        )
    origin = headers.get(b"origin")
    if origin is not None and origin.lower() not in (
        f"http://{host.lower()}", f"https://{host.lower()}"
    ):  # fmt: skip
        return 403, "expected a request of the studio's own page"
    # A link in another page may open this one; nothing else may come from there, not even from a
    # page under another port of this computer ("same-site").
    opens = (
        method == "GET" and path == "/" and headers.get(b"sec-fetch-mode") == "navigate"
        and headers.get(b"sec-fetch-dest") == "document"
    )  # fmt: skip
    if headers.get(b"sec-fetch-site", "none") not in ("same-origin", "none") and not opens:
        return 403, "expected a request of the studio's own page"
    return None


def host_name(host: str) -> str | None:
    """Name in a Host header, without its port; None if it is malformed."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?", host)
    if found is None or int(found[3] or 0) > 65535:
        return None
    if found[1] is None:
        return str(found[2]).lower()
    try:
        return str(ipaddress.IPv6Address(found[1]))
    except ValueError:
        return None


def _unknown(method: str, path: str, root_path: str) -> Refusal | None:
    """Requests for what the page does not have."""
    path = unquote(path)
    known = path == "/" or path in ROUTES or path.startswith(FOLDERS)
    if not known and root_path and f"{path}/".startswith(f"{root_path}/"):
        return 404, f"expected a proxy that takes {root_path} off the path of what it passes on"
    if not known:
        return 404, "there is no such thing here"
    if any(len(name) > LONGEST_NAME for name in path.split("/")):
        return 404, "there is no such thing here"
    if path.startswith("/gradio_api/file=") and "://" in path:
        return 404, "there is no such file here"
    if method not in ("GET", "HEAD", "POST"):
        return 405, "expected GET or POST"
    return None


def _boundless(method: str, path: str, headers: Mapping[bytes, str]) -> Refusal | None:
    """Requests that bring more than they may, or do not say how much."""
    if b"transfer-encoding" in headers:
        both = b"content-length" in headers
        return (400 if both else 411), "expected Content-Length alone to say how long the body is"
    length = headers.get(b"content-length", "" if method == "POST" else "0")
    if not re.fullmatch("[0-9]{1,20}", length):
        return 411, "expected the length of what is sent"
    if method != "POST" and int(length):
        return 400, f"expected nothing to be sent with {method}"
    if int(length) > longest(path):
        return 413, TOO_LARGE
    return None


def longest(path: str) -> int:
    """Most bytes that a request to a path may bring."""
    return LONGEST_UPLOAD if unquote(path) == UPLOAD else LONGEST_BODY
