"""Extras: what draws without them, and what is said where one is missing."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import draw
from draw import extras
from draw.__main__ import main
from draw.data.sources.digit_struct import read_boxes
from draw.errors import DrawError
from draw.extras import EXTRAS, PACKAGE_OF, MissingPackageError, advice, explain_missing
from draw.model.draw import DRAW
from draw.models.onnx import make_generator
from draw.visualize import animate
from running import TINY_MODEL, draw_command, one_thread

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BASE = {"filelock", "huggingface_hub", "jaxtyping", "numpy", "safetensors", "torch"}
BROUGHT = {"h11", "triton"}
"""Modules that huggingface_hub and torch bring; the second where there is a use for it."""


def names(requirements: list[str]) -> set[str]:
    return {str(canonicalize_name(Requirement(text).name)) for text in requirements}


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name.partition(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]


def test_everything_imported_is_required_or_of_an_extra() -> None:
    known = BASE | BROUGHT | {module for modules in EXTRAS.values() for module in modules}
    found = {name for path in SOURCES for name in imports(ast.parse(path.read_text()))}
    assert found - {*sys.stdlib_module_names} - {"draw"} <= known
    assert found > BASE


def test_the_table_is_the_projects() -> None:
    optional = PROJECT["optional-dependencies"]
    for extra, modules in EXTRAS.items():
        assert {PACKAGE_OF.get(module, module) for module in modules} <= names(optional[extra])
    assert {*optional} - {*EXTRAS} <= {"dev", "docs"}
    assert {name.replace("_", "-") for name in BASE} <= names(PROJECT["dependencies"])


WITHOUT_EXTRAS = """
import sys
from importlib.machinery import PathFinder
absent = sys.argv[1].split()
class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in absent else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
import draw.attention, torch
drawing = draw.DRAW.from_pretrained("mnist").generate(2, seed=1)
print(*drawing.images.shape)
try:
    import rich
except ModuleNotFoundError:
    print("nothing else")
"""


def test_a_model_draws_without_any_extra() -> None:
    absent = " ".join(module for modules in EXTRAS.values() for module in modules)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, absent], env=one_thread(), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "64 2 1 28 28\nnothing else\n", done.stderr


def spoil_digit_struct(folder: Path) -> None:
    (folder / "digitStruct.mat").touch()
    read_boxes(folder / "digitStruct.mat")


NEEDS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "av": ("video", lambda folder: animate(DRAW(TINY_MODEL).generate(1), folder / "a.mp4")),
    "onnxruntime": ("onnx", lambda _: make_generator(DRAW(TINY_MODEL))),
    "h5py": ("hdf5", spoil_digit_struct),
}


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("module", NEEDS)
def test_a_missing_package_is_an_error_that_names_its_extra(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra, call = NEEDS[module]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DrawError, match=f"the extra '{extra}', found no {module}; .*pip install"):
        call(tmp_path)


@pytest.mark.parametrize("module", ["matplotlib", "scipy", "tensorboard"])
def test_a_verb_that_cannot_import_says_which_extra(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a verb imports, wherever it does."""

    def dispatch(_: object) -> None:
        raise ModuleNotFoundError(f"No module named '{module}.part'", name=f"{module}.part")

    monkeypatch.setattr("draw.cli._dispatch", dispatch)
    done = draw_command("sample", "mnist", cwd=tmp_path, check=1)
    assert done.stderr.startswith("draw: expected the packages of the extra 'train'")


def test_the_command_without_its_extra_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "draw.cli")
    monkeypatch.setitem(sys.modules, "tyro", None)
    with pytest.raises(SystemExit, match="1"):
        main()
    assert "extra 'train', found no tyro; " in capsys.readouterr().err


def test_a_public_name_without_its_extra_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError("No module named 'accelerate'", name="accelerate")

    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(MissingPackageError, match="the extra 'train'"):
        draw.DRAW  # noqa: B018


def test_a_module_of_nobody_is_an_error_as_ever() -> None:
    with pytest.raises(ModuleNotFoundError, match="nowhere"), explain_missing():
        import nowhere  # noqa: F401


def test_an_installed_package_asks_for_what_it_lacks_by_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"in {ROOT}: pip install -c constraints.txt -e '.[video]'" in advice("video")
    monkeypatch.setattr(extras, "SOURCE", tmp_path)
    lines = ["numpy>=2.0", "av>=14; extra == 'video'", "gradio<7,>=6.16; extra == 'studio'"]
    monkeypatch.setattr(extras, "requires", lambda _: lines)
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert advice("video").endswith("found no av; pip install 'av>=14'")
    assert advice("studio").endswith("found no gradio; pip install 'gradio<7,>=6.16'")


def texts(path: Path) -> list[str]:
    """What a file tells people: of Python every text, and of anything else its lines."""
    if path.suffix != ".py":
        return path.read_text().splitlines()
    nodes = ast.walk(ast.parse(path.read_text()))
    return [
        line
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for line in node.value.splitlines()
    ]


def asked_for(text: str) -> Iterator[str]:
    """What the commands in a text install: the words up to a mark that ends a clause."""
    for command in re.findall(r"pip install +([^`&#;)\n]*)", text):
        options = ""
        for word in command.split():
            if not (word.startswith("-") or options in ("-c", "-r")):
                yield word.strip("'\",.:")
            if word[-1] in ",.:":
                break
            options = word


TOLD_IN = sorted(
    path
    for folder in ("docs", "src", "benchmarks", ".")
    for path in (ROOT / folder).glob("*" if folder == "." else "**/*")
    if path.suffix in (".py", ".md", ".js", ".css")
)
ALLOWED = {"jax", *names(PROJECT["dependencies"])}.union(
    *(names(requirements) for requirements in PROJECT["optional-dependencies"].values())
) - {"draw"}


def test_nothing_tells_to_install_a_name_that_is_not_the_projects() -> None:
    """A checkout, a wheel that was built here, or a package that this one requires."""
    bad = []
    for path in TOLD_IN:
        for line in texts(path):
            for word in asked_for(line):
                here = re.fullmatch(r"\.?(\[[\w,]+\])?|\S+\.whl(\[[\w,]+\])?|", word)
                if not here and canonicalize_name(re.split(r"[<>=\[]", word)[0]) not in ALLOWED:
                    bad.append(f"{path.relative_to(ROOT)}: {line.strip()}")
    assert len(TOLD_IN) > 100
    assert not bad, "\n".join(bad)


def test_what_is_asked_for_is_found_in_a_text() -> None:
    text = "a (`pip install h5py`), pip install -c constraints.txt -e '.[dev]' # or draw\n"
    assert [*asked_for(text)] == ["h5py", "[dev]"]
    assert [*asked_for("with: pip install 'draw[studio]', or draw")] == ["draw[studio]"]
    assert [*asked_for("pip install dist/draw-1-py3-none-any.whl && draw")] == [
        "dist/draw-1-py3-none-any.whl"
    ]


def test_the_code_says_how_to_install_in_one_place() -> None:
    found = [
        path.name
        for path in SOURCES
        if any(re.search(r"pip3? install|install draw", text) for text in texts(path))
    ]
    assert found == ["extras.py"]
