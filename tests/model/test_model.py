"""Eqs 1-8 and 13-16: the network against the paper in plain loops, its gradients and its API."""

import doctest

import jaxtyping
import numpy as np
import pytest
import torch
from torch.func import functional_call

import draw.model.draw
import draw.parts.objective
import oracle
from draw.attention.window import Window
from draw.config.model import DRAWConfig
from draw.errors import DrawError
from draw.model.draw import DRAW
from running import TINY_MODEL

SMALL = {"hidden_size": 4, "latent_size": 3}
CASES = {
    "square": {"rows": 5, "columns": 5, "glimpses": 3, "read_size": 2, "write_size": 2},
    "tall": {"rows": 6, "columns": 3, "glimpses": 3, "read_size": 2, "write_size": 3},
    "wide": {"rows": 3, "columns": 6, "glimpses": 3, "read_size": 3, "write_size": 2},
    "colour": {"rows": 4, "columns": 5, "channels": 3, "glimpses": 2, "read_size": 3},
    "one filter": {"rows": 4, "columns": 5, "glimpses": 3, "read_size": 1, "write_size": 1},
    "one glimpse": {"rows": 4, "columns": 4, "glimpses": 1, "read_size": 2, "write_size": 3},
    "many glimpses": {"rows": 4, "columns": 3, "glimpses": 12, "write_size": 3},
    "no attention": {"rows": 4, "columns": 3, "glimpses": 3, "attention": "none"},
    "no attention, colour": {
        "rows": 3, "columns": 4, "channels": 3, "glimpses": 2, "attention": "none",
    },
    "one latent": {"rows": 4, "columns": 4, "glimpses": 2, "latent_size": 1},
    "window off the image": {
        "rows": 4, "columns": 5, "glimpses": 3,
        "read_window": (30.0, -20.0, 0.5, -1.0, 0.3), "write_window": (-9.0, 0.1, 0.2, -1.0, 0.1),
    },
    "narrow filters": {
        "rows": 4, "columns": 5, "glimpses": 2,
        "read_window": (0.1, 0.2, -8.0, -0.3, 0.1), "write_window": (0.3, 0.2, -8.0, -0.3, 0.1),
    },
    "wide filters": {
        "rows": 4, "columns": 5, "glimpses": 2,
        "read_window": (0.1, 0.2, 15.0, -0.3, 0.1), "write_window": (0.3, 0.2, 15.0, -0.3, 0.1),
    },
    "small and large strides": {
        "rows": 4, "columns": 5, "glimpses": 2,
        "read_window": (0.1, 0.2, 0.0, -12.0, 0.1), "write_window": (0.3, 0.2, 0.0, 9.0, 0.1),
    },
    "bright reading, strong writing": {
        "rows": 4, "columns": 5, "glimpses": 2,
        "read_window": (0.1, 0.2, 0.0, 0.0, 6.0), "write_window": (0.3, 0.2, 0.0, 0.0, -5.0),
    },
    "dim reading, weak writing": {
        "rows": 4, "columns": 5, "glimpses": 2,
        "read_window": (0.1, 0.2, 0.0, 0.0, -12.0), "write_window": (0.3, 0.2, 0.0, 0.0, 12.0),
    },
}  # fmt: skip

cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
attentions = pytest.mark.parametrize("attention", ["gaussian", "none"])


@pytest.fixture
def model(random_model) -> DRAW:
    return random_model(rows=5, columns=4, channels=3, glimpses=3, **SMALL)


def close(ours: torch.Tensor, papers: object) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), np.array(papers), rtol=1e-9, atol=1e-10)


def close_windows(ours: Window | None, papers: list[oracle.Window | None]) -> None:
    """A window of each step, for one image."""
    if ours is None:
        assert papers == [None] * len(papers)
        return
    close(ours.g_x, [w.g_x for w in papers])
    close(ours.g_y, [w.g_y for w in papers])
    close(ours.sigma**2, [w.variance for w in papers])
    close(ours.gamma, [w.gamma for w in papers])
    if any(w.delta for w in papers):  # the oracle's is 0 where it has no meaning
        close(ours.delta, [w.delta for w in papers])


def image_of(window: Window | None, n: int) -> Window | None:
    return None if window is None else window[..., n]


# Against the oracle


@cases
def test_step_is_the_papers(case, random_model, random_batch, numpy_parameters):
    model = random_model(**SMALL | case)
    images, noise = random_batch(model)
    # A second step: its state differs between the images, the first one's does not.
    first, _ = model.step(images, noise[0], model.initial_state(2))
    state, step = model.step(images, noise[-1], first)
    p, c = numpy_parameters(model), model.config
    for n in range(2):
        before = oracle.State(*(part[n].detach().numpy() for part in first))
        x, e = images[n].numpy(), noise[-1, n].numpy()
        papers = oracle.step(p, x, plain(before), e, c.read_size, c.write_size)
        close(step.posterior.mu[n], papers.mu)
        close(step.posterior.log_sigma[n].exp(), papers.sigma)
        for ours, theirs in zip(state, vars(papers.state).values(), strict=True):
            close(ours[n], theirs)
        for ours, theirs in (
            (step.read_window, papers.read_window),
            (step.write_window, papers.write_window),
        ):
            close_windows(image_of(ours, slice(n, n + 1)), [theirs])


def plain(state: oracle.State) -> oracle.State:
    return oracle.State(state.canvas, *(part.tolist() for part in list(vars(state).values())[1:]))


@cases
@pytest.mark.parametrize("batch", [1, 3])
def test_bound_is_the_papers(case, batch, random_model, random_batch, numpy_parameters):
    model = random_model(**SMALL | case)
    images, noise = random_batch(model, batch)
    out = model(images, noise)
    p, c = numpy_parameters(model), model.config
    for n in range(batch):
        x, e = images[n].numpy(), noise[:, n].numpy()
        papers = oracle.bound(p, x, e, c.read_size, c.write_size)
        close(out.canvas[n], papers.canvas)
        close(out.reconstruction[n], papers.reconstruction)
        close(out.kl[n], papers.kl)
        close(out.bound[n], papers.bound)
        close(out.log_weight[n], papers.log_weight)


@cases
def test_reconstruct_is_the_papers(case, random_model, random_batch, numpy_parameters):
    model = random_model(**SMALL | case)
    images, noise = random_batch(model)
    drawing = model.reconstruct(images, noise)
    p, c = numpy_parameters(model), model.config
    for n in range(2):
        x, e = images[n].numpy(), noise[:, n].numpy()
        steps = oracle.bound(p, x, e, c.read_size, c.write_size).steps
        close(drawing.canvases[:, n], [step.state.canvas for step in steps])
        close_windows(image_of(drawing.read_windows, n), [step.read_window for step in steps])
        close_windows(image_of(drawing.write_windows, n), [step.write_window for step in steps])


@cases
def test_generate_is_the_papers(case, random_model, random_batch, numpy_parameters):
    model = random_model(**SMALL | case)
    _, z = random_batch(model)
    drawing = model.generate(2, noise=z)
    assert drawing.read_windows is None
    for n in range(2):
        papers = oracle.generate(numpy_parameters(model), z[:, n].numpy(), model.config.write_size)
        close(drawing.canvases[:, n], papers.canvases)
        close(drawing.images[-1, n], papers.means)
        close_windows(image_of(drawing.write_windows, n), papers.write_windows)


def test_shapes_of_signatures_are_checked(model):
    """The other tests lean on it: without the import hook this passes through."""
    with pytest.raises(jaxtyping.TypeCheckError):
        model.initial_state("two")
    with pytest.raises(jaxtyping.TypeCheckError):
        draw.parts.objective.reconstruction_loss(torch.zeros(2, 1, 3, 3), torch.zeros(2, 1, 3, 4))


# Gradients


@pytest.mark.usefixtures("without_shape_checks")  # they take most of the time of so many calls
@attentions
def test_gradient_of_the_bound(attention, random_model, random_batch):
    model = random_model(
        rows=3, columns=4, glimpses=2, hidden_size=2, latent_size=2,
        read_size=2, write_size=2, attention=attention,
    )  # fmt: skip
    images, noise = random_batch(model, batch=2)
    images.clamp_(0.1, 0.9).requires_grad_()
    names, values = zip(*model.named_parameters(), strict=True)

    def bound(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        return functional_call(model, dict(zip(names, parameters, strict=True)), (x, noise)).bound

    assert torch.autograd.gradcheck(bound, (images, *values))


@attentions
@pytest.mark.parametrize("channels", [1, 3])
def test_every_parameter_is_reached_by_the_gradient(
    attention, channels, random_model, random_batch
):
    model = random_model(
        rows=5, columns=4, channels=channels, glimpses=3, attention=attention, **SMALL
    )
    model(*random_batch(model)).bound.sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


@attentions
def test_every_parameter_of_a_fresh_model_is_reached_although_its_state_starts_at_zero(attention):
    model = DRAW(DRAWConfig(rows=5, columns=4, glimpses=3, attention=attention, **SMALL))
    model(torch.rand(2, 1, 5, 4)).bound.sum().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad != 0).any(), name


def test_a_few_steps_of_training_lower_the_bound(random_batch):
    model = DRAW(DRAWConfig(rows=5, columns=4, glimpses=3, **SMALL))
    images, noise = random_batch(model, batch=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    bounds = []
    for _ in range(30):
        bound = model(images, noise).bound.mean()
        optimizer.zero_grad()
        bound.backward()
        optimizer.step()
        bounds.append(bound.item())
    assert bounds[-1] < bounds[0] - 1


# API


@attentions
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_results_are_named_and_shaped(attention, dtype, random_model, random_batch):
    model = random_model(
        rows=5, columns=4, channels=3, glimpses=2, attention=attention, dtype=dtype, **SMALL
    )
    images, noise = random_batch(model, batch=3)
    out = model(images, noise)
    assert {name: tuple(value.shape) for name, value in out._asdict().items()} == {
        "canvas": (3, 3, 5, 4), "reconstruction": (3,), "kl": (3, 2), "bound": (3,),
        "log_weight": (3,),
    }  # fmt: skip
    assert {value.dtype for value in out} == {dtype}
    torch.testing.assert_close(out.bound, out.reconstruction + out.kl.sum(1))
    reconstruction, generation = model.reconstruct(images, noise), model.generate(3, noise=noise)
    for drawing in (reconstruction, generation):
        assert drawing.canvases.shape == drawing.images.shape == (2, 3, 3, 5, 4)
        assert drawing.canvases.dtype == dtype
        assert not drawing.canvases.requires_grad
        torch.testing.assert_close(drawing.images, drawing.canvases.sigmoid())
    torch.testing.assert_close(reconstruction.canvases[-1], out.canvas.detach())
    present = (
        reconstruction.read_windows,
        reconstruction.write_windows,
        generation.write_windows,
    )
    for window in present:
        if attention == "none":
            assert window is None
        else:
            assert {field.shape for field in window.numbers.values()} == {(2, 3)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_noise_of_forward_is_drawn_anew(dtype, random_model, random_batch):
    model = random_model(rows=5, columns=4, glimpses=2, dtype=dtype, **SMALL)
    images, _ = random_batch(model)
    torch.manual_seed(1)
    first, second = model(images).bound, model(images).bound
    torch.manual_seed(1)
    again = model(images).bound
    assert first.dtype == dtype
    assert (first != second).all()
    torch.testing.assert_close(first, again, rtol=0, atol=0)


def test_images_of_a_batch_do_not_touch_each_other(model, random_batch):
    images, noise = random_batch(model, batch=3)
    together = model(images, noise)
    for n in range(3):
        alone = model(images[n : n + 1], noise[:, n : n + 1])
        torch.testing.assert_close(alone.bound[0], together.bound[n])
        torch.testing.assert_close(alone.canvas[0], together.canvas[n])


def test_non_contiguous_images_and_noise(model, random_batch):
    images, noise = random_batch(model)
    expected = model(images, noise)
    strided = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    strided_noise = noise.mT.contiguous().mT
    assert not strided.is_contiguous()
    assert not strided_noise.is_contiguous()
    for ours, papers in zip(model(strided, strided_noise), expected, strict=True):
        torch.testing.assert_close(ours, papers)
    drawing = model.reconstruct(strided, strided_noise)
    torch.testing.assert_close(drawing.canvases[-1], expected.canvas)


@attentions
def test_autocast_to_bfloat16(attention, random_model, random_batch):
    model = random_model(
        rows=8, columns=8, glimpses=4, attention=attention, dtype=torch.float32, **SMALL
    )
    images, noise = random_batch(model, batch=4)
    exact = model(images, noise)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model(images, noise)
        drawings = model.generate(2, seed=1), model.reconstruct(images, noise)
    rounded.bound.sum().backward()
    assert (rounded.canvas != exact.canvas).any()  # or autocast was not at work
    for ours, exactly in zip(rounded, exact, strict=True):
        torch.testing.assert_close(ours, exactly, rtol=0.02, atol=0.1)  # in dtype as well
    for drawing in drawings:
        numbers = drawing.write_windows.numbers.values() if drawing.write_windows else ()
        assert {part.dtype for part in (drawing.canvases, *numbers)} == {torch.float32}
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("use", ["__call__", "reconstruct", "encode", "codes", "complete"])
@pytest.mark.parametrize(
    ("images", "says"),
    [
        (None, "images as a tensor, got a NoneType; model.preprocess makes one"),
        ([torch.zeros(1, 6, 5)], "images as a tensor, got a list"),
        (np.zeros((2, 1, 6, 5), np.float32), "images as a tensor, got a ndarray"),
        (torch.zeros(2, 1, 6, 5, device="meta"), "images on cpu .*got them on meta; move them"),
    ],
)
def test_images_that_are_no_tensor_beside_the_model_are_refused(use, images, says):
    known = {"mask": torch.ones(6, 5, dtype=torch.bool)} if use == "complete" else {}
    with pytest.raises(DrawError, match=f"expected {says}"):
        getattr(DRAW(TINY_MODEL), use)(images, **known)


@pytest.mark.usefixtures("without_shape_checks")
def test_noise_and_masks_that_are_no_tensors_are_refused():
    model, x = DRAW(TINY_MODEL), torch.rand(2, 1, 6, 5)
    noise = model.noise_for(2, 0)
    for use in (lambda n: model(x, n), lambda n: model.generate(2, noise=n)):
        with pytest.raises(
            DrawError, match="expected noise as a tensor, got a ndarray; pass torch"
        ):
            use(noise.numpy())
        with pytest.raises(DrawError, match=r"expected noise on cpu .*got them on meta"):
            use(noise.to("meta"))
    for mask in (None, np.ones((6, 5), bool), [[True]]):
        with pytest.raises(DrawError, match="expected mask as a tensor, got a"):
            model.complete(x, mask)


class TestGenerate:
    def test_same_seed_same_images(self, model):
        torch.manual_seed(1)
        first = model.generate(3, seed=5)
        torch.manual_seed(2)  # the global generator has no say
        second = model.generate(3, seed=5)
        torch.testing.assert_close(first.canvases, second.canvases, rtol=0, atol=0)

    def test_different_seeds_differ(self, model):
        one, other = model.generate(3, seed=5), model.generate(3, seed=6)
        assert (one.canvases[-1] != other.canvases[-1]).flatten(1).any(1).all()

    def test_images_of_one_seed_differ(self, model):
        final = model.generate(6, seed=5).canvases[-1].flatten(1)
        assert len(final.unique(dim=0)) == 6

    @pytest.mark.parametrize("n", [1, 2, 7])
    def test_image_does_not_depend_on_their_number(self, model, n):
        few, many = model.generate(n, seed=5), model.generate(9, seed=5)
        torch.testing.assert_close(few.canvases, many.canvases[:, :n])

    def test_leaves_the_global_generator_alone(self, model):
        before = torch.get_rng_state()
        model.generate(2, seed=1)
        assert torch.equal(before, torch.get_rng_state())

    @pytest.mark.parametrize("n", [0, -1])
    def test_refuses_no_images(self, model, n):
        with pytest.raises(ValueError, match=rf"at least 1, got {n}"):
            model.generate(n)

    def test_refuses_noise_of_another_shape(self, model):
        with pytest.raises(ValueError, match=r"\(3, 2, 3\).*got \(3, 4, 3\)"):
            model.generate(2, noise=torch.zeros(3, 4, 3).double())

    def test_refuses_a_negative_seed(self, model):
        with pytest.raises(ValueError, match=r"seed to be a whole number of at least 0, got -1"):
            model.generate(2, seed=-1)

    @pytest.mark.parametrize("temperature", [-0.5, float("nan"), float("inf")])
    def test_refuses_a_temperature_that_cannot_be(self, model, temperature):
        with pytest.raises(ValueError, match=f"temperature of at least 0, got {temperature}"):
            model.generate(2, temperature=temperature)

    @pytest.mark.usefixtures("without_shape_checks")
    @pytest.mark.parametrize(
        "options",
        [
            {"n": 1.5}, {"n": "2"}, {"n": None}, {"n": True}, {"seed": None}, {"seed": 1.5},
            {"temperature": None}, {"temperature": "1"}, {"temperature": torch.ones(2)},
        ],
    )  # fmt: skip
    def test_refuses_what_is_no_number(self, model, options):
        with pytest.raises(DrawError, match=f"expected .*{next(iter(options))}.*, got "):
            model.generate(**{"n": 2, **options})

    @pytest.mark.usefixtures("without_shape_checks")
    def test_takes_numbers_of_other_libraries(self, model):
        drawn = model.generate(2, seed=3, temperature=0.5).canvases
        for n, seed, temperature in (
            (np.int64(2), np.uint8(3), np.float32(0.5)),
            (torch.tensor(2), torch.tensor(3), torch.tensor(0.5)),
        ):
            assert torch.equal(
                model.generate(n, seed=seed, temperature=temperature).canvases, drawn
            )

    def test_at_temperature_0_all_images_are_one(self, model):
        first, second = model.generate(2, seed=1, temperature=0.0).canvases.unbind(1)
        assert torch.equal(first, second)


@cases
def test_temperature_is_the_standard_deviation_of_the_prior(
    case, random_model, random_batch, numpy_parameters
):
    model = random_model(**SMALL | case)
    _, noise = random_batch(model)
    drawing = model.generate(2, noise=noise, temperature=0.6)
    for n in range(2):
        z = 0.6 * noise[:, n].numpy()
        papers = oracle.generate(numpy_parameters(model), z, model.config.write_size)
        close(drawing.canvases[:, n], papers.canvases)


@cases
def test_codes_are_those_that_reconstruct_draws_from(case, random_model, random_batch):
    model = random_model(**SMALL | case)
    images, noise = random_batch(model)
    codes = model.codes(images, noise)
    drawn, again = model.reconstruct(images, noise), model.generate(2, noise=codes)
    close(again.canvases, drawn.canvases.numpy())


class TestReconstruct:
    def test_same_seed_same_drawing(self, model, random_batch):
        images, _ = random_batch(model)
        first, second = (model.reconstruct(images, seed=5).canvases for _ in range(2))
        torch.testing.assert_close(first, second, rtol=0, atol=0)
        assert (first != model.reconstruct(images, seed=6).canvases).any()


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("method", ["__call__", "reconstruct"])
class TestErrors:
    @pytest.mark.parametrize(
        "shape", [(2, 3, 4, 5), (2, 1, 5, 4), (3, 5, 4), (2, 5, 4), (1, 2, 3, 5, 4)]
    )
    def test_images_of_another_shape(self, model, method, shape):
        images = torch.zeros(shape).double()
        with pytest.raises(ValueError, match=r"\[batch, 3, 5, 4\]") as error:
            getattr(model, method)(images)
        assert str(list(shape)) in str(error.value)

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
    def test_images_that_are_not_floats(self, model, method, dtype):
        with pytest.raises(ValueError, match=rf"expected images .*float64.*got {dtype}"):
            getattr(model, method)(torch.zeros(2, 3, 5, 4, dtype=dtype))

    @pytest.mark.parametrize(
        "shape", [(2, 2, 3), (4, 2, 3), (3, 1, 3), (3, 2, 4), (2, 3), (3, 3), (1, 3, 2, 3)]
    )
    def test_noise_of_another_shape(self, model, method, shape):
        images = torch.zeros(2, 3, 5, 4).double()
        with pytest.raises(ValueError, match=r"expected noise of shape \(3, 2, 3\)") as error:
            getattr(model, method)(images, torch.zeros(shape).double())
        assert f"got {shape}" in str(error.value)

    def test_images_of_another_precision_than_the_models(self, model, method):
        with pytest.raises(ValueError, match=r"float64.*float32"):
            getattr(model, method)(torch.zeros(2, 3, 5, 4))


class TestSaving:
    @attentions
    def test_round_trip_is_exact(self, attention, random_model, random_batch, tmp_path, no_network):
        model = random_model(
            rows=5, columns=4, channels=3, glimpses=2, attention=attention,
            dtype=torch.float32, **SMALL,
        )  # fmt: skip
        model.save_pretrained(tmp_path)
        loaded = DRAW.from_pretrained(tmp_path)
        loaded.backend = model.backend
        assert loaded.config == model.config
        assert loaded.state_dict().keys() == model.state_dict().keys()
        for name, value in model.state_dict().items():
            torch.testing.assert_close(loaded.state_dict()[name], value, rtol=0, atol=0)
        images, noise = random_batch(model)
        for ours, theirs in zip(loaded(images, noise), model(images, noise), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)

    def test_folder_has_weights_and_configuration_and_no_pickle(self, model, tmp_path, no_network):
        model.save_pretrained(tmp_path)
        assert {"config.json", "model.safetensors"} <= {path.name for path in tmp_path.iterdir()}
        assert not list(tmp_path.glob("*.bin")) + list(tmp_path.glob("*.pt"))


def test_examples_of_the_docstring():
    result = doctest.testmod(draw.model.draw)
    assert result.attempted > 0
    assert result.failed == 0
