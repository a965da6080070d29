"""What the page is made of: its code as it was built, its words, what draw page writes."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from draw.model.pretrained import shipped_models
from draw.page.document import SCRIPT, STUDIO_SCRIPT, STYLE
from draw.page.portable import ENCODES, page_models
from running import draw_command

SOURCES = SCRIPT.parents[1]
ESBUILD = SOURCES / "node_modules" / "esbuild"
LARGEST = 150_000


@pytest.mark.parametrize("built", [SCRIPT, STUDIO_SCRIPT], ids=lambda path: path.name)
def test_the_committed_code_is_built_of_the_sources(built: Path) -> None:
    digest = hashlib.sha256()
    for path in sorted((SOURCES / "script").glob("*.js"), key=lambda path: path.name):
        digest.update(f"{path.name}\n{path.read_text()}\n".encode())
    found = re.match(r"/\* sources (\w+) \*/", built.read_text())
    assert found is not None
    assert found[1] == digest.hexdigest()[:16], "run make page and commit what it builds"


needs_tools = pytest.mark.skipif(
    shutil.which("node") is None or not ESBUILD.exists(),
    reason="needs Node and what make page installs",
)


@needs_tools
def test_the_types_hold() -> None:
    compiler = SOURCES / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run(
        ["node", str(compiler)], cwd=SOURCES, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout


@needs_tools
def test_building_it_anew_gives_the_same(tmp_path: Path) -> None:
    command = ["node", "build.js", str(tmp_path)]
    subprocess.run(command, cwd=SOURCES, check=True, timeout=100)
    for path in (SCRIPT, STUDIO_SCRIPT):
        assert (tmp_path / path.name).read_text() == path.read_text()


def test_the_pages_code_is_small() -> None:
    assert SCRIPT.stat().st_size + STYLE.stat().st_size < LARGEST


SAME_WORDS = """
import { WORDS } from "./words.js";
const shape = (words) => Object.fromEntries(Object.entries(words).map(([name, value]) =>
  [name, Array.isArray(value) ? value.length : typeof value === "object" ? shape(value)
    : typeof value === "function" ? `function of ${value.length}` : "text"]));
const shapes = Object.fromEntries(Object.entries(WORDS).map(([code, one]) => [code, shape(one)]));
console.log(JSON.stringify(shapes));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node, which is not here")
def test_every_language_has_every_word() -> None:
    done = subprocess.run(
        ["node", "--input-type=module", "-e", SAME_WORDS], cwd=SOURCES / "script",
        capture_output=True, text=True, check=True, timeout=100,
    )  # fmt: skip
    shapes = json.loads(done.stdout)
    assert {"en", "ko"} <= {*shapes}
    for code, shape in shapes.items():
        assert shape == shapes["en"], code


def policy(text: str) -> dict[str, str]:
    """The content security policy of a document, by directive."""
    found = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert found is not None
    return dict(part.strip().split(" ", 1) for part in found[1].split(";"))


def test_a_folder_for_a_static_host(tmp_path: Path) -> None:
    said = draw_command("page", "--to", "site", cwd=tmp_path).stdout
    folder = tmp_path / "site"
    wanted = {f"weights/{name}.safetensors" for name in page_models()}
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {"index.html", "page.js", "style.css"} | wanted
    text = (folder / "index.html").read_text()
    rules = policy(text)
    assert rules["default-src"] == "'none'"
    assert {*rules.values()} == {"'none'", "'self'"}
    for name in page_models():
        size = (folder / f"weights/{name}.safetensors").stat().st_size
        whole = (shipped_models()[name] / "model.safetensors").stat().st_size
        assert (size < 0.7 * whole) is (not ENCODES[name] and name != "cluttered"), name
    assert "MB with mnist" in said
    kept = draw_command("page", "--to", "site", cwd=tmp_path, check=1)
    assert "site exists already and is left as it is" in kept.stderr


def test_one_file(tmp_path: Path) -> None:
    links = ("--documents", "../index.html", "--code", 'https://code.test/?a="b"')
    chosen = ("--single", "--models", "cluttered")
    draw_command("page", "--to", "draw.html", *chosen, *links, cwd=tmp_path)
    text = (tmp_path / "draw.html").read_text()
    rules = policy(text)
    assert rules["default-src"] == "'none'"
    assert not {"connect-src", "img-src", "frame-src"} & {*rules}
    assert re.fullmatch(r"'sha256-[\w+/=]+'", rules["script-src"])
    assert re.fullmatch(r"'sha256-[\w+/=]+'", rules["style-src"])
    carried = set(re.findall(r'id="weights-([\w-]+)"', text))
    assert carried == {"mnist", "cluttered"}
    head = text[: text.index("</head>")]
    assert '<link rel="related" data-link="documents" href="../index.html">' in head
    assert 'data-link="code" href="https://code.test/?a=&quot;b&quot;">' in head


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--to", "x", "--single"), "expected --to of a file that ends in .html with --single"),
        (("--to", "x", "--models", "chars74k"), "got chars74k; the page has a part for each"),
        (
            ("--to", "x", "--code", "data:text/html,x"),
            "expected --code of an address that begins",
        ),
    ],
)
def test_mistakes_are_told(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = draw_command("page", *arguments, cwd=tmp_path, check=1)
    assert words in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []
