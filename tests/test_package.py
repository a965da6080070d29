"""The package's public names."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import draw
from running import one_thread


@pytest.mark.parametrize("name", draw.__all__)
def test_public_names_are_there(name: str) -> None:
    assert getattr(draw, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'draw' has no attribute 'DRAM'"):
        draw.DRAM  # noqa: B018


def test_the_readmes_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[1] / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["result"].kl.shape == (4, 16)
    assert names["drawing"].write_windows.g_x.shape == (16, 9)
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


def test_what_verbs_import_can_be_the_first_to_be_imported() -> None:
    """As in a process of their own: nothing of the package has to be imported before it."""
    verbs = "".join(path.read_text() for path in (Path(draw.__file__).parent / "cli").glob("*.py"))
    modules = sorted({*re.findall(r"^ +from (draw\.[\w.]+) import", verbs, re.MULTILINE)})
    assert {"draw.data", "draw.training.start", "draw.visualize.run", "draw.visualize"} <= {
        *modules
    }
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH_FIRST, *modules],
        env=one_thread(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "each alone\n", done.stderr
