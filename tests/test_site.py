"""What `make docs` looks for in the site that it built."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def whole_site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("whole_site", ROOT / "docs/hooks/whole_site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_that_lead_nowhere_and_what_is_fetched_are_found(
    whole_site: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "style.css").touch()
    (tmp_path / "deep" / "index.html").write_text('<h2 id="here">')
    (tmp_path / "index.html").write_text(
        '<link rel="stylesheet" href="style.css"><script src="https://a.example/a.js"></script>'
        '<img src="none.png"><a href="deep/">a</a><a href="deep/index.html#here">b</a>'
        '<a href="deep/index.html#there">c</a><a href="gone.html">d</a><a id="o" href="#o">e</a>'
        '<a href="https://elsewhere.example/">f</a><a href="mailto:somebody">g</a>'
    )
    assert whole_site.faults(tmp_path) == [
        "index.html: loads https://a.example/a.js",
        "index.html: deep/index.html#there has no such place",
        "index.html: gone.html is not there",
        "index.html: none.png is not there",
    ]


def test_a_fault_is_a_warning_which_ends_a_strict_build(
    whole_site: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "index.html").write_text('<a href="gone.html">')
    whole_site.on_post_build(type("Config", (), {"site_dir": str(tmp_path)}))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "--strict" in (ROOT / "Makefile").read_text()
