"""What the documents name is there: files, modules, classes and what these have."""

import ast
import functools
import re
import subprocess
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import draw
from draw.model.draw import DRAW
from running import TINY_MODEL

ROOT = Path(__file__).parents[1]
COMMIT = r"\b(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{7,12}\b"
"""A commit's short name: hexadecimal, of digits and letters."""
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)


def strangers(names: set[str]) -> set[str]:
    """Names that no commit of the history has."""
    history = git("rev-list", "HEAD").stdout.split()
    return {name for name in names if not any(one.startswith(name) for one in history)}


@functools.cache
def code() -> list[ast.Module]:
    return [ast.parse(path.read_text()) for path in (ROOT / "src").rglob("*.py")]


@functools.cache
def classes() -> dict[str, ast.ClassDef]:
    return {
        node.name: node
        for tree in code()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }


@functools.cache
def aliases() -> set[str]:
    return {
        ast.unparse(node.targets[0])
        for tree in code()
        for node in tree.body
        if isinstance(node, ast.Assign)
    }


def has(name: str, attribute: str) -> bool:
    """Whether a class, or one that it extends, has a method, a field or an attribute."""
    node = classes()[name]
    own = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
    own |= {ast.unparse(one.target) for one in node.body if isinstance(one, ast.AnnAssign)}
    own |= {
        one.attr
        for one in ast.walk(node)
        if isinstance(one, ast.Attribute) and ast.unparse(one.value) == "self"
    }
    bases = [ast.unparse(base).split(".")[-1] for base in node.bases]
    return attribute in own or any(has(base, attribute) for base in bases if base in classes())


def resolves(name: str) -> bool:
    """Whether a dotted name of the package leads to something."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            if find_spec(".".join(parts[:count])) is None:
                continue
        except ModuleNotFoundError:
            continue
        found: object = import_module(".".join(parts[:count]))
        for part in parts[count:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def missing(text: str) -> list[str]:
    """What a document names in `backticks` and is not there, but for what its examples add."""
    added = set(re.findall(r"^`((?:src|benchmarks)/[\w/]+\.py)`:$", text, re.MULTILINE))
    added |= set(re.findall(r"^class (\w+)", text, re.MULTILINE))
    bad = []
    for quoted in re.findall(r"`([^`\n]+)`", text):
        path = re.fullmatch(r"((?:src|tests|benchmarks|docs)/[\w./-]*?)(?:::\w+)?", quoted)
        if path and path[1] not in added and not (ROOT / path[1]).exists():
            bad.append(quoted)
        if re.fullmatch(r"draw(\.\w+)+", quoted) and not resolves(quoted):
            bad.append(quoted)
        member = re.fullmatch(r"([A-Z]\w+)\.(\w+)(\(.*\))?", quoted)
        if member and member[1] in classes() and not has(member[1], member[2]):
            bad.append(quoted)
        if (
            re.fullmatch(r"([A-Z][a-z]+){2,}", quoted)
            and quoted not in classes().keys() | aliases() | added
        ):
            bad.append(quoted)
    return bad


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_names_is_there(document: Path) -> None:
    assert missing(document.read_text()) == []


def test_the_search_finds_what_is_missing() -> None:
    text = (
        "`src/draw/nowhere.py` `draw.model.draw.DRAM` `DRAW.stop` `GaussianAtention` `tests/x.py` "
        "`DRAW.step` `draw.measure.bound` `UnrollOutput.kl` `src/draw/model/draw.py` `DRAW.mu`"
    )
    assert missing(text) == text.split("`")[1:10:2]


PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
TAUGHT = [
    path
    for path in DOCUMENTS
    if PYTHON.search(path.read_text())
    and path.name not in ("CONTRIBUTING.md", "README.md")  # tests of their own run these
]


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("document", TAUGHT, ids=lambda path: path.stem)
def test_the_python_of_a_page_runs(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All blocks of a page, one after another, as a reader would paste them."""
    monkeypatch.chdir(tmp_path)
    DRAW(TINY_MODEL).save_pretrained("my-model")
    names: dict[str, object] = {}
    for code in PYTHON.findall(document.read_text()):
        exec(code, names)
    assert any(
        "draw" in (name, *getattr(each, "__module__", "").split("."))
        for name, each in names.items()
    )


LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.parent == ROOT], ids=str)
def test_a_link_of_a_document_at_the_root_leads_somewhere(document: Path) -> None:
    """`make docs` checks those of the site."""
    links = [link for link in LINK.findall(document.read_text()) if "://" not in link]
    assert links or document.name == "CONTRIBUTING.md"
    for link in links:
        path, _, place = link.partition("#")
        assert (document.parent / path).exists(), link
        if place:
            headings = re.findall(r"^#+ (.+)$", (document.parent / path).read_text(), re.MULTILINE)
            assert place in [heading.lower().replace(" ", "-") for heading in headings], link


def test_every_commit_that_a_document_names_is_in_the_history() -> None:
    """A figure's commit can be gone back to; one that was left behind in a branch cannot."""
    try:
        whole = git("rev-parse", "--is-shallow-repository").stdout.strip() == "false"
    except FileNotFoundError:
        whole = False
    if not whole:
        pytest.skip("needs git and the whole history of a clone")
    cards = (ROOT / "src" / "draw" / "weights").rglob("*.md")
    named = {name for path in (*DOCUMENTS, *cards) for name in re.findall(COMMIT, path.read_text())}
    assert len(named) > 20
    assert strangers({"0123abc"}) == {"0123abc"}
    unknown = strangers(named)
    if unknown == named:
        pytest.skip("needs the project's history, not another one that its files were put into")
    assert unknown == set()


def test_every_document_is_in_the_sites_navigation() -> None:
    """`make docs` is strict: a page that nothing leads to would end it."""
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = [str(path.relative_to(ROOT / "docs")) for path in DOCUMENTS if path.parent != ROOT]
    assert [page for page in pages if page not in navigation] == ["reference/index.md"]


def test_the_reference_has_every_public_name() -> None:
    listed = (ROOT / "docs" / "reference" / "index.md").read_text()
    assert [name for name in draw.__all__ if f"`{name}`" not in listed] == []
