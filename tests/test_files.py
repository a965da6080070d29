"""Reading files: only regular ones, and JSON only within limits."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from draw.errors import DrawError
from draw.files import check_regular_file, open_file, read_text
from draw.json_files import parse_json, read_json


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_in_a_loop(path: Path) -> None:
    path.symlink_to(path.name)


def link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def missing(path: Path) -> None:
    pass


KINDS: dict[Callable[[Path], None], str] = {
    folder: "no regular file: expected one, got a folder",
    pipe: "no regular file: expected one, got a named pipe",
    device: "no regular file: expected one, got a device",
    unix_socket: "no regular file: expected one, got a socket",
    link_in_a_loop: "expected a regular file .*levels of symbolic links",
    link_to_nothing: "found a link that leads nowhere",
    missing: "found none",
}


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("read", [check_regular_file, open_file, read_text, read_json])
def test_only_regular_files_are_read(
    read: Callable[[Path], object],
    make: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket may not be long
    path = Path("file")
    make(path)
    with pytest.raises(DrawError, match=KINDS[make]):
        read(path)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "\ud800"])
def test_a_name_that_can_be_none_is_no_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(DrawError, match=r"expected a (regular )?file"):
        read_text(tmp_path / name)


def test_a_link_to_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "there").write_text('{"a": "\u00e4"}', encoding="utf-8")
    (tmp_path / "link").symlink_to("there")
    assert read_json(tmp_path / "link") == {"a": "\u00e4"}


def test_a_file_beyond_the_limit_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("12345")
    assert read_text(path, largest=5) == "12345"
    with pytest.raises(DrawError, match="too large: expected 4 bytes at most"):
        read_text(path, largest=4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9" * 5000, "digits"),
        ("[" * 100_000 + "]" * 100_000, "too many levels"),
        ('{"a": ' * 100_000 + "1" + "}" * 100_000, "too many levels"),
        ("[NaN]", "finite number, got NaN"),
        ('{"a": -Infinity}', "finite number, got -Infinity"),
        ("[1e999]", "finite number, got 1e999"),
        ('{"a": 1, "a": 2}', "each name once, got more of a"),
        ("", "Expecting value"),
        ("{", "Expecting property name"),
    ],
)
def test_json_has_limits(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(DrawError, match=rf"file\.json is damaged: expected JSON, .*{message}"):
        read_json(path)


def test_what_is_not_utf_8_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(DrawError, match=r"file\.json is damaged: expected text in UTF-8"):
        read_json(path)
