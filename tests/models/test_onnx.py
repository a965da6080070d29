"""The generator as ONNX: ONNX Runtime draws what PyTorch draws."""

import re
import sys
from functools import cache
from pathlib import Path

import jaxtyping
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import draw
from draw import cli
from draw.config.model import ClassifierConfig, ConvDRAWConfig, DRAWConfig
from draw.data import Splits
from draw.errors import DrawError
from draw.model import pretrained
from draw.model.classifier import Classifier
from draw.model.draw import DRAW
from draw.model.pretrained import shipped_models
from draw.models.export import export
from draw.models.kinds import kind_of
from draw.models.onnx import (
    DRAWING_FILE,
    ENCODER_FILE,
    START_FILE,
    STEP_FILE,
    Generator,
    check_exportable,
    make_generator,
    runtime,
    tracing,
)
from draw.models.storage import load_model
from draw.parts.likelihood import LIKELIHOODS
from draw.parts.state import Trajectory
from draw.training.start import start
from running import TINY, image_set, plain_accelerator

SMALL = {"hidden_size": 6, "latent_size": 3, "glimpses": 5}
CASES = {
    "colour, wide": DRAWConfig(rows=5, columns=8, channels=3, write_size=3, **SMALL),
    "one filter, tall": DRAWConfig(rows=7, columns=4, read_size=1, write_size=1, **SMALL),
    "no attention": DRAWConfig(rows=4, columns=5, channels=3, attention="none", **SMALL),
    "convolutions": ConvDRAWConfig(
        rows=4, columns=6, channels=3, stride=2, hidden_size=12, latent_size=6, glimpses=3
    ),
}
SPARINGLY = [
    "colour, wide",
    *(pytest.param(case, marks=pytest.mark.slow) for case in CASES if case != "colour, wide"),
]
"""A trace takes five seconds and more."""
SPLITS = Splits(image_set(10), image_set(7, "validation", seed=1), image_set(5, "test", seed=2))


@cache
def made(case: str) -> tuple[DRAW, Generator]:
    """A model with no parameter at its start, and its generator; a trace takes seconds."""
    model = kind_of(CASES[case]).model(CASES[case])
    assert isinstance(model, DRAW)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=random))
    jaxtyping.config.update("jaxtyping_disable", True)  # they would read sizes that are symbols
    try:
        return model, make_generator(model)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def session(generator: Generator, name: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(generator.files[name], providers=["CPUExecutionProvider"])


def named(session: onnxruntime.InferenceSession, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def expected(model: DRAW, noise: torch.Tensor) -> dict[str, torch.Tensor]:
    drawing: Trajectory = model.generate(noise.shape[1], noise=noise)
    windows = drawing.write_windows
    return {
        "canvases": drawing.canvases,
        "images": drawing.images,
        **({} if windows is None else windows.numbers),
    }


def close(ours: np.ndarray, pytorchs: torch.Tensor) -> None:
    np.testing.assert_allclose(ours, pytorchs.numpy(), rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("case", SPARINGLY)
def test_the_whole_drawing_is_pytorchs(case: str, batch: int) -> None:
    model, generator = made(case)
    noise = model.noise_for(batch, seed=4)
    found = named(session(generator, DRAWING_FILE), z=noise.numpy())
    wanted = expected(model, noise)
    assert [*found] == [*wanted]
    for name, values in wanted.items():
        close(found[name], values)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("case", SPARINGLY)
def test_step_after_step_comes_to_the_whole_drawing(case: str, batch: int) -> None:
    model, generator = made(case)
    noise = model.noise_for(batch, seed=5)
    wanted = expected(model, noise)
    step = session(generator, STEP_FILE)
    state = named(session(generator, START_FILE), batch=np.array([batch]))
    assert [*state] == ["canvas", "h_dec", "c_dec"]
    close(state["canvas"], model.initial_state(batch).canvas.detach())
    for t, z in enumerate(noise.numpy()):
        before = {f"{name}_before": state[name] for name in ("canvas", "h_dec", "c_dec")}
        state = named(step, z=z, **before)
        close(state["canvas"], wanted["canvases"][t])
        close(state["image"], wanted["images"][t])
        for name in {"g_x", "g_y", "delta", "sigma", "gamma"} & {*wanted}:
            close(state[name], wanted[name][t])


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("case", SPARINGLY)
def test_the_encoder_is_pytorchs_and_the_generator_draws_its_codes(case: str, batch: int) -> None:
    model, generator = made(case)
    x, noise = torch.rand(batch, *model.config.image_shape), model.noise_for(batch, seed=6)
    found = named(session(generator, ENCODER_FILE), images=x.numpy(), noise=noise.numpy())
    wanted = model.encode(x, noise)
    for name in ("mu", "log_sigma"):
        close(found[name], getattr(wanted, name))
    close(found["z"], model.codes(x, noise))
    close(found["kl"], wanted.kl.mT)
    anew = model.reconstruct(x, noise)
    if anew.read_windows is not None:
        for name, values in anew.read_windows.numbers.items():
            close(found[f"read_{name}"], values)
    drawn = named(session(generator, DRAWING_FILE), z=found["z"])
    close(drawn["images"], anew.images)


def test_the_files_say_what_they_are_and_nothing_of_this_computer() -> None:
    _, generator = made("colour, wide")
    for content in generator.files.values():
        model = onnx.load_from_string(content)
        facts = {prop.key: prop.value for prop in model.metadata_props}
        assert facts["what"] == model.doc_string
        assert (facts["glimpses"], facts["write_size"]) == ("5", "3")
        assert model.opset_import[0].version == tracing.OPSET
        assert str(Path(draw.__file__).parent).encode() not in content
        assert str(Path(torch.__file__).parents[1]).encode() not in content
    whole, step = (len(generator.files[name]) for name in (DRAWING_FILE, STEP_FILE))
    assert whole < step + 4000  # however many steps


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("onnx") / "run"
    start(TINY, run, SPLITS.train, SPLITS.validation).fit()
    return run


def exported(run: Path, to: Path) -> dict[str, dict[str, float]]:
    return export(run, SPLITS, to, plain_accelerator(), name="tiny", dtype="bf16", onnx=True)


@pytest.mark.slow
def test_an_exported_folder_draws_as_its_card_says(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_shape_checks: None
) -> None:
    figures = exported(run, tmp_path / "out")
    assert 0 <= figures["onnx"]["difference"] <= 1e-4
    card = (tmp_path / "out" / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(tmp_path / "out")
    names: dict[str, np.ndarray] = {}
    exec(code, names)
    model = load_model(str(tmp_path / "out")).drawing  # with the weights as they were rounded
    close(names["images"], model.generate(9, noise=torch.from_numpy(names["z"])).images[-1])


@pytest.mark.slow
def test_a_drawing_that_differs_is_not_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_shape_checks: None
) -> None:
    monkeypatch.setattr(runtime, "TOLERANCE", -1.0)
    with pytest.raises(DrawError, match=r"expected ONNX Runtime to draw with generator\.onnx"):
        exported(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.parametrize("output", range(7))
def test_numbers_that_are_not_finite_are_a_difference(
    output: int, broken: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, generator = made("colour, wide")
    run = runtime._run

    def breaks(content: bytes, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        results = run(content, inputs)
        if "z" in inputs:
            results[output].flat[-1] = broken
        return results

    assert runtime.compare(model, generator.files) <= 1e-4
    monkeypatch.setattr(runtime, "_run", breaks)
    with pytest.raises(DrawError, match="weights are finite"):
        runtime.compare(model, generator.files)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_encoder_is_tried_with_images_such_as_the_model_draws(likelihood: str) -> None:
    torch.manual_seed(0)
    model = DRAW(DRAWConfig(rows=9, columns=8, likelihood=likelihood, **SMALL))
    inputs, _ = runtime.encoder_trial(model)
    values = (LIKELIHOODS[likelihood].values - 1) * inputs["images"]
    assert inputs["images"].shape == (3, 1, 9, 8)
    np.testing.assert_allclose(values, values.round(), atol=1e-4)
    assert len(np.unique(values.round())) > 1
    means = model.generate(60, seed=3).images[-1].numpy()
    assert abs(inputs["images"].mean() - means.mean()) < 0.1


@pytest.mark.slow
@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("name", shipped_models())
def test_every_shipped_model_that_draws_is_within_the_tolerance(name: str) -> None:
    model = load_model(name).model
    if isinstance(model, DRAW):
        assert 0 <= make_generator(model).difference <= runtime.TOLERANCE
    else:
        with pytest.raises(DrawError, match="a model that draws"):
            check_exportable(model)


def test_a_classifier_is_refused() -> None:
    model = Classifier(ClassifierConfig(rows=8, columns=8, hidden_size=4, read_size=2))
    with pytest.raises(
        DrawError, match=r"a model that draws for ONNX \(--onnx\), got a Classifier"
    ):
        check_exportable(model)


def test_a_missing_package_is_named(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(DrawError, match=r"extra 'onnx', found no onnxscript; .*pip install"):
        exported(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("without_shape_checks")
def test_a_model_that_is_no_run_is_copied_with_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start(TINY, tmp_path / "run", SPLITS.train, SPLITS.validation).fit()
    first, second = tmp_path / "weights" / "tiny", tmp_path / "second"
    export(tmp_path / "run", SPLITS, first, plain_accelerator(), name="tiny", dtype="fp16")
    (first / "notes.txt").write_text("not of the model")
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setattr(sys, "argv", ["draw", "export", "tiny", "--to", str(second), "--onnx"])
    cli.main()
    assert "from PyTorch at most" in capsys.readouterr().out
    added = {"generator.onnx", "generator-start.onnx", "generator-step.onnx", "encoder.onnx"}
    names = {path.name for path in first.iterdir()} - {"notes.txt"}
    assert {path.name for path in second.iterdir()} == names | added
    for name in names - {"README.md"}:
        assert (second / name).read_bytes() == (first / name).read_bytes(), name
    before, after = ((folder / "README.md").read_text() for folder in (first, second))
    assert after.startswith(before)
    assert "## ONNX" in after

    third = ["draw", "export", str(second), "--to", str(tmp_path / "third")]
    monkeypatch.setattr(sys, "argv", third)
    cli.main()
    assert (tmp_path / "third" / "README.md").read_text() == after
    assert {path.name for path in (tmp_path / "third").iterdir()} == names | added
    monkeypatch.setattr(sys, "argv", [*third, "--dtype", "bf16"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "expected a run folder for --name, --dtype" in capsys.readouterr().err
