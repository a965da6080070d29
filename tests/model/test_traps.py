"""Mistakes that public implementations of DRAW have made, each with the test that catches it.

The values are worked out by hand from the paper's equations, not by another implementation.
"""

import math

import pytest
import torch

from draw.attention.window import (
    Window,
    filterbank,
    filterbanks,
    read_patch,
    window_parameters,
    write_patch,
)
from draw.config.model import DRAWConfig
from draw.model.draw import DRAW
from draw.parts.distribution import Gaussian
from draw.parts.objective import importance_weighted_estimate, kl_divergence

NARROW = -8.0  # log sigma^2: a filter falls on one pixel


def controls(g_x: float = 0, g_y: float = 0, log_sigma2: float = 0, log_delta: float = 0):
    return torch.tensor([[g_x, g_y, log_sigma2, log_delta, 0.0]], dtype=torch.float64)


def codes_that_reach_the_decoder(model: DRAW) -> list[torch.Tensor]:
    """Fills as the model runs: z of each step."""
    codes: list[torch.Tensor] = []
    model.lstm_dec.register_forward_pre_hook(lambda _, inputs: codes.append(inputs[0].detach()))
    return codes


@pytest.fixture
def model(random_model) -> DRAW:
    return random_model(rows=4, columns=5, glimpses=4, hidden_size=4, latent_size=6)


def prior_as_posterior(model: DRAW) -> DRAW:
    """mu = 0 and sigma = 1, so that z is the noise."""
    with torch.no_grad():
        for affine in (model.mu, model.log_sigma):
            affine.weight.zero_()
            affine.bias.zero_()
    return model


class TestTrap1ZeroBasedIndices:
    """Windows sit up and left of where they belong: by a stride if i is zero-based, by a pixel if
    a is. Training hides it, as the network learns to aim beside the spot; the figures show it."""

    def test_filters_of_a_window_of_zeros_meet_both_borders(self):
        window = window_parameters(controls(log_sigma2=NARROW), rows=9, columns=9, size=3)
        for F in filterbanks(window, 9, 9):
            torch.testing.assert_close(F[0], torch.eye(9).double()[[0, 4, 8]])

    @pytest.mark.parametrize("size", [1, 2, 3, 4])
    def test_window_in_the_middle_is_symmetric(self, size):
        window = window_parameters(controls(log_delta=-1.0), rows=8, columns=8, size=size)
        F, _ = filterbanks(window, 8, 8)
        torch.testing.assert_close(F, F.flip(-1, -2))

    def test_first_pixel_is_at_1(self):
        one = torch.ones(1)
        F = filterbank(g=one, delta=one, sigma=0.1 * one, size=1, length=5)
        torch.testing.assert_close(F[0, 0], torch.eye(5)[0])


class TestTrap2KLConstant:
    """The KL is off by a constant (1,152 nats at T = 64, z = 100), so bounds look too good or
    absurdly bad while gradients and samples are right."""

    def test_kl_of_the_prior_is_zero_at_every_step(self, model, random_batch):
        out = prior_as_posterior(model)(*random_batch(model))
        torch.testing.assert_close(out.kl, torch.zeros_like(out.kl))
        torch.testing.assert_close(out.bound, out.reconstruction)

    @pytest.mark.parametrize("latent", [1, 7, 100])
    def test_kl_of_a_shift_by_1_is_half_a_nat_per_latent_variable(self, latent):
        kl = kl_divergence(Gaussian(torch.ones(64, 2, latent), torch.zeros(64, 2, latent)))
        torch.testing.assert_close(kl, torch.full((64, 2), latent / 2))


watches_the_loop = pytest.mark.parametrize("backend", ["reference"], indirect=True)
"""The test looks into the loop; cpp is compared with it in test_kernels.py."""


@watches_the_loop
class TestTrap3SharedNoise:
    """All steps see one noise tensor: the code of the first step tells those of the others, and the
    "bound" falls below what any model can reach; samples look alike from step to step."""

    def test_training_draws_noise_for_every_step_and_image(self, model, random_batch):
        codes = codes_that_reach_the_decoder(prior_as_posterior(model))
        model(random_batch(model, batch=3)[0])
        drawn = torch.stack(codes)
        assert drawn.shape == (4, 3, 6)
        assert len(drawn.unique()) == drawn.numel()

    @pytest.mark.parametrize("way", ["forward", "reconstruct"])
    def test_each_step_uses_the_noise_given_for_it(self, way, model, random_batch):
        codes = codes_that_reach_the_decoder(prior_as_posterior(model))
        images, noise = random_batch(model, batch=3)
        getattr(model, way)(images, noise)
        torch.testing.assert_close(torch.stack(codes), noise)

    @pytest.mark.parametrize("way", ["generate", "reconstruct"])
    def test_drawing_has_noise_for_every_step_and_image(self, way, model, random_batch):
        codes = codes_that_reach_the_decoder(prior_as_posterior(model))
        if way == "generate":
            model.generate(3, seed=1)
        else:
            model.reconstruct(random_batch(model, batch=3)[0], seed=1)
        drawn = torch.stack(codes)
        assert drawn.shape == (4, 3, 6)
        assert len(drawn.unique()) == drawn.numel()

    def test_generation_uses_the_noise_given_for_each_step(self, model, random_batch):
        codes = codes_that_reach_the_decoder(model)
        _, noise = random_batch(model, batch=3)
        model.generate(3, noise=noise)
        torch.testing.assert_close(torch.stack(codes), noise)

    def test_estimate_draws_noise_for_every_sample(self, model, random_batch):
        images, _ = random_batch(model)
        weights = torch.stack([model(images).log_weight for _ in range(4)])
        assert len(weights.unique()) == weights.numel()
        assert (importance_weighted_estimate(weights) < -weights.mean(0)).all()


class TestTrap4Exponent:
    """Filters have another shape or width than sigma says, and sigma another gradient."""

    @pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0, 3.0])
    @pytest.mark.parametrize("distance", [1, 2, 3, 4])
    def test_filter_falls_by_half_the_squared_distance_in_sigmas(self, sigma, distance):
        one = torch.ones(1, dtype=torch.float64)
        F = filterbank(g=5 * one, delta=one, sigma=sigma * one, size=1, length=9)[0, 0]
        for pixel in (4 - distance, 4 + distance):
            fall = math.log(F[4]) - math.log(F[pixel])
            assert fall == pytest.approx(distance**2 / (2 * sigma**2))

    @pytest.mark.parametrize("variance", [0.25, 1.0, 4.0])
    def test_third_control_is_the_logarithm_of_the_variance(self, variance):
        window = window_parameters(controls(log_sigma2=math.log(variance)), 9, 9, 1)
        F = filterbanks(window, 9, 9)[0][0, 0]
        assert math.log(F[4] / F[6]) == pytest.approx(4 / (2 * variance))


class TestTrap5TransposedFilterbanks:
    """Square images look right in the mean; on others the window is in the wrong place, or moves
    along the diagonal only."""

    @pytest.mark.parametrize(("row", "column"), [(2, 6), (4, 1), (1, 8), (3, 3)])
    def test_window_reads_and_writes_the_pixel_it_is_centred_on(self, row, column):
        rows, columns = 4, 8
        aim = controls(2 * column / (columns + 1) - 1, 2 * row / (rows + 1) - 1, NARROW)
        window = window_parameters(aim, rows, columns, size=1)
        image = torch.zeros(1, 1, rows, columns, dtype=torch.float64)
        image[0, 0, row - 1, column - 1] = 1
        one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
        torch.testing.assert_close(read_patch(image, window), one)
        torch.testing.assert_close(write_patch(one, window, rows, columns), image)

    def test_rows_of_the_patch_are_rows_of_the_image(self):
        image = torch.arange(1.0, 5).expand(1, 1, 6, 4).double()
        window = window_parameters(controls(log_sigma2=NARROW, log_delta=-1.0), 6, 4, size=2)
        patch = read_patch(image, window)[0, 0]
        torch.testing.assert_close(patch[0], patch[1])
        assert patch[0, 0] < patch[0, 1]

    def test_channels_stay_apart(self):
        window = window_parameters(controls(0.3, -0.2), 4, 6, size=2)
        for channel in range(3):
            image = torch.zeros(1, 3, 4, 6, dtype=torch.float64)
            image[:, channel] = 1
            expected = torch.zeros(1, 3, 2, 2, dtype=torch.float64)
            expected[:, channel] = 1
            torch.testing.assert_close(read_patch(image, window), expected)


class TestTrap6Normalisation:
    """The brightness of a patch changes with where the window is, windows off the image see black
    or not-a-number, or gradients push windows towards the border."""

    @pytest.mark.parametrize("g", [-1e3, -2.0, 0.5, 3.3, 6.0, 9.0, 1e3])
    @pytest.mark.parametrize("sigma", [1e-3, 0.3, 2.0, 1e3])
    def test_a_white_image_is_white_wherever_the_window_is(self, g, sigma):
        white = torch.ones(1, 1, 5, 6, dtype=torch.float64)
        one = torch.ones(1, dtype=torch.float64)
        window = Window(g * one, g * one, 1.5 * one, sigma * one, one, 3)
        seen = read_patch(white, window)
        torch.testing.assert_close(seen, torch.ones_like(seen), rtol=0, atol=1e-12)

    @pytest.mark.parametrize("g", [-1.0, 0.5, 3.3])
    def test_seeing_white_pulls_the_window_nowhere(self, g):
        window = [torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (g, 1.5, 0.9)]
        F = filterbank(*window, size=3, length=6)
        weigh = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
        for gradient in torch.autograd.grad((F.sum(-1) * weigh).sum(), window):
            torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)


class TestTrap7WhatTheEncoderSeesAndWhatIsLearned:
    """The encoder does not know what is still to be drawn; reading and writing are tied together;
    or every drawing has to start from black and from a blank mind."""

    @watches_the_loop
    @pytest.mark.parametrize("attention", ["gaussian", "none"])
    def test_encoder_sees_image_and_error(self, attention, random_model, random_batch):
        """A window that sees all: N = the side, a stride and a sigma that fall on each pixel."""
        model = random_model(
            rows=4, columns=4, read_size=4, glimpses=2, hidden_size=4, latent_size=3,
            attention=attention,
            read_window=(0.0, 0.0, NARROW, 0.0, 0.0) if attention == "gaussian" else None,
        )  # fmt: skip
        if attention == "gaussian":
            torch.nn.init.zeros_(model.attention.read_window.weight)
        seen: list[torch.Tensor] = []
        model.lstm_enc.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
        images, noise = random_batch(model)
        drawing = model.reconstruct(images, noise)
        canvas_before = [model.canvas_0.detach().expand(2, 1, 4, 4), drawing.canvases[0]]
        for t in range(2):
            error = images - canvas_before[t].sigmoid()
            torch.testing.assert_close(seen[t][:, :16], images.flatten(1))
            torch.testing.assert_close(seen[t][:, 16:32], error.flatten(1))

    def test_encoder_sees_what_the_decoder_last_thought(self, model, random_batch):
        seen: list[torch.Tensor] = []
        model.lstm_enc.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
        images, noise = random_batch(model)
        state, _ = model.step(images, noise[0], model.initial_state(2))
        model.step(images, noise[1], state)
        torch.testing.assert_close(seen[0][:, -4:], model.h_dec_0.detach().expand(2, 4))
        torch.testing.assert_close(seen[1][:, -4:], state.h_dec.detach())

    @pytest.mark.parametrize("place", ["read_window", "write_window"])
    def test_read_and_write_windows_have_maps_of_their_own(self, place, model, random_batch):
        images, noise = random_batch(model)
        _, before = model.step(images, noise[0], model.initial_state(2))
        with torch.no_grad():
            getattr(model.attention, place).bias.add_(0.1)
        _, after = model.step(images, noise[0], model.initial_state(2))
        assert (after._asdict()[place].g_x != before._asdict()[place].g_x).all()
        if place == "write_window":
            torch.testing.assert_close(
                after.read_window.numbers, before.read_window.numbers, rtol=0, atol=0
            )
        else:
            generated = model.generate(1, seed=1).canvases
            torch.nn.init.zeros_(model.attention.read_window.weight)
            assert torch.equal(generated, model.generate(1, seed=1).canvases)

    @pytest.mark.parametrize("name", ["canvas_0", "h_enc_0", "c_enc_0", "h_dec_0", "c_dec_0"])
    def test_start_is_learned(self, name, model, random_batch):
        start = dict(model.named_parameters())[name]
        assert start.requires_grad
        images, noise = random_batch(model)
        before = model(images, noise).bound
        (gradient,) = torch.autograd.grad(before.sum(), start)
        assert (gradient != 0).all()
        with torch.no_grad():
            start.add_(0.1)
        assert (model(images, noise).bound != before).all()


class TestTrap9ExtraLayers:
    """A layer between canvas and sigmoid, or a tanh on g~: the model may train, but it is not the
    paper's; no window can leave the image, and the canvas of a step is not what has been drawn."""

    def test_image_is_the_sigmoid_of_what_was_added_up(self, model, random_batch):
        with torch.no_grad():
            model.attention.write_content.weight.zero_()
            model.attention.write_content.bias.zero_()
        images, noise = random_batch(model)
        out = model(images, noise)
        start = model.canvas_0.detach().expand_as(images)
        torch.testing.assert_close(out.canvas.detach(), start)
        torch.testing.assert_close(model.generate(2).images[-1], start.sigmoid())
        p = start.sigmoid()
        expected = -(images * p.log() + (1 - images) * (1 - p).log()).flatten(1).sum(1)
        torch.testing.assert_close(out.reconstruction.detach(), expected)

    def test_each_step_adds_to_the_canvas(self):
        config = DRAWConfig(
            rows=3, columns=3, glimpses=5, hidden_size=2, latent_size=2, attention="none"
        )
        model = DRAW(config).double()
        with torch.no_grad():
            model.attention.write_content.weight.zero_()
            model.attention.write_content.bias.copy_(torch.linspace(-1, 1, 9))
        canvases = model.generate(1).canvases[:, 0, 0]
        written = torch.linspace(-1, 1, 9).reshape(3, 3)
        for t in range(5):
            torch.testing.assert_close(canvases[t], (t + 1) * written.double())

    @pytest.mark.parametrize("g_tilde", [-20.0, -1.5, 0.9, 3.0, 20.0])
    def test_centre_is_affine_in_g(self, g_tilde):
        window = window_parameters(controls(g_tilde, 2 * g_tilde), rows=5, columns=8, size=2)
        assert window.g_x.item() == pytest.approx(4.5 * (g_tilde + 1))
        assert window.g_y.item() == pytest.approx(3 * (2 * g_tilde + 1))

    def test_posterior_is_affine_in_the_encoder(self, model, random_batch):
        """mu and log sigma reach far beyond 1: nothing squashes them."""
        with torch.no_grad():
            model.mu.bias.fill_(50.0)
            model.log_sigma.bias.fill_(-30.0)
        images, noise = random_batch(model)
        _, step = model.step(images, noise[0], model.initial_state(2))
        assert (step.posterior.mu > 40).all()
        assert (step.posterior.log_sigma < -20).all()
