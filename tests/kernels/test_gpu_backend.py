"""The Triton kernels as a backend: by its interpreter on a CPU, as on the card that it is for."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="Triton is not installed: it comes with torch for CUDA")

import draw.attention.window
import draw.model.draw
from draw.config.model import DRAWConfig
from draw.errors import DrawError, KernelUnavailableError
from draw.kernels import BACKENDS, proof
from draw.kernels.choose import choose
from draw.kernels.gpu import gradient, kernel_launch, sequence, triton_backend
from draw.kernels.gpu import triton_unroll as gpu
from draw.kernels.gpu.layout import Tiles
from draw.measure.bound import evaluate
from draw.model.draw import DRAW
from draw.parts.state import Context, Trajectory
from running import python_process

pytestmark = pytest.mark.filterwarnings(  # 1 / (1 + exp(1000)) is 0
    "ignore:overflow encountered in exp"
)

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
TRITON = BACKENDS["triton"]
SMALL = DRAWConfig(
    rows=4, columns=5, glimpses=2, hidden_size=6, latent_size=3, read_size=2, write_size=2
)
PARTS = {
    "the paper's": {},
    "other": {"prior": "learned", "condition": "class", "classes": 3},
    "Cauchy": {"attention": "cauchy"},
    "no attention": {"attention": "none"},
}


def as_on_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend takes this device, where there is no card."""
    if DEVICE.type == "cpu":
        monkeypatch.setattr(triton_backend.Triton, "devices", frozenset(("cpu", "meta")))
        monkeypatch.setattr(triton_backend, "capability", lambda device: (9, 0))


def prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof takes seconds here."""
    monkeypatch.setattr(proof, "difference", lambda *_: None)


_everywhere = pytest.fixture(autouse=True, name="_as_on_a_card")(as_on_a_card)
unproven = pytest.fixture(name="unproven")(prove_nothing)


def drawing(kind: str = "triton", /, **options: object) -> DRAW:
    """A model with random weights that asks for a backend."""
    model = DRAW(dataclasses.replace(SMALL, **options))
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=random))
    model.backend = kind
    return model.to(DEVICE)


def inputs(batch: int = 2) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    images = torch.rand(batch, *SMALL.image_shape, generator=random)
    noise = torch.randn(SMALL.glimpses, batch, SMALL.latent_size, generator=random)
    return images.to(DEVICE), noise.to(DEVICE)


def numbers(drawn: Trajectory) -> list[Tensor]:
    return [drawn.canvases, *(n for w in drawn.windows.values() for n in w.numbers.values())]


@pytest.mark.parametrize("parts", PARTS)
def test_a_model_runs_on_it_as_on_the_reference(parts: str) -> None:
    fast, plain = (drawing(kind, **PARTS[parts]) for kind in ("triton", "reference"))
    assert str(fast.choice) == "triton (as asked)"
    images, noise = inputs()
    labels = fast.labels_for(2)
    outputs = [model(images, noise, labels) for model in (fast, plain)]
    for ours, theirs in zip(*outputs, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    slopes = [
        torch.autograd.grad(output.bound.mean(), list(model.parameters()))
        for output, model in zip(outputs, (fast, plain), strict=True)
    ]
    for name, ours, theirs in zip(dict(fast.named_parameters()), *slopes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5, msg=name)
    for draw_with in (
        lambda model: model.reconstruct(images, noise, labels=labels),
        lambda model: model.generate(2, noise=noise, labels=labels),
    ):
        ours, theirs = numbers(draw_with(fast)), numbers(draw_with(plain))
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("unproven")
def test_bound_and_importance_weighted_estimate_are_the_references() -> None:
    images = inputs(3)[0].cpu().numpy()
    ours, theirs = (
        evaluate(drawing(kind), images, importance_samples=2) for kind in ("triton", "reference")
    )
    assert ours.bound == pytest.approx(theirs.bound, abs=1e-4)
    assert ours.importance_weighted == pytest.approx(theirs.importance_weighted, abs=1e-4)


EDITS: dict[str, tuple[object, str, Callable[..., object]]] = {
    "KL": (draw.model.draw, "kl_divergence", lambda found: 1.001 * found),
    "filters": (draw.attention.window, "filter_centres", lambda found: 1.001 * found),
    "limits": (draw.attention.window, "MAX_CENTRE", lambda _: 1e3),
    "limits of logarithms": (draw.attention.window, "MAX_LOG", lambda _: 20.1),
}


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_equation_is_noticed(edit: str, monkeypatch) -> None:
    owner, name, change = EDITS[edit]
    known = getattr(owner, name)
    changed = (lambda *given: change(known(*given))) if callable(known) else change(known)
    monkeypatch.setattr(owner, name, changed)
    with pytest.raises(KernelUnavailableError, match="this code computes another"):
        drawing().choice  # noqa: B018


def test_what_it_cannot_take_is_named(monkeypatch) -> None:
    hooked = drawing()
    hooked.lstm_dec.register_forward_hook(lambda *_: None)
    for model, said in (
        (drawing().double(), "weights in float32, the model is in torch.float64"),
        (hooked, "lstm_dec has a forward hook"),
        (drawing(attention="affine"), "this model has attention 'affine'"),
        (drawing(read_heads=3), "this model has read_heads 3"),
        (drawing(write_heads=2), "this model has write_heads 2"),
        (drawing(likelihood="logistic", prior="standard").requires_grad_(False), None),
    ):
        found = TRITON.obstacle(model, DEVICE, model.canvas_0.dtype)
        assert found is None if said is None else said in str(found)
    monkeypatch.setattr(triton_backend, "capability", lambda device: (7, 5))
    assert "this card has (7, 5)" in str(TRITON.obstacle(drawing(), DEVICE, torch.float32))
    monkeypatch.setattr(triton_backend.language, "triton", None)
    assert "not installed" in str(TRITON.obstacle(drawing(), DEVICE, torch.float32))


@pytest.mark.usefixtures("unproven")
def test_auto_takes_what_was_measured_and_says_what(monkeypatch) -> None:
    others = {"reference": BACKENDS["reference"]}
    monkeypatch.setattr("draw.kernels.choose.BACKENDS", {"triton": TRITON, **others})
    for attention, ratio in triton_backend.RATIOS.items():
        measured = dataclasses.replace(triton_backend.MEASURED_ROW, attention=attention)
        choice = choose(DRAW(measured).to(DEVICE), "auto")
        assert choice.name == "triton"
        assert ratio in choice.reason
        assert "measured on one NVIDIA H200" in choice.reason
    for change, said in (
        ({"hidden_size": 8}, "hidden_size 256, this model has 8"),
        ({"prior": "learned"}, "prior standard, this model has learned"),
        ({"attention": "cauchy"}, "not measured with attention 'cauchy'"),
    ):
        other = DRAW(dataclasses.replace(triton_backend.MEASURED_ROW, **change)).to(DEVICE)
        choice = choose(other, "auto")
        assert choice.name == "reference"
        assert f"not triton: it was{' ' if 'not' in said else ' measured with '}{said}" in (
            choice.reason
        )
    monkeypatch.setattr(triton_backend, "capability", lambda device: (8, 9))
    measured = DRAW(triton_backend.MEASURED_ROW).to(DEVICE)
    assert "capability (8, 9)" in choose(measured, "auto").reason


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_says_what_products_multiply(dtype: torch.dtype, monkeypatch) -> None:
    launched: list[torch.dtype] = []
    model, (images, noise) = drawing(), inputs()
    monkeypatch.setattr(sequence.Run, "forward", lambda run: launched.append(run.dtype))
    with torch.no_grad():
        gpu.trajectory(model, None, noise)
        with torch.autocast(DEVICE.type, dtype):
            gpu.trajectory(model, images, noise)
    assert launched == [torch.float32, dtype]


def test_float32_is_multiplied_as_torch_was_told(monkeypatch) -> None:
    assert gpu.precision() == "ieee"
    matmul = SimpleNamespace(fp32_precision="tf32")
    monkeypatch.setattr(torch.backends.cuda, "matmul", matmul)
    assert gpu.precision() == "tf32"


@pytest.mark.usefixtures("unproven")
def test_under_autocast_nothing_else_is_rounded() -> None:
    model, (images, noise) = drawing(), inputs()
    plain = DRAW.unroll(model, images, noise)
    expected = torch.autograd.grad(plain.kl.sum(), list(model.parameters()), allow_unused=True)
    with torch.autocast(DEVICE.type, torch.bfloat16):  # of which float32 operands know nothing
        found = gpu.unroll(model, images, noise, dtype=torch.float32)
        slopes = torch.autograd.grad(found.kl.sum(), list(model.parameters()))
    torch.testing.assert_close(found.kl, plain.kl, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(slopes, expected, strict=True):
        if theirs is not None:
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.usefixtures("unproven")
class TestAutograd:
    def test_gradients_twice_and_summed(self) -> None:
        model, weights = drawing(), None
        loss = model(*inputs()).bound.sum()
        weights = list(model.parameters())
        once = torch.autograd.grad(loss, weights, retain_graph=True)
        loss.backward()
        model(*inputs()).bound.sum().backward()
        for weight, slope in zip(weights, once, strict=True):
            torch.testing.assert_close(weight.grad, 2 * slope)
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            loss.backward()

    def test_a_gradient_of_a_gradient_is_refused(self) -> None:
        model = drawing(attention="none")
        loss = model(*inputs()).bound.sum()
        (slope,) = torch.autograd.grad(loss, model.mu.weight, create_graph=True)
        with pytest.raises(RuntimeError, match="once_differentiable"):
            slope.sum().backward()

    def test_a_weight_changed_before_the_gradient_is_an_error(self) -> None:
        model = drawing(attention="none")
        loss = model(*inputs()).bound.sum()
        with torch.no_grad():
            model.mu.weight.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()

    def test_a_copy_has_weights_of_its_own_and_a_batch_may_change(self) -> None:
        model = drawing(attention="none")
        twin = copy.deepcopy(model)
        assert str(twin.choice) == "triton (as asked)"
        with torch.no_grad():
            twin.mu.bias.add_(1)
        (two, noise), (three, more) = inputs(2), inputs(3)
        before = model(two, noise).bound
        assert not torch.equal(twin(two, noise).bound, before)
        assert model(three, more).bound.shape == (3,)
        assert torch.equal(model(two, noise).bound, before)

    def test_what_is_frozen_gets_no_gradient(self) -> None:
        model = drawing(attention="none").requires_grad_(False)
        model.mu.weight.requires_grad_()
        model(*inputs()).bound.sum().backward()
        assert model.mu.weight.grad is not None
        assert all(p.grad is None for p in model.parameters() if p is not model.mu.weight)

    def test_noncontiguous_inputs_are_read_in_their_order(self) -> None:
        model, (images, noise) = drawing(attention="none"), inputs()
        expected = model(images, noise).bound
        other = images.mT.contiguous().mT, noise.movedim(0, 2).contiguous().movedim(2, 0)
        assert not other[0].is_contiguous()
        torch.testing.assert_close(model(*other).bound, expected)

    def test_under_torch_compile_it_runs_as_it_is(self) -> None:
        """In a process without shape checks, which torch.compile would have to go round."""
        python_process("-c", UNDER_TORCH_COMPILE, cwd=Path(__file__).parents[1])


UNDER_TORCH_COMPILE = """
import pytest, torch
from kernels.test_gpu_backend import as_on_a_card, drawing, inputs, prove_nothing

with pytest.MonkeyPatch.context() as patch:
    as_on_a_card(patch)
    prove_nothing(patch)
    model, given = drawing(attention="none"), inputs()
    expected = model(*given).bound
    found = torch.compile(model, backend="eager")(*given).bound
    assert torch.equal(found, expected), (found, expected)
"""


class _Launched:
    """Stands for a kernel: notes how it is launched."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[int, int], dict[str, object]]] = []

    def __getitem__(self, grid: tuple[int, int]) -> Callable[..., None]:
        return lambda *_, **options: self.calls.append((grid, options))


def test_programs_that_wait_for_each_other_are_launched_together() -> None:
    for parts, together in ((1, None), (4, True)):
        kernel = _Launched()
        kernel_launch.launch(kernel, Tiles(parts=parts), 48, torch.zeros(1))
        ((grid, options),) = kernel.calls
        assert grid == (3, parts)
        assert options.get("launch_cooperative_grid") is together


def test_a_batch_whose_offsets_would_overflow_is_refused() -> None:
    layout = gpu.layout_of(SMALL, torch.float32, Tiles())
    most = sequence.largest_batch(layout)
    assert most % layout.tiles.images == 0
    noise = torch.empty(2, most + 1, 3, device="meta")
    with pytest.raises(DrawError, match=f"at most {most:,} drawings at a time, got {most + 1:,}"):
        sequence.Run(layout, torch.float32, {}, None, noise)


WAITS = {
    "aten._local_scalar_dense.default", "aten.nonzero.default", "aten.item.default",
    "aten.equal.default", "aten.is_nonzero.default", "aten.masked_select.default",
}  # fmt: skip
"""Operators that wait for the card."""


class _Watch(torch.utils._python_dispatch.TorchDispatchMode):
    """Fails where the host waits for the card, or sends it something: no graph can hold that.

    The card is the device `meta` here. Numbers made on the host are tensors on the CPU.
    """

    def __torch_dispatch__(self, operator, types, given=(), options=None):  # type: ignore[no-untyped-def]
        found = operator(*given, **(options or {}))
        tensors = torch.utils._pytree.tree_leaves((given, options, found))
        places = {tensor.device.type for tensor in tensors if isinstance(tensor, Tensor)}
        assert str(operator) not in WAITS
        assert places <= {"meta"}, f"{operator} meets {places}"
        return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("parts", PARTS)
def test_nothing_waits_for_the_card(parts: str, dtype: torch.dtype, monkeypatch) -> None:
    monkeypatch.setattr(sequence, "unroll_forward", forward := _Launched())
    monkeypatch.setattr(gradient, "unroll_backward", backward := _Launched())
    monkeypatch.setattr(gpu, "without_autocast", lambda device: torch.enable_grad())
    model = drawing(**PARTS[parts]).to("meta")
    images, noise = (tensor.to("meta").requires_grad_() for tensor in inputs())
    told = Context(*(torch.empty(2, 24, device="meta").requires_grad_() for _ in range(2)))
    with _Watch():
        out = gpu.unroll(model, images, noise, told, dtype=dtype)
        (out.canvas.sum() + out.kl.sum() + out.log_ratio.sum()).backward()
        gpu.trajectory(model, None, noise.detach(), told, dtype=dtype)
    assert (len(forward.calls), len(backward.calls)) == (2, 1)
    assert all(tensor.grad is not None for tensor in (images, noise, *told))
