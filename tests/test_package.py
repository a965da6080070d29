"""The package's public names."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import draw
from running import one_thread

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", draw.__all__)
def test_public_names_are_there(name: str) -> None:
    assert getattr(draw, name).__doc__


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = (ROOT / "CITATION.cff").read_text()
    assert draw.__version__ == project["version"]
    assert f"\nversion: {project['version']}\n" in citation


def test_the_version_of_an_installed_package(tmp_path: Path) -> None:
    """Where no pyproject.toml lies beside it."""
    package = tmp_path / "lib" / "site-packages" / "draw"
    package.mkdir(parents=True)
    shutil.copy(draw.__file__, package)
    facts = package.parent / "draw-7.8.9.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: draw\nVersion: 7.8.9\n")
    code = "import draw; print(draw.__version__)"
    environment = {**one_thread(), "PYTHONPATH": str(package.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "7.8.9\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'draw' has no attribute 'DRAM'"):
        draw.DRAM  # noqa: B018


def test_the_readmes_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["result"].kl.shape == (4, 20)
    assert names["drawing"].write_windows.g_x.shape == (20, 9)
    assert (tmp_path / "digits.gif").exists()
    assert (tmp_path / "my-model" / "config.json").exists()


IMPORT_EACH_FIRST = """
import importlib, os, sys
import accelerate, datasets, huggingface_hub.hub_mixin, jaxtyping, rich.progress, torch, tyro
for name in sys.argv[1:]:
    if os.fork() == 0:
        importlib.import_module(name)
        os._exit(0)
    assert os.wait()[1] == 0, name
print("each alone")
"""


@pytest.mark.slow
def test_what_verbs_import_can_be_the_first_to_be_imported() -> None:
    """As in a process of their own: nothing of the package has to be imported before it."""
    verbs = "".join(path.read_text() for path in (Path(draw.__file__).parent / "cli").glob("*.py"))
    modules = sorted({*re.findall(r"^ +from (draw\.[\w.]+) import", verbs, re.MULTILINE)})
    assert {
        "draw.data",
        "draw.training.start",
        "draw.visualize.run_pictures",
        "draw.visualize",
    } <= {*modules}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH_FIRST, *modules],
        env=one_thread(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "each alone\n", done.stderr


@pytest.mark.slow
def test_a_wheel_has_all_that_a_drawing_needs(tmp_path: Path) -> None:
    """Installed from nothing but the files that pyproject.toml names, beside what it requires."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "src" / "draw", tree / "src" / "draw")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels, target = tmp_path / "wheels", tmp_path / "target"
    for arguments in (
        ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(tree)],
        ["install", "--no-deps", "--no-index", "--target", str(target), "{wheel}"],
    ):
        words = [str(next(wheels.iterdir())) if one == "{wheel}" else one for one in arguments]
        subprocess.run([*pip, *words], check=True)
    shutil.rmtree(tree)
    subprocess.run(
        [sys.executable, "-m", "draw", "sample", "mnist", "--n", "4", "--out", "four.png"],
        cwd=tmp_path, env={**one_thread(), "PYTHONPATH": str(target)}, check=True,
    )  # fmt: skip
    assert (tmp_path / "four.png").stat().st_size > 1000
    sources = target / "draw" / "kernels" / "cpp" / "src"
    assert {*sources.iterdir()} >= {sources / "unroll.cpp"}
    here, there = (
        {str(path.relative_to(folder)) for path in (folder / "draw").rglob("*.*") if path.is_file()}
        for folder in (ROOT / "src", target)
    )
    left_out = {name for name in here - there if "__pycache__" not in name}
    sources_of_the_page = {
        name for name in left_out if re.match(r"draw/page/(?!built/).*\.(js|json)$", name)
    }
    assert left_out == sources_of_the_page, "add them to package-data in pyproject.toml"
