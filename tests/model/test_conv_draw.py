"""Convolutional DRAW: its equations in plain loops, its gradients, its bound, what it refuses."""

import dataclasses
from math import exp, tanh
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import oracle
from draw.config.model import ConvDRAWConfig, to_plain
from draw.config.presets import PRESETS
from draw.errors import DrawError, KernelUnavailableError
from draw.model.conv_draw import ConvDRAW
from draw.models.kinds import make_model, model_config
from running import draw_command

SMALL = ConvDRAWConfig(
    rows=4, columns=6, glimpses=2, hidden_size=12, latent_size=6, stride=2, likelihood="bernoulli"
)
COLOUR = dataclasses.replace(SMALL, channels=3, likelihood="logistic", stride=1, rows=2, columns=3)
STANDARD = dataclasses.replace(SMALL, prior="standard", kernel_size=1)
CASES = {"grey": SMALL, "colour": COLOUR, "standard": STANDARD}


def scrambled(config: ConvDRAWConfig) -> ConvDRAW:
    """A model with weights that are nowhere zero, in float64."""
    torch.manual_seed(3)
    model = ConvDRAW(config).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
        if config.likelihood == "logistic":
            model.likelihood.log_scale.sub_(1.5)
    return model


def inputs(config: ConvDRAWConfig, batch: int = 2) -> tuple[Tensor, Tensor]:
    torch.manual_seed(4)
    values = 255 if config.likelihood == "logistic" else 1
    images = torch.randint(0, values + 1, (batch, *config.image_shape)).double() / values
    return images, torch.randn(config.glimpses, batch, config.latent_size).double()


# The model in plain loops: maps are arrays of maps x rows x columns.


def convolve(
    p: dict[str, np.ndarray], name: str, maps: np.ndarray, stride: int, pad: int
) -> np.ndarray:
    weight, bias = p[f"{name}.weight"], p[f"{name}.bias"]
    outputs, inputs_, side, _ = weight.shape
    _, rows, columns = maps.shape
    result = np.zeros((outputs, rows // stride, columns // stride))
    for o in range(outputs):
        for i in range(rows // stride):
            for j in range(columns // stride):
                result[o, i, j] = bias[o]
                for m in range(inputs_):
                    for a in range(side):
                        for b in range(side):
                            y, x = i * stride + a - pad, j * stride + b - pad
                            if 0 <= y < rows and 0 <= x < columns:
                                result[o, i, j] += weight[o, m, a, b] * maps[m, y, x]
    return result


def spread(p: dict[str, np.ndarray], maps: np.ndarray, stride: int) -> np.ndarray:
    """What is written: every place lays its kernel on the image, centred on its first pixel."""
    weight, bias = p["attention.writer.weight"], p["attention.writer.bias"]
    inputs_, channels, side, _ = weight.shape
    _, rows, columns = maps.shape
    result = np.zeros((channels, rows * stride, columns * stride))
    for c in range(channels):
        result[c] += bias[c]
        for m in range(inputs_):
            for i in range(rows):
                for j in range(columns):
                    for a in range(side):
                        for b in range(side):
                            y, x = i * stride + a - (stride - 1), j * stride + b - (stride - 1)
                            if 0 <= y < rows * stride and 0 <= x < columns * stride:
                                result[c, y, x] += weight[m, c, a, b] * maps[m, i, j]
    return result


def lstm(
    p: dict[str, np.ndarray], name: str, seen: np.ndarray, h: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    pad = p[f"{name}.gates.weight"].shape[2] // 2
    gates = convolve(p, f"{name}.gates", np.concatenate([seen, h]), 1, pad)
    new_h, new_c = np.zeros_like(h), np.zeros_like(c)
    for m, i, j in np.ndindex(*h.shape):
        in_, forget, new, out = (gates[k * len(h) + m, i, j] for k in range(4))
        new_c[m, i, j] = oracle.sigmoid(forget) * c[m, i, j] + oracle.sigmoid(in_) * tanh(new)
        new_h[m, i, j] = oracle.sigmoid(out) * tanh(new_c[m, i, j])
    return new_h, new_c


def bound_in_loops(
    config: ConvDRAWConfig, p: dict[str, np.ndarray], x: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, list[float]]:
    """Final canvas, and the KL divergence of each step, of one image."""
    shape, stride, pad = (-1, *config.places), config.stride, config.kernel_size // 2
    h_enc, c_enc, h_dec, c_dec = (
        p[name].reshape(shape) for name in ("h_enc_0", "c_enc_0", "h_dec_0", "c_dec_0")
    )
    r, kl = p["canvas_0"], []
    for t in range(config.glimpses):
        epsilon = x - np.vectorize(oracle.sigmoid)(r)
        read = convolve(p, "attention.reader", np.concatenate([x, epsilon]), stride, stride - 1)
        h_enc, c_enc = lstm(p, "lstm_enc", np.concatenate([read, h_dec]), h_enc, c_enc)
        mu = convolve(p, "mu", h_enc, 1, pad).flatten()
        log_sigma = convolve(p, "log_sigma", h_enc, 1, pad).flatten()
        if config.prior == "learned":
            prior_mu = convolve(p, "prior.mu", h_dec, 1, pad).flatten()
            prior_log_sigma = convolve(p, "prior.log_sigma", h_dec, 1, pad).flatten()
        else:
            prior_mu = prior_log_sigma = np.zeros_like(mu)
        kl.append(
            sum(
                oracle_b - b + (exp(2 * b) + (a - oracle_a) ** 2) / (2 * exp(2 * oracle_b)) - 0.5
                for a, b, oracle_a, oracle_b in zip(
                    mu, log_sigma, prior_mu, prior_log_sigma, strict=True
                )
            )
        )
        z = np.array([m + exp(s) * n for m, s, n in zip(mu, log_sigma, noise[t], strict=True)])
        seen = convolve(p, "canvas_reader", r, stride, stride - 1)
        h_dec, c_dec = lstm(p, "lstm_dec", np.concatenate([z.reshape(shape), seen]), h_dec, c_dec)
        r = r + spread(p, h_dec, stride)
    return r, kl


def logistic_nats(canvas: np.ndarray, x: np.ndarray, log_scale: np.ndarray) -> float:
    total = 0.0
    for place in np.ndindex(*x.shape):
        mean, s = oracle.sigmoid(canvas[place]), exp(log_scale[place[0], 0, 0])
        v = round(255 * x[place])
        above = 1.0 if v == 255 else oracle.sigmoid(((v + 0.5) / 255 - mean) / s)
        below = 0.0 if v == 0 else oracle.sigmoid(((v - 0.5) / 255 - mean) / s)
        total -= float(np.log(above - below))
    return total


@pytest.mark.parametrize("case", CASES)
def test_the_bound_is_that_of_the_equations_in_plain_loops(case: str) -> None:
    config = CASES[case]
    model, (images, noise) = scrambled(config), inputs(config)
    output = model(images, noise)
    p = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    for i, x in enumerate(images.numpy()):
        canvas, kl = bound_in_loops(config, p, x, noise[:, i].numpy())
        np.testing.assert_allclose(output.canvas[i].detach(), canvas, rtol=1e-9)
        np.testing.assert_allclose(output.kl[i].detach(), kl, rtol=1e-9)
        nats = (
            logistic_nats(canvas, x, p["likelihood.log_scale"])
            if config.likelihood == "logistic"
            else oracle.reconstruction_loss(x, canvas)
        )
        np.testing.assert_allclose(output.bound[i].item(), nats + sum(kl), rtol=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_the_gradients_are_those_of_finite_differences(case: str) -> None:
    config = CASES[case]
    model, (images, noise) = scrambled(config), inputs(config, batch=1)
    names, values = zip(*model.named_parameters(), strict=True)

    def bound(*parameters: Tensor) -> Tensor:
        replaced: Any = dict(zip(names, parameters, strict=True))
        output = torch.func.functional_call(model, replaced, (images, noise))
        return torch.cat([output.bound, output.log_weight])

    assert torch.autograd.gradcheck(bound, values, fast_mode=True)


def test_the_estimate_and_the_prior_have_the_same_likelihood_and_the_bound_lies_above() -> None:
    """One latent variable: p(x) is an integral that a fine grid computes, in two ways.

    By the prior it is the mean of P(x | z) of drawings, by the encoder that of P(x, z) / Q(z | x).
    """
    config = ConvDRAWConfig(
        rows=2, columns=2, glimpses=1, hidden_size=3, latent_size=1, stride=2, kernel_size=1
    )
    model = scrambled(config)
    x = torch.tensor([[[[1.0, 0.0], [1.0, 1.0]]]]).double()
    grid = torch.linspace(-9, 9, 2001).double()
    weight = (-(grid**2) / 2).softmax(0)
    with torch.no_grad():
        many = x.expand(len(grid), -1, -1, -1)
        output = model(many, grid[None, :, None])
        drawn = model.trajectory(None, grid[None, :, None]).canvases[-1]
        by_encoder = (weight * output.log_weight.exp()).sum().log()
        by_prior = (weight * (-model.likelihood(drawn, many)).exp()).sum().log()
    torch.testing.assert_close(by_encoder, by_prior, rtol=1e-7, atol=0)
    assert (weight * output.bound).sum() > -by_prior + 1e-3


def test_drawings_from_the_codes_of_images_are_their_reconstructions() -> None:
    model, (images, noise) = scrambled(SMALL), inputs(SMALL)
    again = model.generate(2, noise=model.codes(images, noise))
    rebuilt = model.reconstruct(images, noise)
    torch.testing.assert_close(again.canvases, rebuilt.canvases)
    assert rebuilt.windows == {}


def test_what_learns_with_the_encoder_alone_is_what_generation_does_without() -> None:
    model, (_, noise) = scrambled(SMALL), inputs(SMALL)
    model.trajectory(None, noise).canvases.sum().backward()
    unused = {name for name, value in model.named_parameters() if value.grad is None}
    assert unused == {
        name for name, _ in model.named_parameters() if name.startswith(ConvDRAW.encoder)
    }


def test_training_begins_at_the_prior_with_open_forget_gates() -> None:
    torch.manual_seed(0)
    model = ConvDRAW(SMALL)
    prior = model.prior(torch.randn(2, SMALL.hidden_size))
    assert not prior.mu.any()
    assert not prior.log_sigma.any()
    maps = SMALL.hidden_maps
    for lstm_ in (model.lstm_enc, model.lstm_dec):
        bias = lstm_.gates.bias.detach()
        assert bias[maps : 2 * maps].min() > 0.5 > bias[:maps].max()


def test_labels_reach_the_gates_of_a_conditional_model() -> None:
    config = dataclasses.replace(SMALL, condition="class", classes=3, label_dropout=0.1)
    model, (images, noise) = scrambled(config), inputs(config)
    one, other = (model(images, noise, torch.full((2,), label)).bound for label in (0, 1))
    assert not torch.allclose(one, other)
    assert model.generate(2, labels=torch.tensor([0, 1]), guidance=1.5).images.isfinite().all()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hidden_size": 13}, r"model\.hidden_size to be a multiple of the 2 x 3 places .* as 12"),
        ({"latent_size": 2}, r"model\.latent_size to be a multiple of the 2 x 3 places .* as 6"),
        ({"stride": 3}, r"model\.rows to be a multiple of model\.stride, 3, got 4"),
        ({"columns": 5}, r"model\.columns to be a multiple of model\.stride, 2, got 5"),
        ({"kernel_size": 2}, r"model\.kernel_size to be an odd number, got 2"),
        ({"read_size": 3}, r"model\.read_size to be 2 for a model without windows, got 3"),
        ({"write_heads": 2}, r"model\.write_heads to be 1 for a model without windows, got 2"),
    ],
)
def test_sizes_that_make_no_maps_and_options_of_windows_are_refused(
    changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(DrawError, match=says):
        model_config(to_plain(SMALL) | changes)


def test_no_compiled_kernel_takes_it_and_one_that_is_asked_for_says_so() -> None:
    model = scrambled(SMALL)
    assert model.forecast.name == "reference"
    usual = ConvDRAW(ConvDRAWConfig(glimpses=1))
    assert "its own attention (a WholeMaps)" in str(usual.forecast)
    model.backend = "cpp"
    images, noise = inputs(SMALL)
    with pytest.raises(KernelUnavailableError, match=r"cpp cannot run: this model has stride 2"):
        model(images, noise)


def test_a_window_is_no_choice_on_the_command_line(tmp_path: Path) -> None:
    flags = "train", "mnist-conv", "--model.attention", "gaussian", "--dry-run"
    said = draw_command(*flags, cwd=tmp_path, check=None)
    assert said.returncode != 0
    assert "none" in said.stderr
    assert "gaussian" in said.stderr


@pytest.mark.parametrize("name", ["mnist-conv", "cifar10-conv"])
def test_the_presets_make_models_of_their_images(name: str) -> None:
    config = PRESETS[name]().model
    assert type(make_model(config)) is ConvDRAW
    grey = ("bernoulli", (1, 28, 28)), ("logistic", (3, 32, 32))
    assert (config.likelihood, config.image_shape) in grey
