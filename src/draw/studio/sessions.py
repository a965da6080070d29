"""Sessions: what Gradio keeps of every visitor, held to the few who came last."""

import os
import sys
from collections.abc import Collection, MutableMapping
from typing import Any

import gradio as gr
from gradio.routes import file_upload_statuses

from draw.studio.guard import Application, Message, Receive, Refusal, Scope, Send, answer
from draw.studio.questions import session_of

JOIN = "/gradio_api/queue/join"
MOST_SESSIONS = 100
"""Most open pages of which something is kept, 0.3 MB and their last results each."""
MOST_UNREAD = 40
"""Most questions of one page whose answers it has not fetched yet."""


class Sessions:
    """Middleware that checks what a page asks for, and forgets the pages used longest ago.

    Gradio keeps a copy of the page's whole description for each session that it has ever heard of
    (the last 10,000 of them), and answers that are never fetched. A page that was forgotten works
    on; only its last drawing can no longer be saved.

    Args:
        app: application that Gradio made.
        blocks: page of the application.
        most: most sessions that are kept.
    """

    def __init__(self, app: Application, blocks: gr.Blocks, most: int = MOST_SESSIONS) -> None:
        self.app, self.blocks, self.most = app, blocks, most
        blocks.state_holder.capacity = blocks._queue.ANALYTICS_MAX_EVENTS = most
        # Statistics of all events, made anew after each; their route is not served.
        blocks._queue.ANAYLTICS_CACHE_FREQUENCY = sys.maxsize

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; see the class."""
        if scope["type"] == "http" and scope["path"] == JOIN and scope["method"] == "POST":
            body = await _whole(receive)
            refusal = self._refused(body)
            if refusal is not None:
                await answer(send, *refusal)
                return
            receive = _again(body, receive)
        await self.app(scope, receive, send)
        await self._forget()

    def _refused(self, body: bytes) -> Refusal | None:
        """Words for a question that the page would not ask, or not so soon."""
        try:
            name = session_of(self.blocks, body)
        except ValueError as error:
            return 400, str(error)
        if len(self.blocks._queue.pending_event_ids_session.get(name, ())) >= MOST_UNREAD:
            return 429, f"{MOST_UNREAD} answers wait to be fetched; load the page again"
        return None

    async def _forget(self) -> None:
        """Let go of what belongs to sessions that are no longer among the last."""
        known, queue = self.blocks.state_holder.session_data, self.blocks._queue
        books: tuple[MutableMapping[str, Any], ...] = (
            queue.pending_messages_per_session, queue.pending_event_ids_session,
        )  # fmt: skip
        for book in books:
            for name in _excess(book, self.most, known):
                await queue.clean_events(session_hash=name)
                book.pop(name, None)
        for files in self.blocks.temp_file_sets:
            if len(files) > self.most:
                files &= {name for name in files if os.path.exists(name)}
        for uploads in (file_upload_statuses._statuses, file_upload_statuses._signals):
            for name in _excess(uploads, self.most, ()):
                uploads.pop(name, None)


def _excess(book: Collection[str], most: int, kept: Collection[str]) -> list[str]:
    """The oldest names beyond the most that there may be, without those that are kept."""
    return [name for name in book if name not in kept][: max(0, len(book) - most)]


async def _whole(receive: Receive) -> bytes:
    """A request's body; the guard before this bounds it."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Receives a body that has been read already, then what comes after it."""
    parts: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return parts.pop() if parts else await receive()

    return replay
