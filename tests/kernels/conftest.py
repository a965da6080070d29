"""A computer on which nothing was compiled yet."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from draw.kernels import choose
from draw.kernels.cpp import build


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A cache folder in which nothing was compiled yet, and a process that has loaded nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build._outcome.cache_clear()
    choose._note.cache_clear()
    yield tmp_path / "draw" / "kernels"
    build._outcome.cache_clear()
