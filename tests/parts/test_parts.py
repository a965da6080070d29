"""The parts of a step: attention, prior, condition and likelihood, each with each."""

import dataclasses
import itertools
import math
from typing import Annotated, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

import oracle
from draw.attention import ATTENTIONS, filterbank, window_parameters
from draw.attention.cauchy import cauchy_filterbank
from draw.config.model import DRAWConfig
from draw.errors import DrawError
from draw.model.draw import DRAW
from draw.models.storage import load_model
from draw.parts.conditions import CONDITIONS
from draw.parts.likelihood import LIKELIHOODS
from draw.parts.priors import PRIORS

TABLES = {
    "attention": ATTENTIONS,
    "prior": PRIORS,
    "condition": CONDITIONS,
    "likelihood": LIKELIHOODS,
}
AMONG_ALL = "gaussian", "cauchy", "none"
EVERY = [
    dict(zip(TABLES, names, strict=True))
    for names in itertools.product(*TABLES.values())
    # Of the other windows those with the first of all parts, and with the last of all.
    if names[0] in AMONG_ALL
    or names[1:] in [tuple([*table][end] for table in [*TABLES.values()][1:]) for end in (0, -1)]
]
SIZES = {
    "rows": 5, "columns": 4, "glimpses": 3, "hidden_size": 5, "latent_size": 3, "read_size": 2,
    "write_size": 2, "classes": 3,
}  # fmt: skip
BATCH = 4
each = pytest.mark.parametrize("parts", EVERY, ids=["-".join(one.values()) for one in EVERY])


def random_parts(parts: dict[str, str], dtype: torch.dtype = torch.float64) -> DRAW:
    """A model without a zero anywhere, which could hide that something is ignored."""
    model = DRAW(DRAWConfig(**SIZES, **parts)).to(dtype)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=random))
    return model


def inputs(model: DRAW, batch: int = BATCH) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (batch, *model.config.image_shape), generator=random) / 255
    shape = model.config.glimpses, batch, model.config.latent_size
    return images.to(model.canvas_0), torch.randn(shape, generator=random).to(model.canvas_0)


# Tables


@pytest.mark.parametrize("field", TABLES)
def test_the_literal_and_the_table_have_the_same_names(field: str) -> None:
    hint = get_type_hints(DRAWConfig, include_extras=True)[field]
    assert get_origin(hint) is Annotated
    assert get_args(get_args(hint)[0]) == tuple(TABLES[field])


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("field", TABLES)
def test_a_name_that_no_table_has_is_refused(field: str) -> None:
    with pytest.raises(DrawError, match=rf"expected model\.{field} to be .*, got 'banana'"):
        DRAW(dataclasses.replace(DRAWConfig(**SIZES), **{field: "banana"}))


# Every combination


@each
def test_the_bound_and_its_gradients(parts: dict[str, str]) -> None:
    model = random_parts(parts)
    images, noise = inputs(model)
    known = images[:, 0] > 0.5 if model.config.condition == "known" else None
    output = model(images, noise, model.labels_for(BATCH), known=known)
    assert (output.kl >= 0).all()
    torch.testing.assert_close(output.bound, output.reconstruction + output.kl.sum(1))
    output.bound.sum().backward()
    without = [name for name, one in model.named_parameters() if not one.grad.abs().sum() > 0]
    assert not without


@each
def test_weights_of_samples_by_torchs_distributions(parts: dict[str, str]) -> None:
    """log p(x | z) + log p(z) - log q(z | x), given the noise."""
    model = random_parts(parts)
    images, noise = inputs(model)
    labels = model.labels_for(BATCH)
    output, state = model(images, noise, labels), model.initial_state(BATCH)
    expected = -output.reconstruction
    for noise_t in noise:
        state, step = model.step(images, noise_t, state, model.context(labels, BATCH))
        q, p = (Normal(one.mu, one.log_sigma.exp()) for one in (step.posterior, step.prior))
        expected = expected + (p.log_prob(step.z) - q.log_prob(step.z)).sum(1)
    torch.testing.assert_close(output.log_weight, expected)


@pytest.mark.parametrize("prior", PRIORS)
def test_the_mean_weight_of_samples_is_minus_the_bound(prior: str) -> None:
    model, samples = random_parts({"prior": prior, "condition": "class"}), 20_000
    images, _ = inputs(model, 1)
    random = torch.Generator().manual_seed(3)
    shape = model.config.glimpses, samples, model.config.latent_size
    noise = torch.randn(shape, generator=random, dtype=torch.float64)
    with torch.no_grad():
        labels = torch.ones(samples, dtype=torch.int64)
        output = model(images.expand(samples, -1, -1, -1), noise, labels)
    difference = output.log_weight + output.bound
    error = difference.std() / math.sqrt(samples)
    assert difference.mean().abs() < 4 * error
    assert error < output.bound.mean() / 100


@each
def test_codes_draw_what_was_reconstructed(parts: dict[str, str]) -> None:
    model = random_parts(parts)
    images, noise = inputs(model)
    labels = None if model.labels_for(1) is None else torch.tensor([2, 0, 0, 1])
    codes = model.codes(images, noise, labels=labels)
    drawn = model.reconstruct(images, noise, labels=labels)
    again = model.generate(BATCH, noise=codes, labels=labels)
    torch.testing.assert_close(again.canvases, drawn.canvases)


@each
def test_an_image_does_not_depend_on_how_many_are_drawn(parts: dict[str, str]) -> None:
    model = random_parts(parts)
    few, many = model.generate(2, seed=3), model.generate(7, seed=3)
    torch.testing.assert_close(few.canvases, many.canvases[:, :2])


@each
def test_save_and_load(parts: dict[str, str], tmp_path) -> None:
    model = random_parts(parts, torch.float32)
    model.save_pretrained(tmp_path)
    images, noise = inputs(model)
    expected = model(images, noise, model.labels_for(BATCH)).bound
    for again in (DRAW.from_pretrained(tmp_path), load_model(str(tmp_path)).drawing):
        assert again.config == model.config
        assert torch.equal(again(images, noise, again.labels_for(BATCH)).bound, expected)


@each
def test_a_kernel_that_does_not_know_a_part_says_which(parts: dict[str, str]) -> None:
    choice = random_parts(parts).choice
    if choice.name == "reference" and "as asked" not in choice.reason:
        assert any(f"{field} {name!r}" in choice.reason for field, name in parts.items())


@each
def test_cards_have_words_for_each_part(parts: dict[str, str]) -> None:
    model = random_parts(parts)
    for part in (model.attention, model.prior, model.condition):
        assert part.description == part.description.strip(" .")
        assert len(part.description) > 3
    assert model.likelihood.title
    assert model.likelihood.values in (2, 256)


# Beginning at the paper's model


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("parts", [{"prior": "learned"}, {"condition": "class"}])
def test_training_begins_exactly_at_the_papers_model(attention: str, parts) -> None:
    config = DRAWConfig(**SIZES, attention=attention)
    torch.manual_seed(5)
    papers = DRAW(config)
    model = DRAW(dataclasses.replace(config, **parts))
    added = model.load_state_dict(papers.state_dict(), strict=False)
    assert added.missing_keys
    assert not added.unexpected_keys
    images, noise = inputs(papers)
    ours = model(images, noise, model.labels_for(BATCH))
    for one, other in zip(papers(images, noise), ours, strict=True):
        assert torch.equal(one, other)
    drawn = papers.generate(3, seed=1).canvases, model.generate(3, seed=1).canvases
    assert torch.equal(*drawn)


# The learned prior


def test_kl_of_a_learned_prior_is_torchs() -> None:
    model = random_parts({"prior": "learned"})
    images, noise = inputs(model)
    output = model(images, noise)
    state = model.initial_state(BATCH)
    for t in range(model.config.glimpses):
        state, step = model.step(images, noise[t], state)
        q, p = (Normal(one.mu, one.log_sigma.exp()) for one in (step.posterior, step.prior))
        torch.testing.assert_close(output.kl[:, t], kl_divergence(q, p).sum(1))


def test_z_of_new_images_is_the_priors() -> None:
    """z_t = mu_p + sigma_p noise, of which the mean is that of the canvas's own past."""
    model = random_parts({"prior": "learned"})
    _, noise = inputs(model)
    state = model.initial_state(BATCH)
    prior = model.prior(state.h_dec)
    z = prior.mu + prior.log_sigma.exp() * noise[0]
    h_dec, c_dec = model.lstm_dec(z, (state.h_dec, state.c_dec))
    after, _ = model.generate_step(noise[0], state)
    torch.testing.assert_close(after.h_dec, h_dec)
    torch.testing.assert_close(after.c_dec, c_dec)


@pytest.mark.parametrize("attention", ["gaussian", "none"])
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_against_the_oracle(attention: str, prior: str, condition: str, numpy_parameters) -> None:
    """Cauchy filters have plain loops of their own below."""
    parts = {"attention": attention, "prior": prior, "condition": condition}
    model = random_parts(parts)
    images, noise = inputs(model, 2)
    labels = None if model.labels_for(1) is None else torch.tensor([2, 1])
    output = model(images, noise, labels)
    drawn = model.generate(2, noise=noise, labels=labels)
    p, sizes = numpy_parameters(model), (model.config.read_size, model.config.write_size)
    for n in range(2):
        label = None if labels is None else int(labels[n])
        theirs = oracle.bound(p, images[n].numpy(), noise[:, n].numpy(), *sizes, label=label)
        assert output.bound[n].item() == pytest.approx(theirs.bound)
        assert output.kl[n].tolist() == pytest.approx(theirs.kl)
        assert output.log_weight[n].item() == pytest.approx(theirs.log_weight)
        drawing = oracle.generate(p, noise[:, n].numpy(), sizes[1], label=label)
        np.testing.assert_allclose(drawn.canvases[:, n].detach().numpy(), drawing.canvases)


# Labels


TOLD = random_parts({"condition": "class"})


def uses(model: DRAW) -> dict[str, object]:
    images, noise = inputs(model)
    return {
        "forward": lambda labels: model(images, noise, labels),
        "reconstruct": lambda labels: model.reconstruct(images, noise, labels=labels),
        "codes": lambda labels: model.codes(images, noise, labels=labels),
        "generate": lambda labels: model.generate(BATCH, noise=noise, labels=labels),
    }


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("use", ["forward", "reconstruct", "codes", "generate"])
class TestLabels:
    def test_a_model_that_is_told_nothing_takes_none(self, use) -> None:
        with pytest.raises(DrawError, match=r"expected no labels .*'none', got 4.*leave them out"):
            uses(random_parts({}))[use](torch.zeros(BATCH, dtype=torch.int64))

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (
                torch.zeros(3, dtype=torch.int64),
                r"expected 4 labels, .* of shape \[4\], got .*\[3\]",
            ),
            (torch.zeros(4, 1, dtype=torch.int64), r"expected 4 labels, .*\[4, 1\]"),
            (torch.zeros(4), r"whole numbers \(torch.int64\).*got torch.float32"),
            (torch.zeros(4, dtype=torch.bool), r"whole numbers \(torch.int64\).*got torch.bool"),
            (torch.tensor([0, 1, 2, 3]), r"expected labels from 0 to 2, got 3.*model.classes"),
            (torch.tensor([0, 1, 2, -1]), r"expected labels from 0 to 2, got -1"),
        ],
    )
    def test_others_are_refused(self, use, labels, message) -> None:
        with pytest.raises(DrawError, match=message):
            uses(TOLD)[use](labels)

    def test_missing_ones_are_refused_where_images_have_a_class(self, use) -> None:
        """Any class in their stead would give wrong figures without a word."""
        if use == "generate":
            labels = torch.arange(BATCH) % 3
            drawn = uses(TOLD)[use](None).canvases
            assert torch.equal(drawn, uses(TOLD)[use](labels).canvases)
            return
        with pytest.raises(DrawError, match=r"expected labels, a whole number from 0 to 2 .*none"):
            uses(TOLD)[use](None)

    def test_they_matter(self, use) -> None:
        zeros, ones = (uses(TOLD)[use](torch.full((BATCH,), label)) for label in (0, 1))
        first = [one if use == "codes" else one[0] for one in (zeros, ones)]
        assert not torch.allclose(*first)


def test_new_images_are_of_each_class_in_turn() -> None:
    drawn = TOLD.generate(BATCH, seed=2).canvases
    labels = torch.tensor([0, 1, 2, 0])
    assert torch.equal(TOLD.labels_for(BATCH), labels)
    assert torch.equal(drawn, TOLD.generate(BATCH, seed=2, labels=labels).canvases)


# Cauchy filters


def places() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    values = [(3.5, 1.2, 0.7), (1.0, 0.1, 3.0), (-4.0, 2.0, 0.3), (40.0, 5.0, 1e-3)]
    g, delta, sigma = torch.tensor(values, dtype=torch.float64).unbind(1)
    return g, delta, sigma


def test_cauchy_filters_in_plain_loops() -> None:
    g, delta, sigma = places()
    found, N, pixels = cauchy_filterbank(g, delta, sigma, 3, 8), 3, 8
    expected = np.zeros((len(g), N, pixels))
    for k in range(len(g)):
        for i in range(1, N + 1):
            mu = float(g[k]) + (i - N / 2 - 0.5) * float(delta[k])
            heights = [1 / (1 + ((a - mu) / float(sigma[k])) ** 2) for a in range(1, pixels + 1)]
            for a in range(1, pixels + 1):
                expected[k, i - 1, a - 1] = heights[a - 1] / sum(heights)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(found.sum(-1).numpy(), 1)


def test_cauchy_filters_are_highest_at_their_centre_and_half_as_high_a_sigma_away() -> None:
    one = torch.ones(1, dtype=torch.float64)
    F = cauchy_filterbank(6 * one, one, 2 * one, 1, 11)[0, 0]
    assert F.argmax() == 5
    assert torch.allclose(F, F.flip(0))
    assert F[7] / F[5] == pytest.approx(0.5)


def test_what_lies_far_away_reaches_a_cauchy_window_and_no_gaussian_one() -> None:
    """The gradient of one bright pixel, 30 sigma off, with respect to the window's centre."""
    gradients = {}
    for filters in (cauchy_filterbank, filterbank):
        controls = torch.zeros(5, requires_grad=True)
        window = window_parameters(controls, 1, 61, 1)
        filters(window.g_x, window.delta, window.sigma, 1, 61)[0, 60].backward()
        gradients[filters] = controls.grad[0].abs().item()
    assert gradients[filterbank] == 0
    assert gradients[cauchy_filterbank] > 1e-6


def test_cauchy_windows_are_read_and_written_through() -> None:
    """Not through the Gaussian filters of the class that they come from."""
    cauchy, gaussian = (random_parts({"attention": name}) for name in ("cauchy", "gaussian"))
    assert cauchy.state_dict().keys() == gaussian.state_dict().keys()
    images, _ = inputs(cauchy)
    h_dec = torch.ones(BATCH, 5, dtype=torch.float64)
    assert not torch.allclose(
        cauchy.attention.read(images, images, h_dec)[0],
        gaussian.attention.read(images, images, h_dec)[0],
    )
    assert not torch.allclose(cauchy.attention.write(h_dec)[0], gaussian.attention.write(h_dec)[0])
