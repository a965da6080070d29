"""The recurrent attention classifier against the paper in plain loops."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch._subclasses import FakeTensorMode

import oracle
from draw.config.model import ClassifierConfig
from draw.errors import DrawError, KernelUnavailableError
from draw.kernels.cpp.binding import shape_of_classifier
from draw.kernels.cpp.classifier_unroll import look, look_backward
from draw.kernels.cpp.form import GLIMPSES_PARAMETERS
from draw.model.classifier import Classifier
from running import on

SMALL = ClassifierConfig(
    rows=9, columns=7, channels=1, glimpses=3, hidden_size=6, read_size=3, classes=4
)


def random_classifier(backend: str, config: ClassifierConfig = SMALL) -> Classifier:
    """In float64, with every parameter random."""
    model = on(backend, Classifier(config)).double()
    random = torch.Generator().manual_seed(0)
    size = 0.4 * min(1.0, 6 / config.hidden_size) ** 0.5  # or wide networks amplify any rounding
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(size * torch.randn(parameter.shape, generator=random))
    return model


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_section_4_1_in_plain_loops(channels: int, backend: str) -> None:
    config = dataclasses.replace(SMALL, channels=channels)
    model = random_classifier(backend, config)
    images = torch.rand(2, channels, 9, 7, dtype=torch.float64)
    with torch.no_grad():
        found = model(images)
    p = {name: value.detach().numpy() for name, value in model.named_parameters()}
    for n, image in enumerate(images.numpy()):
        h, c = list(p["h_0"]), list(p["c_0"])
        for t in range(config.glimpses):
            controls = oracle.affine(p["read_window.weight"], p["read_window.bias"], h)
            window = oracle.window(controls, 7, 9, config.read_size)
            r = oracle.flat(oracle.read_patch(image, window, config.read_size))
            h, c = oracle.lstm(p, "lstm", r, h, c)
            answer = oracle.affine(p["logits.weight"], p["logits.bias"], h)
            np.testing.assert_allclose(found.logits_by_glimpse[t, n], answer, rtol=1e-9)
            assert float(found.windows.g_x[t, n]) == pytest.approx(window.g_x)
            assert float(found.windows.sigma[t, n]) == pytest.approx(window.variance**0.5)
        np.testing.assert_allclose(found.logits[n], answer, rtol=1e-9)


def test_gradients_are_those_of_differences(backend: str) -> None:
    model = random_classifier(backend, dataclasses.replace(SMALL, rows=4, columns=5, hidden_size=3))
    images = torch.rand(2, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    parameters = dict(model.named_parameters())

    def logits(images: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        state = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(model, state, (images,)).logits

    assert torch.autograd.gradcheck(logits, (images, *parameters.values()))


def test_all_parameters_learn(backend: str) -> None:
    model = on(backend, Classifier(SMALL))
    model(torch.rand(5, 1, 9, 7)).logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_the_first_window_covers_the_image() -> None:
    config = ClassifierConfig()
    model = Classifier(config)
    with torch.no_grad():
        model.read_window.weight.zero_()
        window = model(torch.rand(1, 1, 100, 100)).windows
    assert float(window.g_x[0, 0]) == float(window.g_y[0, 0]) == 50.5
    assert float(window.delta[0, 0]) * 11 == pytest.approx(99, rel=1e-5)


def test_the_window_stays_in_full_precision_under_autocast() -> None:
    model = on("reference", Classifier(SMALL))
    images = torch.rand(2, 1, 9, 7)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(images)
    assert found.windows.g_x.dtype == found.logits.dtype == torch.float32
    torch.testing.assert_close(found.windows.g_x[0], model(images).windows.g_x[0], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (torch.rand(2, 1, 7, 9), r"of shape \[batch, 1, 9, 7\]"),
        (torch.rand(2, 3, 9, 7), r"of shape \[batch, 1, 9, 7\]"),
        (torch.rand(2, 1, 9, 7).double(), r"of torch\.float32"),
    ],
)
def test_images_that_do_not_fit_are_refused(images: torch.Tensor, expected: str) -> None:
    with pytest.raises(DrawError, match=f"expected images .*{expected}"):
        Classifier(SMALL)(images)


def test_the_gradient_of_each_images_window_is_held_to_a_length(backend: str) -> None:
    """With one glimpse the gradient of `read_window.bias` is the sum of those of the controls."""
    config = dataclasses.replace(SMALL, glimpses=1)
    images = torch.rand(6, 1, 9, 7, dtype=torch.float64)
    labels = torch.arange(6) % 4

    def bias_gradient(clip: float | None, some: torch.Tensor, named: torch.Tensor) -> torch.Tensor:
        model = random_classifier(backend, dataclasses.replace(config, window_clip=clip))
        torch.nn.functional.cross_entropy(model(some).logits, named).backward()
        return model.read_window.bias.grad

    each = torch.stack([bias_gradient(None, images[[i]], labels[[i]]) for i in range(len(images))])
    lengths = each.norm(dim=1, keepdim=True)
    clip = float(lengths.median())
    assert (lengths > clip).any()
    expected = (each * (clip / lengths).clamp(max=1)).mean(0)
    torch.testing.assert_close(bias_gradient(clip, images, labels), expected)
    torch.testing.assert_close(bias_gradient(None, images, labels), each.mean(0))


def test_a_saved_classifier_is_the_same(tmp_path: Path) -> None:
    model = Classifier(SMALL)
    model.save_pretrained(tmp_path)
    images = torch.rand(2, 1, 9, 7)
    assert torch.equal(Classifier.from_pretrained(tmp_path)(images).logits, model(images).logits)


# The compiled backend

only_cpp = pytest.mark.parametrize("backend", ["cpp"], indirect=True)
CASES = {
    "the paper's": (ClassifierConfig(), 5),
    "odd": (dataclasses.replace(SMALL, hidden_size=21), 18),
    "colour": (dataclasses.replace(SMALL, channels=3, rows=4, columns=11), 3),
    "one of each": (dataclasses.replace(SMALL, glimpses=1, read_size=1, hidden_size=1), 1),
    "Cauchy filters": (dataclasses.replace(SMALL, attention="cauchy"), 18),
    "Laplace filters": (dataclasses.replace(SMALL, attention="laplace", channels=3), 5),
    "short gradients": (dataclasses.replace(SMALL, window_clip=0.3), 18),
    "several windows": (dataclasses.replace(SMALL, read_heads=2, channels=3), 18),
    "many windows, short gradients": (
        dataclasses.replace(SMALL, read_heads=14, window_clip=0.3),
        5,
    ),
}


def gradients(model: Classifier, images: torch.Tensor) -> dict[str, torch.Tensor]:
    images = images.clone().requires_grad_()
    answers = model(images).logits_by_glimpse
    chance = torch.Generator().manual_seed(2)
    weights = torch.randn(answers.shape, generator=chance).to(answers)
    inputs = {"images": images, **dict(model.named_parameters())}
    found = torch.autograd.grad((answers * weights).sum(), list(inputs.values()))
    return {"answers": answers.detach(), **dict(zip(inputs, found, strict=True))}


@only_cpp
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("dtype", "bf16", "tolerance"),
    [(torch.float64, False, 1e-11), (torch.float32, False, 5e-5), (torch.float32, True, 0.15)],
)
def test_cpp_is_the_reference(case: str, dtype, bf16, tolerance, backend: str) -> None:
    config, batch = CASES[case]
    reference, cpp = random_classifier("reference", config), random_classifier("cpp", config)
    assert (reference.choice.name, cpp.choice.name) == ("reference", "cpp")
    images = torch.rand(batch, *config.image_shape, dtype=torch.float64)
    expected = gradients(reference, images)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        found = gradients(cpp.to(dtype), images.to(dtype))
    if bf16 and config.attention == "laplace":
        tolerance = 0.5  # rounding takes a filter from one side of a pixel to the other
    for name, value in expected.items():
        error = (found[name].double() - value).norm() / (value.norm() + 1e-3)
        assert error < tolerance, (name, float(error))


@only_cpp
@pytest.mark.parametrize("bf16", [False, True])
def test_torch_finds_the_operators_sound(bf16: bool, backend: str) -> None:
    model = Classifier(SMALL)
    parameters = [dict(model.named_parameters())[name] for name in GLIMPSES_PARAMETERS]
    images, shape = torch.rand(3, 1, 9, 7), shape_of_classifier(SMALL)
    torch.library.opcheck(look, (images, parameters, shape, bf16, 0.1))
    free = [parameter.detach() for parameter in parameters]
    h, _, kept = look(images, free, shape, bf16, 0.1)
    torch.library.opcheck(look_backward, (h, images, kept, free, shape, bf16, 0.1, True))


class Blind(Classifier):
    """One idea changed, as a user would."""

    def look(self, images):
        return super().look(torch.zeros_like(images))


@only_cpp
def test_a_changed_classifier_is_what_runs(backend: str) -> None:
    blind = Blind(SMALL)
    assert "its own look" in blind.choice.reason
    a, b = (blind(torch.rand(1, 1, 9, 7)).logits for _ in range(2))
    assert torch.equal(a, b)


@only_cpp
def test_on_a_gpu_cpp_is_refused_and_auto_says_why(backend: str) -> None:
    models = [on(asked, Classifier(SMALL)) for asked in ("auto", backend)]
    with FakeTensorMode():  # a device that need not be there
        for model in models:
            model.h_0 = torch.nn.Parameter(torch.empty(SMALL.hidden_size, device="cuda"))
    auto, cpp = models
    assert auto.choice.name == "reference"
    assert auto.choice.reason == "the loop under autograd"
    with pytest.raises(KernelUnavailableError, match=r"on cuda; choose the backend 'auto' or"):
        str(cpp.choice)
