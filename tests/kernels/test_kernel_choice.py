"""Which backend runs, who says so, and what happens where the compiled one cannot be made."""

import copy
import ctypes
import json
import logging
import math
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad

from draw.attention.gaussian import GaussianAttention
from draw.errors import DrawError, KernelUnavailableError
from draw.kernels import BACKENDS, choose
from draw.kernels.choose import Choice
from draw.kernels.cpp import build
from draw.model.conditional import Conditional
from draw.model.draw import DRAW
from draw.model.inference import Inference
from draw.training.start import resume, resumed_config, start
from running import TINY, TINY_MODEL, draw_command, image_set, with_compute

STAND_IN = {"unroll.cpp": b'extern "C" int answer() { return 42; }'}
"""Compiles at once."""


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)


needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, build.COMPILERS)), reason="no C++ compiler here"
)


def model(backend: str) -> DRAW:
    made = DRAW(TINY_MODEL)
    made.backend = backend
    return made


class DistributedLike(torch.nn.Module):
    """Wraps a model as torch's DistributedDataParallel does."""

    def __init__(self, module: DRAW) -> None:
        super().__init__()
        self.module = module

    @property
    def backend(self) -> str:
        return self.module.backend


def pickled(model: DRAW) -> DRAW:
    return pickle.loads(pickle.dumps(model))


# Compiling


@needs_compiler
def test_it_is_compiled_once_and_says_so(empty_cache, capfd) -> None:
    first = build.compile_library(STAND_IN)
    assert "draw: compiling the fast kernel" in capfd.readouterr().err
    assert build.compile_library(STAND_IN) == first
    assert capfd.readouterr().err == ""
    names = {first.name, f"{first.name}.sha256"}
    assert {path.name for path in empty_cache.iterdir()} == names
    assert build.compile_library({**STAND_IN, "other.h": b""}) != first, "made of other sources"


@needs_compiler
def test_sources_that_do_not_compile_leave_nothing_behind(empty_cache) -> None:
    with pytest.raises(KernelUnavailableError, match=r"g\+\+: .*error"):
        build.compile_library({"unroll.cpp": b"int main( {"})
    assert not empty_cache.exists() or list(empty_cache.iterdir()) == []


class LibraryWithWrongProducts(ctypes.CDLL):
    """Stands in for a processor on which torch's products and the plain loops differ."""

    def __init__(self, error: float) -> None:
        self.given: list[tuple[object, ...]] = []
        self.draw_products = lambda *functions: self.given.append(functions)

        def draw_products_error(kind: int) -> float:
            return error if kind == 1 else 0.0

        self.draw_products_error = draw_products_error


@pytest.mark.parametrize(("error", "kept"), [(1e-5, True), (0.1, False), (math.nan, False)])
def test_products_of_torch_are_checked_before_they_are_used(error, kept, caplog) -> None:
    library = LibraryWithWrongProducts(error)
    build.hand_over_products(library)
    assert (library.given[-1] == (None, None, None)) == (not kept)
    assert ("plain loops stand in" in caplog.text) == (not kept)


# Choosing


def test_auto_falls_back_aloud(empty_cache, no_compiler, caplog) -> None:
    choices = [model("auto").choice for _ in range(2)]
    assert {choice.name for choice in choices} == {"reference"}
    assert "not cpp: no C++ compiler" in choices[0].reason
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1, "said once"
    assert "several times slower" in warnings[0].message
    assert "no C++ compiler" in warnings[0].message


def test_cpp_is_refused_where_it_cannot_run(empty_cache, no_compiler) -> None:
    asked = model("cpp")
    with pytest.raises(KernelUnavailableError, match=r"cpp cannot run: no C\+\+.*'reference'"):
        asked.choice  # noqa: B018


def test_the_reference_needs_no_compiler(empty_cache, no_compiler, caplog) -> None:
    assert model("reference").choice == Choice("reference", "as asked")
    assert caplog.text == ""


def test_the_choice_is_logged_with_its_reason(caplog) -> None:
    choose._note.cache_clear()
    with caplog.at_level(logging.INFO, "draw"):
        choice = model("auto").choice
    assert f"{choice.name}: {choice.reason}" in caplog.text


def placed(model: DRAW, device: str) -> DRAW:
    """A model on a device that need not be there."""
    with FakeTensorMode():
        model.canvas_0 = torch.nn.Parameter(torch.empty(1, 6, 5, device=device))
    return model


REFERENCE = ("reference",)
ON_A_GPU = "compiled", "graph"
"""Of the rest of a model on another device; with Triton or without."""


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("backend", ["cpp"], indirect=True)
class TestObstacles:
    @pytest.mark.parametrize(
        ("change", "says", "instead"),
        [
            (lambda model: placed(model, "mps"), "it runs on cpu, the model is on mps", REFERENCE),
            (lambda model: placed(model, "cuda"), "it runs on cpu, the model is on cuda", ON_A_GPU),
            (lambda model: model.half(), r"or float64, the model is in torch\.float16", REFERENCE),
            (lambda model: model.mu.register_forward_hook(print), "a forward hook", REFERENCE),
        ],
    )
    def test_what_cpp_cannot_take(self, change, says, instead) -> None:
        changed = model("auto")
        assert changed.choice.name == "cpp"
        change(changed)
        assert changed.choice.name in instead
        changed.backend = "cpp"
        with pytest.raises(KernelUnavailableError, match=says):
            changed.choice  # noqa: B018

    def test_autocast_to_other_numbers_takes_the_reference(self) -> None:
        with torch.autocast("cpu", torch.float16):
            assert "not torch.float16" in model("auto").choice.reason
        with torch.autocast("cpu", torch.bfloat16):
            assert model("auto").choice.name == "cpp"


TRANSFORMS = {
    "jvp": lambda way, x, v: torch.func.jvp(way, (x,), (v,))[1],
    "a dual number": lambda way, x, v: tangent(way, x, v),
    "grad": lambda way, x, v: torch.func.grad(lambda x: (v * way(x)).sum())(x),
}


def tangent(way: Callable[[Tensor], Tensor], x: Tensor, v: Tensor) -> Tensor:
    with forward_ad.dual_level():
        found = forward_ad.unpack_dual(way(forward_ad.make_dual(x, v))).tangent
        assert found is not None
        return found


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch's
@pytest.mark.parametrize("kind", TRANSFORMS)
def test_what_kernels_cannot_transform_is_left_to_the_loop(kind: str) -> None:
    transformed = model("auto").double().requires_grad_(False)
    x, noise = torch.rand(2, 1, 6, 5).double(), torch.randn(3, 2, 4).double()
    v = torch.rand_like(x)

    def way(x: Tensor) -> Tensor:
        return transformed(x, noise).canvas

    found, name = TRANSFORMS[kind](way, x, v), transformed.choice.name
    transformed.backend = "reference"
    expected = TRANSFORMS[kind](way, x, v)
    assert expected.any()
    torch.testing.assert_close(found, expected)
    for backend in {"packed", "compiled", name} - {"reference"}:
        transformed.backend = backend
        with pytest.raises(KernelUnavailableError, match="no forward-mode derivative and runs in"):
            TRANSFORMS[kind](way, x, v)


def test_a_graph_is_captured_on_a_gpu_alone() -> None:
    assert str(placed(model("graph"), "cuda").choice) == "graph (as asked)"
    with pytest.raises(KernelUnavailableError, match="graph cannot run: it runs on cuda, the"):
        model("graph").choice  # noqa: B018


@pytest.mark.usefixtures("without_shape_checks")
def test_a_backend_that_there_is_not_is_refused() -> None:
    with pytest.raises(DrawError, match=r"expected a backend, 'auto', .*'reference'.*got 'fused'"):
        model("fused")
    unchanged = model("reference")
    with pytest.raises(DrawError):
        unchanged.backend = None
    assert unchanged.backend == "reference"


@pytest.mark.parametrize(
    "change", [copy.deepcopy, lambda model: model.to(torch.float64), DistributedLike, pickled]
)
def test_the_backend_asked_for_stays_with_a_model(change) -> None:
    assert change(model("reference")).backend == "reference"


def test_every_backend_has_the_name_that_the_table_gives_it() -> None:
    for name, backend in BACKENDS.items():
        assert backend.name == name
        assert 3 < len(backend.description) < 60


class TwiceAsBold(DRAW):
    """One idea changed, as a user would."""

    def step(self, x, noise, state, told):
        after, step = super().step(x, noise, state, told)
        return after._replace(canvas=2 * after.canvas - state.canvas), step


class OwnAttention(GaussianAttention):
    pass


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("backend", ["cpp"], indirect=True)
class TestChangedModels:
    def test_a_changed_step_is_what_runs(self) -> None:
        torch.manual_seed(0)
        plain = model("auto")
        bold = TwiceAsBold(TINY_MODEL)
        bold.load_state_dict(plain.state_dict())
        images, noise = torch.rand(2, 1, 6, 5), torch.randn(3, 2, 4)
        assert plain.choice.name == "cpp"
        assert "its own step" in bold.choice.reason
        assert not torch.equal(bold(images, noise).canvas, plain(images, noise).canvas)

    def test_another_attention_is_what_runs(self) -> None:
        changed = model("auto")
        changed.attention = OwnAttention(8, 1, 6, 5, 2, 3)
        assert "its own attention" in changed.choice.reason

    def test_cpp_refuses_a_changed_model(self) -> None:
        bold = TwiceAsBold(TINY_MODEL)
        bold.backend = "cpp"
        with pytest.raises(KernelUnavailableError, match=r"its own step.*'auto' or 'reference'"):
            bold(torch.rand(2, 1, 6, 5))


# Saying so


def test_runs_and_models_say_which_backend(tmp_path: Path) -> None:
    flags = ("--backend", "reference", "--train.steps", "2", "--train.evaluate-images", "10")
    small = ("--model.glimpses", "2", "--model.hidden-size", "8", "--train.batch-size", "4")
    done = draw_command("train", "digits", "--out", "run", *flags, *small, cwd=tmp_path)
    first = done.stdout.splitlines()[0]
    assert first.startswith("on cpu; backend reference (as asked); precision ")
    written = json.loads((tmp_path / "run/run.json").read_text())
    assert written["config"]["compute"] == {
        "device": "auto", "backend": "reference", "precision": "auto",
    }  # fmt: skip
    assert written["made"]["compute"]["backend"] == "reference (as asked)"
    told = draw_command("info", "run", "--backend", "reference", cwd=tmp_path).stdout
    assert "reference (as asked)" in told


def test_a_run_may_go_on_with_another_backend(tmp_path: Path) -> None:
    run, images = tmp_path / "run", image_set(10)
    slow = with_compute(TINY, backend="reference")
    trainer = start(slow, run, images, images)
    trainer.save()
    trainer.lock.release()
    config = resumed_config(run, TINY)
    assert config.compute.backend == "auto"
    other = resume(config, run, images, images)
    for name, value in trainer.bare_model.state_dict().items():
        assert torch.equal(other.bare_model.state_dict()[name], value)


def test_a_verb_of_ones_own_leaves_the_loop_to_the_kernel() -> None:
    verbs = {
        name: verb
        for kind in (Inference, Conditional)
        for name, verb in vars(kind).items()
        if callable(verb) and not name.startswith("_")
    }
    assert {"encode", "latents", "complete", "known_context"} <= verbs.keys()

    def own(name: str) -> object:
        def verb(self: DRAW, *arguments: object, **options: object) -> object:
            return getattr(super(Own, self), name)(*arguments, **options)

        return verb

    Own = type("Own", (DRAW,), {name: own(name) for name in verbs})
    choice = Own(TINY_MODEL).choice
    assert choice.name == "cpp", choice.reason
