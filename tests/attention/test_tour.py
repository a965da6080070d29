"""Windows that are not the paper's, and several of them, through every use of a model."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from draw.attention import ATTENTIONS
from draw.models.onnx import DRAWING_FILE, how_to_run, make_generator
from draw.models.storage import load_model
from draw.studio import generation, reconstruction
from draw.studio.models import Catalogue, Shelf
from running import TINY_DIGITS, draw_command

VARIANTS = {
    "affine, two to read and three to write": ("affine", 2, 3),
    "cauchy": ("cauchy", 1, 1),
    "laplace": ("laplace", 1, 1),
    "lattice": ("lattice", 1, 1),
    "rotated": ("rotated", 1, 1),
}


def test_every_window_of_ours_is_on_the_tour() -> None:
    toured = {name for name, _, _ in VARIANTS.values()}
    assert toured == set(ATTENTIONS) - {"gaussian", "none"}  # the paper's have their own tests


@pytest.mark.slow
@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_use(variant: str, tmp_path: Path) -> None:
    name, read, write = VARIANTS[variant]
    draw_command(
        "train", "digits", "--out", "runs/one", *TINY_DIGITS, "--train.steps", "2",
        "--model.attention", name, "--model.read-heads", str(read), "--model.write-heads",
        str(write), "--data.cache-dir", "cache", cwd=tmp_path,
    )  # fmt: skip
    draw_command("train", "--resume", "runs/one", "--train.steps", "3", cwd=tmp_path)
    for verb in (
        ("evaluate", "--importance-samples", "2", "--json", "found.json"),
        ("sample", "--n", "4", "--out", "samples.png"),
        ("animate", "--n", "2", "--out", "drawn.gif", "--json", "drawn.json"),
        ("animate", "--n", "2", "--out", "drawn.png"),
        ("reconstruct", "--n", "2", "--out", "again.png"),
        ("figure", "7", "--out", "figure.png"),
        ("info",),
        ("export", "--to", "given"),
    ):
        first = verb[:2] if verb[0] == "figure" else verb[:1]
        draw_command(*first, "runs/one", *verb[len(first) :], cwd=tmp_path)
        if "--out" in verb:
            assert (tmp_path / verb[verb.index("--out") + 1]).stat().st_size > 0
    assert json.loads((tmp_path / "found.json").read_text())["bound"] > 0
    model = load_model(str(tmp_path / "given")).drawing
    assert (model.config.attention, model.config.read_heads, model.config.write_heads) == (
        name, read, write,
    )  # fmt: skip
    assert model.attention.description in (tmp_path / "given/README.md").read_text()
    listed = json.loads((tmp_path / "drawn.json").read_text())["write_windows"]
    windows = model.generate(2, seed=0).write_windows
    assert windows is not None
    for key, value in windows.numbers.items():
        torch.testing.assert_close(torch.tensor(listed[key]), value.transpose(0, 1))
    generator = make_generator(model)  # compared with PyTorch's there
    session = onnxruntime.InferenceSession(generator.files[DRAWING_FILE])
    noise = model.noise_for(3, 1)
    outputs = dict(
        zip([out.name for out in session.get_outputs()], session.run(None, {"z": noise.numpy()}),
            strict=True)
    )  # fmt: skip
    assert [*outputs][2:] == [*windows.numbers]
    drawn = model.generate(3, noise=noise)
    np.testing.assert_allclose(outputs["canvases"], drawn.canvases, rtol=1e-3, atol=1e-3)
    assert how_to_run(generator, model)
    shelf = Shelf(Catalogue(None, tmp_path / "runs"))
    *_, show = generation.generate(shelf, generation.request("runs/one", 3, 1, 1.0, None))
    frames = [o["frames"] for o in show.parts[0]["write"]["outlines"][0] if o]
    assert {len(one) for one in frames} == {write}
    show.to_json()
    made = reconstruction.reconstruct(shelf, "runs/one", np.zeros((1, 28, 28), np.uint8))
    made.show.to_json()
