"""What a computer has of the device and the precision that are asked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from draw.config.compute import ComputeConfig
from draw.errors import DrawError
from draw.model.convnet import Convnet
from draw.model.draw import DRAW
from draw.model.machine import no_denormals, settle
from draw.models.kinds import KINDS
from draw.training.start import start
from running import TINY, TINY_MODEL, draw_command, image_set, with_train


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A computer with two GPUs that need not be there, which can what this says."""
    can: dict[str, object] = {"bf16": True, "capability": (9, 0)}
    cuda = torch.cuda
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "device_count", lambda: 2)
    monkeypatch.setattr(cuda, "get_device_name", lambda device: "NVIDIA Imaginary")
    monkeypatch.setattr(cuda, "get_device_capability", lambda device: can["capability"])
    monkeypatch.setattr(cuda, "is_bf16_supported", lambda including_emulation: can["bf16"])
    monkeypatch.setattr(
        torch.accelerator, "current_accelerator", lambda check_available: torch.device("cuda")
    )
    return can


@pytest.fixture
def apple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


def settled(**asked: str) -> tuple[str, str]:
    found = settle(ComputeConfig(**asked))
    return str(found.device), found.precision


def refused(match: str, training: bool = False, **asked: str) -> None:
    with pytest.raises(DrawError, match=match):
        settle(ComputeConfig(**asked), training=training)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="this computer has a GPU")
def test_without_a_gpu() -> None:
    assert settled(precision="fp32") == ("cpu", "fp32")
    assert settled(device="cpu", precision="bf16") == ("cpu", "bf16")
    refused(r"a GPU that is there \(torch sees none\), got cuda; pass --device auto", device="cuda")
    refused("Apple's GPU", device="mps")


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_what_a_cpu_does_not_compute_in(precision: str) -> None:
    refused(f"got {precision}: .* is for GPUs; pass --precision auto", device="cpu",
            precision=precision)  # fmt: skip


def test_a_gpu(gpus: dict[str, object]) -> None:
    assert settled() == ("cuda", "bf16")
    assert settled(device="cuda:1", precision="tf32") == ("cuda:1", "tf32")
    assert settled(device="cpu", precision="fp32") == ("cpu", "fp32")
    assert settled(precision="fp16") == ("cuda", "fp16")
    refused("got fp16: .*gradients fall below its range", training=True, precision="fp16")
    refused(r"is there \(cuda:0, cuda:1\), got cuda:2", device="cuda:2")
    assert settle(ComputeConfig()).choices(Convnet(KINDS["convnet"].config())) == {
        "device": "cuda (NVIDIA Imaginary)", "precision": "bf16 (the GPU multiplies it)",
    }  # fmt: skip


def test_an_old_gpu(gpus: dict[str, object]) -> None:
    gpus |= {"bf16": False, "capability": (7, 0)}
    assert settled() == ("cuda", "fp32")
    refused("the GPU has no TF32; pass --precision auto, or fp32", precision="tf32")
    refused("the GPU has no bf16", precision="bf16")


def test_several_processes_take_a_gpu_each(gpus: dict[str, object], monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert settled(device="cuda")[0] == "cuda"
    refused("expected --device cuda for several processes", device="cuda:1")


@pytest.mark.usefixtures("apple")
def test_apples_gpu() -> None:
    assert settled(device="mps") == ("mps", "fp32")
    refused("no precision but fp32 was tried on mps", device="mps", precision="bf16")


@pytest.mark.parametrize(("precision", "inside"), [("tf32", "high"), ("fp32", "highest")])
def test_tf32_is_a_choice_of_the_products(gpus, precision: str, inside: str) -> None:
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with settle(ComputeConfig(precision=precision)).products():
            assert torch.get_float32_matmul_precision() == inside
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(("precision", "inside"), [("tf32", "tf32"), ("fp32", "ieee")])
@pytest.mark.parametrize("outside", ["tf32", "ieee", "none"])
def test_torchs_newer_name_for_it_is_heard_and_kept(
    gpus, precision: str, inside: str, outside: str, products_as_before
) -> None:
    matmul, mkldnn = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    mkldnn.fp32_precision = "bf16"
    matmul.fp32_precision = outside
    with settle(ComputeConfig(precision=precision)).products():
        assert matmul.fp32_precision == inside
        assert matmul.allow_tf32 == (inside == "tf32"), "by the older name, which compilers ask for"
    assert matmul.fp32_precision == outside
    assert mkldnn.fp32_precision == "bf16"


@pytest.mark.parametrize("precision", ["tf32", "fp32"])
@pytest.mark.parametrize("outside", [True, False])
def test_convolutions_are_products_too(
    gpus, precision: str, outside: bool, products_as_before
) -> None:
    """By torch's default they are in TF32 on a GPU, whatever the products are in."""
    cudnn = torch.backends.cudnn
    cudnn.allow_tf32 = outside
    before = cudnn.conv.fp32_precision
    with settle(ComputeConfig(precision=precision)).products():
        assert cudnn.allow_tf32 == (precision == "tf32")
        assert (cudnn.conv.fp32_precision == "tf32") == (precision == "tf32")
    assert cudnn.allow_tf32 == outside
    assert cudnn.conv.fp32_precision == before


def test_the_newer_name_of_convolutions_is_kept(gpus, products_as_before) -> None:
    conv = torch.backends.cudnn.conv
    conv.fp32_precision = "ieee"  # now the older name cannot be asked
    with settle(ComputeConfig(precision="tf32")).products():
        assert conv.fp32_precision == "tf32"
    assert conv.fp32_precision == "ieee"


@pytest.fixture
def products_as_before() -> Iterator[None]:
    matmuls, cudnn = (
        (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul),
        torch.backends.cudnn,
    )
    before, convolutions = [one.fp32_precision for one in matmuls], cudnn.allow_tf32
    yield
    torch.set_float32_matmul_precision("highest")
    cudnn.allow_tf32 = convolutions
    for one, value in zip(matmuls, before, strict=True):
        one.fp32_precision = value


def test_products_run_in_bf16_where_that_is_asked_for() -> None:
    a = torch.rand(3, 3)
    with settle(ComputeConfig(device="cpu", precision="bf16")).running():
        assert (a @ a).dtype == torch.bfloat16
    with settle(ComputeConfig(device="cpu", precision="fp32")).running():
        assert (a @ a).dtype == torch.float32


def test_a_backend_for_a_model_without_steps_is_refused() -> None:
    compute = settle(ComputeConfig(device="cpu", backend="reference"))
    model = DRAW(TINY_MODEL)
    compute.place(model)
    assert model.backend == "reference"
    with pytest.raises(DrawError, match=r"no backend for a Convnet, .* leave --backend out"):
        compute.place(Convnet(KINDS["convnet"].config()))


def is_flushed() -> bool:
    return bool(torch.tensor(1.5e-38) / 2 == 0)


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="the processor has no such switch")
@pytest.mark.parametrize("before", [False, True])
def test_numbers_near_zero_cost_no_time_on_a_cpu(before: bool) -> None:
    compute = settle(ComputeConfig(device="cpu", precision="fp32"))
    torch.set_flush_denormal(before)
    try:
        for context in (no_denormals, compute.products, compute.running):
            with pytest.raises(KeyboardInterrupt), context():
                raise KeyboardInterrupt
            with context():
                with compute.running():
                    pass
                assert is_flushed()
            assert is_flushed() == before
            with torch.device("meta"), context():  # wherever new tensors go
                pass
            assert is_flushed() == before
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="the processor has no such switch")
def test_training_computes_without_them(tmp_path: Path) -> None:
    trainer = start(with_train(TINY, steps=1), tmp_path / "run", image_set(8), image_set(4))
    seen: list[bool] = []
    model = trainer.bare_model
    model.register_forward_hook(lambda *_: seen.append(is_flushed()))
    next(model.parameters()).register_hook(lambda _: seen.append(is_flushed()))
    trainer.fit()
    assert seen == [True, True]
    assert not is_flushed()


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="the processor has no such switch")
@pytest.mark.parametrize("options", [[], ["--precision", "fp32"], ["--backend", "reference"]])
def test_verbs_compute_without_them(options: list[str], tmp_path: Path, monkeypatch) -> None:
    DRAW(TINY_MODEL).save_pretrained(tmp_path / "model")
    seen: list[bool] = []
    generate = DRAW.generate

    def noting(self: DRAW, *given: Any, **named: Any) -> Any:
        seen.append(is_flushed())
        return generate(self, *given, **named)

    monkeypatch.setattr(DRAW, "generate", noting)
    draw_command("sample", "model", "--n", "1", "--device", "cpu", *options, cwd=tmp_path)
    draw_command("sample", "model", "--n", "1", "--out", "again.png", *options, cwd=tmp_path)
    assert seen == [True, True]
    assert not is_flushed()
