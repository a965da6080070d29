"""A studio's uploads: within bounds, and gone when it ends, however it does."""

import asyncio
import fcntl
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from draw.studio import server
from draw.studio.reach import Reach
from draw.studio.scratch import (
    CONTENT,
    MARKER,
    PREFIX,
    Room,
    Scratch,
    remove_left_behind,
    scratch_folder,
)
from draw.studio.shutdown import end_in_order
from studio_server import ask, listening, post

pytestmark = pytest.mark.live

UPLOAD = b"/gradio_api/upload"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's temporary files go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """None is ignored, as nohup leaves SIGHUP to all that it starts."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


async def application(scope, receive, send):
    """Takes what comes and answers."""
    if scope["type"] == "http":
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


def left_by_the_dead(parent: Path, name: str = f"{PREFIX}abcd_123") -> Path:
    """A folder as a studio leaves it that was killed."""
    (parent / name / "uploads" / "0123").mkdir(parents=True)
    (parent / name / "uploads" / "0123" / "photo.png").write_bytes(b"private")
    (parent / name / MARKER).write_bytes(CONTENT)
    return parent / name


class TestEnding:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
    def test_a_signal_while_it_serves_leaves_nothing(self, temporary, monkeypatch, number):
        monkeypatch.setattr(server, "make_application", lambda *_: application)
        monkeypatch.setattr(server, "warm", lambda _: None)
        seen: list[Path] = []

        class Server(server.uvicorn.Server):
            async def main_loop(self) -> None:
                (folder,) = temporary.glob(f"{PREFIX}*")
                (folder / "uploads").mkdir()
                (folder / "uploads" / "photo.png").write_bytes(b"private")
                seen.append(folder)
                signal.raise_signal(number)
                await super().main_loop()

        monkeypatch.setattr(server.uvicorn, "Server", Server)
        before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
        arguments = None, temporary / "runs", Reach(), 0, False
        if number == signal.SIGINT:
            server.serve(*arguments)
        else:
            with pytest.raises(SystemExit, match="143"):
                server.serve(*arguments)
        assert len(seen) == 1
        assert list(temporary.iterdir()) == []
        assert before == {each: signal.getsignal(each) for each in before}
        assert "GRADIO_TEMP_DIR" not in os.environ

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_before_it_serves_leaves_nothing(self, temporary, number):
        def start() -> None:
            with end_in_order(), scratch_folder() as scratch:
                (scratch.folder / "photo.png").write_bytes(b"private")
                signal.raise_signal(number)

        with pytest.raises(SystemExit):
            start()
        assert list(temporary.iterdir()) == []

    def test_a_second_signal_does_not_interrupt_the_cleaning(self, temporary):
        def start() -> None:
            with end_in_order():
                try:
                    signal.raise_signal(signal.SIGTERM)
                finally:
                    signal.raise_signal(signal.SIGTERM)
                    signal.raise_signal(signal.SIGHUP)
                    (temporary / "cleaned").touch()

        with pytest.raises(SystemExit):
            start()
        assert (temporary / "cleaned").exists()

    def test_a_hang_up_that_is_ignored_stays_so(self):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            with end_in_order():
                signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        finally:
            signal.signal(signal.SIGHUP, before)


class TestLeftBehind:
    def test_a_dead_studios_folder_goes_when_another_starts(self, temporary):
        folder = left_by_the_dead(temporary)
        with scratch_folder() as scratch:
            assert [path.name for path in temporary.iterdir()] == [scratch.folder.name]
            assert not folder.exists()

    def test_a_living_studios_folder_stays(self, temporary):
        with scratch_folder() as scratch:
            (scratch.folder / "photo.png").write_bytes(b"private")
            remove_left_behind(temporary)
            assert (scratch.folder / "photo.png").exists()

    def test_what_is_not_wholly_ours_stays(self, temporary, tmp_path_factory):
        """Each is one thing away from a folder that is removed."""
        elsewhere = left_by_the_dead(tmp_path_factory.mktemp("elsewhere"))
        (temporary / f"{PREFIX}linked__").symlink_to(elsewhere)
        left_by_the_dead(temporary, "another-studio")
        left_by_the_dead(temporary, f"{PREFIX}abcd_123.bak")
        left_by_the_dead(temporary, f"{PREFIX}ABCD_123")
        (left_by_the_dead(temporary, f"{PREFIX}unmarked") / MARKER).unlink()
        (left_by_the_dead(temporary, f"{PREFIX}other_01") / MARKER).write_bytes(CONTENT + b"x")
        (left_by_the_dead(temporary, f"{PREFIX}other_02") / MARKER).write_bytes(CONTENT[:-1])
        for name, make in (
            ("link_001", lambda path: path.symlink_to(elsewhere / MARKER)),
            ("pipe_001", os.mkfifo), ("folder_1", os.mkdir),
        ):  # fmt: skip
            marker = left_by_the_dead(temporary, PREFIX + name) / MARKER
            marker.unlink()
            make(marker)
        (temporary / f"{PREFIX}is_a_fil").write_bytes(CONTENT)
        held = left_by_the_dead(temporary, f"{PREFIX}held_001") / MARKER
        before = sorted(path for path in temporary.rglob("*"))
        with open(held, "rb") as marker:
            fcntl.flock(marker, fcntl.LOCK_EX)
            remove_left_behind(temporary)
        assert sorted(path for path in temporary.rglob("*")) == before
        assert (elsewhere / "uploads" / "0123" / "photo.png").exists()

    def test_another_users_stays(self, temporary, monkeypatch):
        folder = left_by_the_dead(temporary)
        monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
        remove_left_behind(temporary)
        assert (folder / MARKER).exists()

    def test_links_in_a_dead_studios_folder_are_not_followed(self, temporary, tmp_path_factory):
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        (elsewhere / "thesis.tex").touch()
        folder = left_by_the_dead(temporary)
        (folder / "uploads" / "link").symlink_to(elsewhere)
        remove_left_behind(temporary)
        assert not folder.exists()
        assert (elsewhere / "thesis.tex").exists()


class TestRoom:
    def fill(self, scratch: Scratch, count: int, age: float) -> list[Path]:
        """Files of 100 bytes, the first the oldest."""
        made = []
        for number in range(count):
            path = scratch.folder / str(number) / "photo.png"
            path.parent.mkdir()
            path.write_bytes(bytes(100))
            os.utime(path, (time.time() - age - count + number,) * 2)
            made.append(path)
        return made

    def test_the_oldest_give_way(self, temporary):
        scratch = Scratch(temporary, most_bytes=1000)
        files = self.fill(scratch, 8, age=3600)
        assert scratch.make_room(400)
        assert [path.exists() for path in files] == [False] * 2 + [True] * 6
        assert not files[0].parent.exists()

    def test_there_are_not_too_many_however_small(self, temporary):
        scratch = Scratch(temporary, most_files=5)
        files = self.fill(scratch, 8, age=3600)
        assert scratch.make_room(1)
        assert sum(path.exists() for path in files) == 4

    def test_what_was_just_sent_stays(self, temporary):
        scratch = Scratch(temporary, most_bytes=1000)
        files = self.fill(scratch, 8, age=0)
        assert not scratch.make_room(400)
        assert all(path.exists() for path in files)

    @pytest.fixture
    def port(self, temporary) -> Iterator[int]:
        with listening(Room(application, Scratch(temporary, most_bytes=1000))) as port:
            yield port

    def test_an_upload_without_room_is_refused_with_words(self, temporary, port):
        assert ask(port, post(UPLOAD, bytes(200)))[0] == 200
        self.fill(Scratch(temporary), 9, age=0)
        status, words = ask(port, post(UPLOAD, bytes(200)))
        assert status == 507
        assert b"wait a little, then send it again" in words
        assert ask(port, post(b"/gradio_api/queue/join", b"{}"))[0] == 200
        shutil.rmtree(temporary / "0")
        assert ask(port, post(UPLOAD, bytes(200)))[0] == 200, "nothing is counted twice"

    def test_those_on_their_way_count(self, temporary):
        """Ten at once, each of which would fit alone."""
        arrived, go = threading.Semaphore(0), threading.Event()

        async def waiting(scope, receive, send):
            if scope["type"] == "http":
                arrived.release()
                while not go.is_set():
                    await asyncio.sleep(0.01)
            await application(scope, receive, send)

        found: list[int] = []
        with listening(Room(waiting, Scratch(temporary, most_bytes=1000))) as port:

            def send() -> None:
                found.append(ask(port, post(UPLOAD, bytes(400)))[0])

            senders = [threading.Thread(target=send) for _ in range(5)]
            for sender in senders:
                sender.start()
            arrived.acquire()
            arrived.acquire()
            while len(found) < 3:
                time.sleep(0.01)
            go.set()
            for sender in senders:
                sender.join()
        assert sorted(found) == [200, 200, 507, 507, 507]
