"""Published files: fetched from a server on this computer, resumed, checked, whole or not there."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import huggingface_hub
import numpy as np
import pytest

from draw.config.data import DataConfig
from draw.data import DataError, check, load_splits, prepare
from draw.data.load import at_hand
from draw.data.sets.official import PublishedFile
from draw.data.sets.table import KNOWN_SETS
from draw.data.sources.published import download_files, is_whole


@dataclass
class Server:
    """What is served, and what was asked for."""

    address: str = ""
    contents: dict[str, bytes] = field(default_factory=dict)
    cut_after: int | None = None
    """Bytes after which every connection ends."""
    takes_ranges: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.send_response(200 if self.path in state.contents else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            asked = self.headers["Range"]
            state.requests.append((self.path, asked))
            content = state.contents.get(self.path)
            if content is None:
                self.send_error(404)
                return
            first = int(re.findall(r"\d+", asked)[0]) if asked and state.takes_ranges else 0
            self.send_response(206 if first else 200)
            rest = content[first:]
            self.send_header("Content-Length", str(len(rest)))
            if first:
                self.send_header(
                    "Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}"
                )
            self.end_headers()
            if state.cut_after is not None:
                self.wfile.write(rest[: state.cut_after])
                self.close_connection = True
                return
            self.wfile.write(rest)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{http.server_port}"
    thread = Thread(target=http.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("time.sleep", lambda _: None)  # between one try and the next
    huggingface_hub.close_session()
    yield state
    http.shutdown()
    http.server_close()
    thread.join()
    huggingface_hub.close_session()


def amat(count: int, seed: int) -> bytes:
    bits = np.random.default_rng(seed).integers(0, 2, (count, 784))
    return "".join(" ".join(map(str, row)) + "\n" for row in bits).encode()


@pytest.fixture
def files(server: Server, monkeypatch: pytest.MonkeyPatch) -> tuple[PublishedFile, ...]:
    """A small binarized_mnist, served."""
    published = []
    for seed, (split, name, count) in enumerate(
        [("train", "train", 20), ("validation", "valid", 4), ("test", "test", 4)]
    ):
        content, path = amat(count, seed), f"/binarized_mnist_{name}.amat"
        server.contents[path] = content
        sha256 = hashlib.sha256(content).hexdigest()
        published.append(PublishedFile(split, server.address + path, len(content), sha256))
    known = replace(KNOWN_SETS["binarized_mnist"], published_files=tuple(published))
    monkeypatch.setitem(KNOWN_SETS, "binarized_mnist", known)
    return tuple(published)


def config(tmp_path: Path) -> DataConfig:
    return DataConfig("binarized_mnist", cache_dir=str(tmp_path / "cache"))


def test_a_set_is_fetched_on_request_and_then_at_hand(
    server: Server, files: tuple[PublishedFile, ...], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="`draw data prepare binarized_mnist` fetches"):
        load_splits(config(tmp_path), progress=False)
    assert server.requests == []
    assert not at_hand(config(tmp_path))
    report = prepare(config(tmp_path), progress=False)
    assert [split.count for split in report.splits] == [20, 4, 4]
    assert at_hand(config(tmp_path))
    assert len(server.requests) == 3
    assert check(config(tmp_path), progress=False).official is True
    assert load_splits(config(tmp_path), progress=False).train.count == 20
    prepare(config(tmp_path), progress=False)
    assert len(server.requests) == 3


def test_a_fetch_goes_on_where_it_stopped(
    server: Server, files: tuple[PublishedFile, ...], tmp_path: Path
) -> None:
    part = tmp_path / f"{files[0].name}.part"
    part.write_bytes(server.contents["/binarized_mnist_train.amat"][:5000])
    download_files(files[:1], tmp_path)
    assert server.requests == [("/binarized_mnist_train.amat", "bytes=5000-")]
    assert is_whole(tmp_path / files[0].name, files[0])
    assert not part.exists()


def test_a_connection_that_ends_is_taken_up_again(
    server: Server,
    files: tuple[PublishedFile, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    server.cut_after = 5000
    download_files(files[:1], tmp_path)
    assert is_whole(tmp_path / files[0].name, files[0])
    assert [asked for _, asked in server.requests][:2] == [None, "bytes=5000-"]


def test_a_server_that_knows_no_ranges_begins_again(
    server: Server, files: tuple[PublishedFile, ...], tmp_path: Path
) -> None:
    (tmp_path / f"{files[0].name}.part").write_bytes(b"x" * 5000)
    server.takes_ranges = False
    download_files(files[:1], tmp_path)
    assert is_whole(tmp_path / files[0].name, files[0])


@pytest.mark.parametrize("fault", ["other bytes", "longer", "a part of something else"])
def test_what_is_something_else_is_removed(
    fault: str, server: Server, files: tuple[PublishedFile, ...], tmp_path: Path
) -> None:
    path, part = "/binarized_mnist_train.amat", tmp_path / f"{files[0].name}.part"
    right = server.contents[path]
    if fault == "a part of something else":
        part.write_bytes(b"x" * 5000)
    else:
        wrong = right[:-2] + b"5\n" if fault == "other bytes" else right + b"0\n"
        server.contents[path] = wrong
    with pytest.raises(DataError, match=r"got something else, which is removed|bytes, got more"):
        download_files(files[:1], tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == [".lock"]
    server.contents[path] = right
    download_files(files[:1], tmp_path)
    assert is_whole(tmp_path / files[0].name, files[0])


def test_a_fetch_that_fails_keeps_what_came(
    server: Server, files: tuple[PublishedFile, ...], tmp_path: Path
) -> None:
    (tmp_path / f"{files[0].name}.part").write_bytes(
        server.contents["/binarized_mnist_train.amat"][:5000]
    )
    del server.contents["/binarized_mnist_train.amat"]
    with pytest.raises(DataError, match=r"could not be fetched .*; what came of it is kept"):
        download_files(files[:1], tmp_path)
    assert (tmp_path / f"{files[0].name}.part").stat().st_size == 5000


def test_without_a_network_the_answer_comes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(*_: object) -> None:
        asked.append(1)
        raise OSError("no network")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setenv("NO_PROXY", "*")
    huggingface_hub.close_session()
    with pytest.raises(DataError, match=r"could not be fetched .* --data\.path FOLDER"):
        prepare(config(tmp_path), progress=False)
    assert len(asked) == 1
    huggingface_hub.close_session()


def test_the_published_addresses_are_of_one_place() -> None:
    published = KNOWN_SETS["binarized_mnist"].published_files
    assert [file.name for file in published] == [
        f"binarized_mnist_{split}.amat" for split in ("train", "valid", "test")
    ]
    assert sum(file.size for file in published) == 1568 * 70_000
