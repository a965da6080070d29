"""The studio's server in this process, and requests to it byte by byte."""

import contextlib
import inspect
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from draw.studio.connection import Connection
from draw.studio.guard import Application
from draw.studio.models import Catalogue, Shelf
from draw.studio.page.parts import Studio
from draw.studio.server import make_server

HOST = b"Host: 127.0.0.1:7860\r\n"
PATIENCE = 20.0
"""Seconds after which a server that says nothing is taken to hang."""


def studio_of(runs: Path) -> Studio:
    catalogue = Catalogue(None, runs)
    return Studio(catalogue, Shelf(catalogue), runs)


def unwrap_generators(patch: pytest.MonkeyPatch) -> None:
    """Let Gradio see generators: the shape checks round each function hide them."""
    plain = inspect.isgeneratorfunction
    patch.setattr(inspect, "isgeneratorfunction", lambda made: plain(inspect.unwrap(made)))


@contextmanager
def listening(application: Application, connection: type[Connection] = Connection) -> Iterator[int]:
    """The port of a server in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = make_server(application, connection)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server ended"
            time.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        yield connection


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of the next answer; fails where none comes."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        assert part, f"expected an answer, got {data!r} and the end"
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    while length and len(body) < int(length[1]) and (part := connection.recv(65536)):
        body += part
    return int(head.split()[1]), body


def get(target: bytes, headers: bytes = HOST) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + headers + b"\r\n"


def post(path: bytes, body: bytes, headers: bytes = b"Content-Type: application/json\r\n") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + headers + length + b"\r\n" + body


def ask(port: int, request: bytes) -> tuple[int, bytes]:
    with connected(port) as connection:
        # a server that has heard enough answers and closes before all of a long request is sent
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        return answer(connection)


def join(session: str, event: int, *fields: object) -> bytes:
    """Asks the page's queue for an event."""
    asked = {"data": fields, "fn_index": event, "session_hash": session}
    return post(b"/gradio_api/queue/join", json.dumps(asked).encode())


def answers(port: int, session: str) -> list[dict[str, Any]]:
    """All that the queue says to a session until it has answered everything."""
    said = b""
    with connected(port) as connection:
        connection.sendall(get(f"/gradio_api/queue/data?session_hash={session}".encode()))
        while b"close_stream" not in said and (part := connection.recv(65536)):
            said += part
    return [json.loads(line[6:]) for line in said.splitlines() if line.startswith(b"data: ")]
