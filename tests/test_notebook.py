"""draw in a notebook: drawings play, runs show curves, commands run with what a notebook sets."""

import os
from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient", reason="needs nbclient (the extra dev)")
pytest.importorskip("ipykernel", reason="needs ipykernel (the extra dev)")
nbformat = pytest.importorskip("nbformat", reason="needs nbformat (the extra dev)")

pytestmark = pytest.mark.slow
SOURCE = Path(__file__).parents[1] / "src"
CELLS = (
    "import threading, numpy, draw\n"
    "model = draw.DRAW(draw.DRAWConfig(rows=6, columns=5, glimpses=3, hidden_size=8))\n"
    "model.backend = 'reference'\n"
    "model.generate(2)",
    "changes = {'model.glimpses': 2, 'model.hidden_size': 8, 'train.batch_size': 8,\n"
    "           'train.steps': 2, 'train.evaluate_every': 2, 'compute.backend': 'reference'}\n"
    "images = numpy.random.default_rng(0).integers(0, 256, (40, 6, 5), dtype='uint8')\n"
    "def learn(): draw.train('images', images, out='run', changes=changes)\n"
    "thread = threading.Thread(target=learn); thread.start(); thread.join()\n"
    "draw.Run('run')",
    "import os, sys\n"
    "assert os.environ['MPLBACKEND'].startswith('module://matplotlib_inline')\n"
    "!{sys.executable} -m draw train --resume run --train.steps 3",
)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    """What each cell of a notebook shows."""
    place = tmp_path_factory.mktemp("notebook")
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        patch.setenv("PYTHONPATH", str(SOURCE))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("IPYTHONDIR", str(place / "ipython"))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(place / "runtime"))
        patch.delenv("MPLBACKEND", raising=False)
        client = nbclient.NotebookClient(
            page, timeout=200, kernel_name="python3", resources={"metadata": {"path": str(place)}}
        )
        client.execute(
            env={**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
        )
    return [cell.outputs for cell in page.cells]


def html(outputs: list[Any]) -> str:
    return "".join(one.get("data", {}).get("text/html", "") for one in outputs)


def text(outputs: list[Any]) -> str:
    return "".join(one.get("text", "") for one in outputs)


def test_a_drawing_plays(outputs: list[list[Any]]) -> None:
    assert '<img alt="2 drawings in 3 steps" src="data:image/gif;base64,' in html(outputs[0])


def test_a_run_in_a_thread_shows_its_curves(outputs: list[list[Any]]) -> None:
    assert '<img alt="curves" src="data:image/png;base64,' in html(outputs[1])


def test_commands_run_with_a_notebooks_backend_of_matplotlib(outputs: list[list[Any]]) -> None:
    assert "run/curves.png" in text(outputs[2])
    assert "Traceback" not in text(outputs[2])
