"""The recurrent attention classifier against the paper in plain loops."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

import oracle
from draw.classifier import Classifier
from draw.config import ClassifierConfig
from draw.errors import DrawError

SMALL = ClassifierConfig(
    rows=9, columns=7, channels=1, glimpses=3, hidden_size=6, read_size=3, classes=4
)


def random_classifier(config: ClassifierConfig = SMALL) -> Classifier:
    """In float64, with every parameter random."""
    model = Classifier(config).double()
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=random))
    return model


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_section_4_1_in_plain_loops(channels: int) -> None:
    config = dataclasses.replace(SMALL, channels=channels)
    model = random_classifier(config)
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


def test_gradients_are_those_of_differences() -> None:
    model = random_classifier(dataclasses.replace(SMALL, rows=4, columns=5, hidden_size=3))
    images = torch.rand(2, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    parameters = dict(model.named_parameters())

    def logits(images: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        state = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(model, state, (images,)).logits

    assert torch.autograd.gradcheck(logits, (images, *parameters.values()))


def test_all_parameters_learn() -> None:
    model = Classifier(SMALL)
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
    model = Classifier(SMALL)
    images = torch.rand(2, 1, 9, 7)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(images)
    assert found.windows.g_x.dtype == found.logits.dtype == torch.float32
    torch.testing.assert_close(found.windows.g_x[0], model(images).windows.g_x[0], rtol=0, atol=0)


@pytest.mark.parametrize(
    "images",
    [
        torch.rand(2, 1, 7, 9),
        torch.rand(2, 3, 9, 7),
        torch.rand(2, 1, 9, 7).double(),
    ],
)
def test_images_that_do_not_fit_are_refused(images: torch.Tensor) -> None:
    with pytest.raises(DrawError, match=r"of torch\.float32 and shape \[batch, 1, 9, 7\]"):
        Classifier(SMALL)(images)


def test_a_saved_classifier_is_the_same(tmp_path: Path) -> None:
    model = Classifier(SMALL)
    model.save_pretrained(tmp_path)
    images = torch.rand(2, 1, 9, 7)
    assert torch.equal(Classifier.from_pretrained(tmp_path)(images).logits, model(images).logits)
