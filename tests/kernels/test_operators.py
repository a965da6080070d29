"""What draw's operators and models refuse, and what they do with nothing: no call crashes."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

import operator_calls
from draw.config.model import ClassifierConfig
from draw.errors import DrawError, KernelArgumentError
from draw.kernels.cpp import buffers
from draw.kernels.cpp import unroll as cpp
from draw.kernels.cpp.classifier_unroll import glimpses
from draw.model.classifier import Classifier
from draw.model.draw import DRAW
from draw.parts.layers import Affine
from draw.parts.state import NOTHING, Context
from running import TINY_MODEL, on, python_process

only_cpp = pytest.mark.parametrize("backend", ["cpp"], indirect=True)
"""Run once, and skipped where cpp cannot run."""
CLASSIFIER = ClassifierConfig(
    rows=6, columns=5, glimpses=3, hidden_size=8, read_size=2, window_clip=0.1
)


@pytest.mark.slow
@only_cpp
@pytest.mark.parametrize(("calls", "least"), [("operator_calls", 19000), ("model_calls", 1500)])
def test_every_call_raises_or_agrees(calls: str, least: int, backend: str) -> None:
    """In a process of its own: a crash would end it before its last line."""
    script = Path(__file__).parents[1] / f"{calls}.py"
    lines = python_process("-W", "ignore", str(script), cwd=script.parents[1]).stdout.splitlines()
    faults = [line for line in lines if ": raises" not in line and not line.endswith(": agrees")]
    assert faults == ["done"]
    assert len(lines) > least


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch's own, of duals
@only_cpp
def test_no_tangent_is_passed_over(backend: str) -> None:
    """Torch runs operators without a forward-mode derivative on values alone, and says nothing."""
    calls = operator_calls.drawing_calls(operator_calls.SMALL)
    calls |= operator_calls.classifier_calls(operator_calls.CLASSIFIER)
    tried = set[str]()
    for name, (operator, arguments, _) in calls.items():
        operator(**arguments)
        for key, value in arguments.items():
            several = isinstance(value, list) and isinstance(value[0], Tensor)
            for at, tensor in enumerate(value if several else [value]):
                if isinstance(tensor, Tensor) and tensor.is_floating_point():
                    with forward_ad.dual_level():
                        dual = forward_ad.make_dual(tensor, torch.ones_like(tensor))
                        given = [*value[:at], dual, *value[at + 1 :]] if several else dual
                        with pytest.raises(KernelArgumentError, match="without a tangent"):
                            operator(**{**arguments, key: given})
                    tried.add(name)
    assert tried == calls.keys()


def other_affine(model: DRAW) -> None:
    model.mu = Affine(8, 10)


def smaller_canvas(model: DRAW) -> None:
    model.canvas_0 = nn.Parameter(torch.zeros(1, 5, 5))


def emptied_weight(model: DRAW) -> None:
    model.lstm_enc.weight_hh.data = torch.empty(0)


def freed_weight(model: DRAW) -> None:
    model.lstm_enc.weight_hh.data.untyped_storage().resize_(0)


def no_bias(model: DRAW) -> None:
    model.mu.register_parameter("bias", None)


def other_config(**changes: object) -> Callable[[DRAW], None]:
    def change(model: DRAW) -> None:
        model.config = dataclasses.replace(model.config, **changes)

    return change


BROKEN: dict[str, Callable[[DRAW], object]] = {
    "another mu": other_affine,
    "a smaller canvas_0": smaller_canvas,
    "an emptied weight": emptied_weight,
    "a freed weight": freed_weight,
    "a bias of None": no_bias,
    "a decoder in bfloat16": lambda model: model.lstm_dec.bfloat16(),
    "an attention in half": lambda model: model.attention.half(),
    "an encoder in float64": lambda model: model.lstm_enc.double(),
    "a weight on meta": lambda model: model.log_sigma.to("meta"),
    **{
        f"config.{name} = {value}": other_config(**{name: value})
        for name, value in {
            "rows": 12, "columns": 2, "channels": 3, "hidden_size": 16, "latent_size": 100,
            "read_size": 5, "write_size": 1, "read_heads": 2, "write_heads": 3,
            "attention": "none", "prior": "learned",
        }.items()
    },
}  # fmt: skip


@only_cpp
@pytest.mark.parametrize("way", BROKEN)
def test_a_model_that_does_not_fit_is_refused(way: str, backend: str) -> None:
    model = on(backend, DRAW(TINY_MODEL))
    images, noise = torch.rand(2, 1, 6, 5), torch.randn(3, 2, 4)
    BROKEN[way](model)
    for given in (images, None):
        with pytest.raises(KernelArgumentError, match=r"^expected [^ ]+.*got "):
            cpp.trajectory(model.config, model, given, noise)
    with pytest.raises(KernelArgumentError):
        cpp.unroll(model.config, model, images, noise)


TOLD: dict[str, Callable[[Tensor], Tensor]] = {
    "for one image": lambda t: t[:1],
    "for more images": lambda t: torch.cat([t, t]),
    "of too few gates": lambda t: t[:, :-1],
    "in float64": lambda t: t.double(),
    "on meta": lambda t: t.to("meta"),
}


@only_cpp
@pytest.mark.parametrize("which", Context._fields)
@pytest.mark.parametrize("way", TOLD)
def test_what_is_told_is_checked(way: str, which: str, backend: str) -> None:
    model = on(backend, DRAW(TINY_MODEL))
    images, noise = torch.rand(2, 1, 6, 5), torch.randn(3, 2, 4)
    context = NOTHING._replace(**{which: TOLD[way](torch.zeros(2, 32))})
    for call in (cpp.unroll, cpp.trajectory):
        wanted = f"expected context_{which} of shape .2, 32., "
        with pytest.raises(KernelArgumentError, match=wanted):
            call(model.config, model, images, noise, context)


@only_cpp
@pytest.mark.parametrize("part", ["mu.weight", "mu.bias", "log_sigma.weight", "log_sigma.bias"])
def test_a_learned_prior_that_does_not_fit_is_refused(part: str, backend: str) -> None:
    model = on(backend, DRAW(dataclasses.replace(TINY_MODEL, prior="learned")))
    model.prior.get_parameter(part).data = torch.zeros(3)
    for call in (cpp.unroll, cpp.trajectory):
        with pytest.raises(KernelArgumentError, match=f"expected prior.{part} of shape"):
            call(model.config, model, torch.rand(2, 1, 6, 5), torch.randn(3, 2, 4))


@only_cpp
@pytest.mark.parametrize("part", ["h_0", "c_0", "lstm.weight_ih", "read_window.bias"])
def test_a_classifier_that_does_not_fit_is_refused(part: str, backend: str) -> None:
    model = Classifier(CLASSIFIER)
    model.get_parameter(part).data = torch.zeros(3)
    with pytest.raises(KernelArgumentError, match=f"expected {part} of shape"):
        glimpses(model.config, model, torch.rand(2, 1, 6, 5), 1.0)


def all_gradients(model: nn.Module, loss: Tensor, *inputs: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, [*inputs, *model.parameters()], materialize_grads=True))


@pytest.mark.parametrize("attention", ["gaussian", "laplace", "none"])
@pytest.mark.parametrize("prior", ["standard", "learned"])
@pytest.mark.parametrize("condition", ["none", "class"])
def test_no_images_give_no_bounds_and_slopes_of_zero(
    attention: str, prior: str, condition: str, backend: str
) -> None:
    parts = {"attention": attention, "prior": prior, "condition": condition}
    model = on(backend, DRAW(dataclasses.replace(TINY_MODEL, **parts)))
    images = torch.rand(0, 1, 6, 5, requires_grad=True)
    noise = torch.randn(3, 0, 4, requires_grad=True)
    output = model(images, noise, model.labels_for(0))
    assert [tuple(part.shape) for part in (output.canvas, output.kl, output.bound)] == [
        (0, 1, 6, 5), (0, 3), (0,)
    ]  # fmt: skip
    found = all_gradients(model, output.bound.sum() + output.log_weight.sum(), images, noise)
    assert [g.shape for g in found[:2]] == [images.shape, noise.shape]
    assert all((g == 0).all() for g in found)
    drawing = model.reconstruct(images.detach(), labels=model.labels_for(0))
    assert drawing.canvases.shape == (3, 0, 1, 6, 5)
    if attention != "none":
        assert drawing.read_windows.g_x.shape == drawing.write_windows.g_x.shape == (3, 0)


def test_no_images_have_as_many_windows_as_any(backend: str) -> None:
    model = on(backend, DRAW(dataclasses.replace(TINY_MODEL, read_heads=2, write_heads=3)))
    drawing = model.reconstruct(torch.rand(0, 1, 6, 5))
    assert drawing.read_windows.numbers["g_x"].shape == (3, 0, 2)
    assert drawing.write_windows.numbers["g_x"].shape == (3, 0, 3)
    looking = on(backend, Classifier(dataclasses.replace(CLASSIFIER, read_heads=2)))
    assert looking(torch.rand(0, 1, 6, 5)).windows.numbers["g_x"].shape == (3, 0, 2)


def test_no_images_have_no_class(backend: str) -> None:
    model = on(backend, Classifier(CLASSIFIER))
    images = torch.rand(0, 1, 6, 5, requires_grad=True)
    answers = model(images)
    assert answers.logits_by_glimpse.shape == (3, 0, 10)
    assert answers.windows.g_x.shape == (3, 0)
    assert all((g == 0).all() for g in all_gradients(model, answers.logits.sum(), images))


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("parts", [{}, {"prior": "learned", "condition": "class"}])
def test_a_checkpointed_pass_is_the_same(bf16: bool, parts, backend: str) -> None:
    model = on(backend, DRAW(dataclasses.replace(TINY_MODEL, **parts)))
    images, noise = torch.rand(2, 1, 6, 5), torch.randn(3, 2, 4)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        labels = model.labels_for(2)
        plain = model(images, noise, labels).bound.sum()
        saved = checkpoint(lambda *given: model(*given, labels).bound.sum(), images, noise,
                           use_reentrant=False)  # fmt: skip
        looked = on(backend, Classifier(CLASSIFIER))
        answers = checkpoint(lambda x: looked(x).logits.sum(), images, use_reentrant=False)
        expected = looked(images).logits.sum()
    for a, b, parts in ((plain, saved, model), (expected, answers, looked)):
        pairs = zip(all_gradients(parts, a), all_gradients(parts, b), strict=True)
        assert all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("size", [2**45, 2**62, 2**63])
def test_more_memory_than_the_machine_has_is_refused(size: int) -> None:
    with pytest.raises(DrawError, match=r"needs \d+\.\d GiB at once.*fewer images at a time"):
        buffers.take(size)
