"""Which kernel runs, who says so, and what happens where the fused one cannot be made."""

import ctypes
import dataclasses
import logging
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from draw.attention.gaussian import GaussianAttention
from draw.config.model import DRAWConfig
from draw.errors import KernelUnavailableError
from draw.kernels import choose as choice
from draw.kernels.choose import Kernel, for_model
from draw.kernels.cpp import build
from draw.model.draw import DRAW
from draw.training.start import resume, resumed_config, start
from running import TINY, TINY_MODEL, draw_command, image_set

STAND_IN = {"unroll.cpp": b'extern "C" int answer() { return 42; }'}
"""Compiles at once."""


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A cache folder in which nothing was compiled yet, and a process that has loaded nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build._outcome.cache_clear()
    choice._say_once.cache_clear()
    yield tmp_path / "draw" / "kernels"
    build._outcome.cache_clear()


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)


needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, build.COMPILERS)), reason="no C++ compiler here"
)


def model(kernel: str) -> DRAW:
    return DRAW(dataclasses.replace(TINY_MODEL, kernel=kernel))


# Compiling


@needs_compiler
def test_it_is_compiled_once_and_says_so(empty_cache, capfd) -> None:
    first = build.compiled(STAND_IN)
    assert "draw: compiling the fast kernel" in capfd.readouterr().err
    assert build.compiled(STAND_IN) == first
    assert capfd.readouterr().err == ""
    names = {first.name, f"{first.name}.sha256"}
    assert {path.name for path in empty_cache.iterdir()} == names
    assert build.compiled({**STAND_IN, "other.h": b""}) != first, "made of other sources"


@needs_compiler
def test_sources_that_do_not_compile_leave_nothing_behind(empty_cache) -> None:
    with pytest.raises(KernelUnavailableError, match=r"g\+\+: .*error"):
        build.compiled({"unroll.cpp": b"int main( {"})
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
    kernels = [model("auto").kernel for _ in range(2)]
    assert {kernel.name for kernel in kernels} == {"reference"}
    assert "no C++ compiler" in kernels[0].reason
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1, "said once"
    assert "several times slower" in warnings[0].message
    assert "no C++ compiler" in warnings[0].message


def test_fused_refuses_where_it_cannot_run(empty_cache, no_compiler) -> None:
    with pytest.raises(KernelUnavailableError, match=r"cannot run: no C\+\+.*reference"):
        model("fused")


def test_reference_needs_no_compiler(empty_cache, no_compiler, caplog) -> None:
    assert model("reference").kernel == Kernel("reference", "as asked")
    assert caplog.text == ""


FUSED = Kernel("fused", "compiled")


def nothing() -> None:
    """What is changed in an unchanged model."""


@pytest.mark.parametrize(
    ("changed", "device", "dtype", "says"),
    [
        (None, "mps", torch.float32, "runs on CPUs, the model is on mps"),
        (None, "cpu", torch.float16, r"float32 or float64, the model is in torch\.float16"),
        ("it has a hook", "cpu", torch.float32, "DRAW as it is, it has a hook"),
    ],
)
def test_what_the_fused_kernel_cannot_take(changed, device, dtype, says) -> None:
    arguments = lambda: changed, torch.device(device), dtype
    fallen_back = for_model(FUSED, "auto", *arguments, hooked=nothing)
    assert fallen_back.name == "reference"
    with pytest.raises(KernelUnavailableError, match=says):
        for_model(FUSED, "fused", *arguments, hooked=nothing)
    plain = nothing, torch.device("cpu"), torch.float32
    assert for_model(FUSED, "auto", *plain, hooked=nothing) == FUSED


def test_on_a_gpu_it_is_a_graph_if_asked_for() -> None:
    gpu = nothing, torch.device("cuda"), torch.float32
    assert for_model(FUSED, "fused", *gpu, hooked=nothing).name == "graph"
    assert for_model(FUSED, "auto", *gpu, hooked=nothing).name == "reference"
    asked = Kernel("reference", "as asked")
    assert for_model(asked, "reference", *gpu, hooked=nothing).reason == "as asked"


@pytest.mark.parametrize("found", [FUSED, Kernel("reference", "no C++ compiler")])
def test_a_model_without_a_graph_has_no_fused_kernel_on_a_gpu(found: Kernel) -> None:
    gpu = nothing, torch.device("cuda"), torch.float32
    kernel = for_model(found, "auto", *gpu, hooked=None)
    assert (kernel.name, kernel.reason[-7:]) == ("reference", "on cuda")
    with pytest.raises(KernelUnavailableError, match=r"on cuda; choose the kernel 'auto' or"):
        for_model(found, "fused", *gpu, hooked=None)


def test_fused_is_not_replaced_in_silence_on_the_cpu_of_a_machine_with_a_gpu() -> None:
    not_compiled = Kernel("reference", "the fused one cannot run: no C++ compiler")
    cpu = nothing, torch.device("cpu"), torch.float32
    assert for_model(not_compiled, "auto", *cpu, hooked=nothing) == not_compiled
    with pytest.raises(KernelUnavailableError, match=r"no C\+\+ compiler; choose"):
        for_model(not_compiled, "fused", *cpu, hooked=nothing)


def test_autocast_to_other_numbers_takes_the_reference() -> None:
    cpu = torch.device("cpu")
    with torch.autocast("cpu", torch.float16):
        kernel = for_model(FUSED, "auto", nothing, cpu, torch.float32, hooked=nothing)
    assert "not torch.float16" in kernel.reason
    with torch.autocast("cpu", torch.bfloat16):
        assert for_model(FUSED, "auto", nothing, cpu, torch.float32, hooked=nothing) == FUSED


class TwiceAsBold(DRAW):
    """One idea changed, as a user would."""

    def step(self, x, noise, state, told):
        after, step = super().step(x, noise, state, told)
        return after._replace(canvas=2 * after.canvas - state.canvas), step


class OwnAttention(GaussianAttention):
    pass


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("kernel", ["fused"], indirect=True)
class TestChangedModels:
    def test_a_changed_step_is_what_runs(self) -> None:
        torch.manual_seed(0)
        plain = model("auto")
        bold = TwiceAsBold(TINY_MODEL)
        bold.load_state_dict(plain.state_dict())
        images, noise = torch.rand(2, 1, 6, 5), torch.randn(3, 2, 4)
        assert plain.kernel.name == "fused"
        assert "its own step" in bold.kernel.reason
        assert not torch.equal(bold(images, noise).canvas, plain(images, noise).canvas)

    def test_another_attention_is_what_runs(self) -> None:
        changed = model("auto")
        changed.attention = OwnAttention(8, 1, 6, 5, 2, 3)
        assert "its own attention" in changed.kernel.reason

    def test_fused_refuses_a_changed_model(self) -> None:
        bold = TwiceAsBold(dataclasses.replace(TINY_MODEL, kernel="fused"))
        with pytest.raises(KernelUnavailableError, match=r"its own step.*'auto' or 'reference'"):
            bold(torch.rand(2, 1, 6, 5))


# Saying so


def test_runs_and_models_say_which_kernel(tmp_path: Path) -> None:
    flags = ("--model.kernel", "reference", "--train.steps", "2", "--train.evaluate-images", "10")
    small = ("--model.glimpses", "2", "--model.hidden-size", "8", "--train.batch-size", "4")
    done = draw_command("train", "digits", "--out", "run", *flags, *small, cwd=tmp_path)
    assert "kernel: reference (as asked)" in done.stdout
    assert "reference (as asked)" in draw_command("info", "run", cwd=tmp_path).stdout


def test_a_run_may_go_on_with_the_other_kernel(tmp_path: Path) -> None:
    run, images = tmp_path / "run", image_set(10)
    slow = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, kernel="reference"))
    trainer = start(slow, run, images, images)
    trainer.save()
    trainer.lock.release()
    config = resumed_config(run, TINY)
    assert config.model.kernel == "auto"
    other = resume(config, run, images, images)
    for name, value in trainer.bare_model.state_dict().items():
        assert torch.equal(other.bare_model.state_dict()[name], value)


def test_a_config_from_before_there_were_kernels_is_read() -> None:
    values = dataclasses.asdict(TINY_MODEL)
    del values["kernel"]
    assert DRAWConfig(**values).kernel == "auto"
