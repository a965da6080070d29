"""HTTP connections with a limit of time for the headers of a request, and for its body."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_SECONDS = 15.0
"""Seconds for a request's first line and headers, from the connection or the request's first
byte."""
BODY_SECONDS = 120.0
"""Seconds for a whole body: the largest upload at 170 kB a second."""


class Connection(H11Protocol):
    """A connection that ends when the rest of a request does not come in time."""

    headers_seconds, body_seconds = HEADERS_SECONDS, BODY_SECONDS
    _awaited: type | None = None
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start to wait for headers."""
        super().connection_made(transport)
        self._await()

    def data_received(self, data: bytes) -> None:
        """Pass data on, and wait for what comes next."""
        super().data_received(data)
        self._await()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting for anything."""
        self._calm()
        super().connection_lost(exc)

    def _await(self) -> None:
        """Give what is awaited now its time; what was awaited before keeps its own."""
        state = self.conn.their_state
        seconds = {h11.IDLE: self.headers_seconds, h11.SEND_BODY: self.body_seconds}.get(state)
        if seconds is None or self.transport.is_closing():
            self._calm()
        elif self._awaited is not state:
            self._calm()
            self._awaited = state
            self._patience = self.loop.call_later(seconds, self._give_up)

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._awaited = self._patience = None

    def _give_up(self) -> None:
        """Say so where no answer has begun, and close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            words = b"the rest of the request did not come in time"
            headers = [
                ("content-type", "text/plain; charset=utf-8"),
                ("content-length", str(len(words))),
                ("connection", "close"),
            ]
            answer = h11.Response(status_code=408, headers=headers, reason=b"Request Timeout")
            for event in (answer, h11.Data(data=words), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
