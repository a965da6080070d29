"""Edits of the equations: each has its effect, whichever backend was running before it."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import draw.attention.movable
import draw.attention.rotated
import draw.attention.window
import draw.model.classifier
import draw.model.draw
import draw.parts.distribution
import draw.parts.likelihood
from draw.attention.cauchy import CauchySampler
from draw.attention.gaussian import GaussianAttention
from draw.attention.grid import GaussianSampler
from draw.attention.laplace import LaplaceSampler
from draw.attention.movable import WindowAttention
from draw.attention.rotated import RotatedSampler
from draw.attention.whole import NoAttention
from draw.config.model import ClassifierConfig, DRAWConfig
from draw.errors import KernelArgumentError, KernelUnavailableError
from draw.kernels import BACKENDS, allow_list, proof
from draw.model.classifier import Classifier
from draw.model.draw import DRAW
from draw.model.machine import settle
from draw.parts.conditions.label import ClassCondition
from draw.parts.distribution import Gaussian
from draw.parts.layers import Affine, LSTMCell
from draw.parts.likelihood import Bernoulli
from draw.parts.priors.learned import LearnedPrior
from draw.parts.priors.standard import StandardPrior
from draw.parts.state import NOTHING
from mutants import mutants
from running import TINY, TINY_MODEL, draw_command, on

pytestmark = pytest.mark.parametrize("backend", ["cpp"], indirect=True)

SMALL = ClassifierConfig(
    rows=9, columns=7, glimpses=2, hidden_size=8, read_size=3, classes=4, window_clip=1e-3
)


@pytest.fixture(autouse=True)
def _only_with_cpp(backend: str) -> None:
    pass


def drawing(**options: object) -> DRAW:
    return randomised(DRAW(dataclasses.replace(TINY_MODEL, **options)))


def randomised(model: torch.nn.Module) -> torch.nn.Module:
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=random))
    return model.double()


def numbers(model: torch.nn.Module) -> Tensor:
    """Everything that a model computes, in one."""
    random = torch.Generator().manual_seed(1)
    images = torch.rand(2, *model.config.image_shape, generator=random, dtype=torch.float64)
    if isinstance(model, Classifier):
        outputs = [model(images).logits_by_glimpse]
        seen = []
    else:
        shape = model.config.glimpses, 2, model.config.latent_size
        noise = torch.randn(shape, generator=random, dtype=torch.float64)
        labels = model.labels_for(2)
        output = model(images, noise, labels)
        mask = torch.linspace(0, 2, 2 * model.config.hidden_size, dtype=torch.float64).view(2, -1)
        masked = model(images, noise, labels, unit_mask=mask).bound
        outputs = [output.canvas, output.bound, output.log_weight, masked]
        drawn = model.reconstruct(images, noise, labels=labels)
        seen = [model.generate(2, noise=noise).canvases, drawn.canvases]
    loss = sum((part * torch.linspace(0, 1, len(part.flatten())).view_as(part)).sum()
               for part in outputs)  # fmt: skip
    slopes = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    gradients = [slope for slope in slopes if slope is not None]
    return torch.cat([part.detach().flatten() for part in (*outputs, *seen, *gradients)])


Made = Callable[..., torch.nn.Module]
EQUATIONS: dict[str, tuple[Made, list[tuple[object, str]]]] = {
    "window": (drawing, [
        (draw.attention.window, name)
        for name in ("window_parameters", "filter_centres", "filterbank", "filterbanks",
                     "read_patch", "write_patch")
    ]),
    "attention": (drawing, [
        (GaussianAttention, "read"), (GaussianAttention, "write"), (draw.attention.movable, "look"),
        (GaussianSampler, "window"), (GaussianSampler, "read"), (GaussianSampler, "write"),
    ]),
    "several windows": (lambda **o: drawing(read_heads=2, write_heads=3, **o), [
        (WindowAttention, "read"), (WindowAttention, "write"), (draw.attention.movable, "look"),
        (draw.attention.movable, "by_head"), (draw.attention.movable, "_by_image"),
        (draw.attention.movable, "_flat"),
    ]),
    "windows that turn": (lambda **o: drawing(attention="rotated", **o), [
        (draw.attention.rotated, name)
        for name in ("turned_window", "read_turned_patch", "write_turned_patch", "turned_filters",
                     "scattered_filters", "read_by_filters", "write_by_filters",
                     "filter_centres", "window_parameters")
    ] + [(RotatedSampler, "window"), (RotatedSampler, "read"), (RotatedSampler, "write")]),
    "no attention": (lambda **o: drawing(attention="none", **o),
                     [(NoAttention, "read"), (NoAttention, "write")]),
    "layers": (drawing, [(LSTMCell, "forward"), (Affine, "forward")]),
    "step": (drawing, [(DRAW, "step"), (DRAW, "generate_step"), (DRAW, "initial_state")]),
    "unroll": (drawing, [(DRAW, "unroll"), (DRAW, "_glimpses"), (DRAW, "trajectory")]),
    "objective": (drawing, [(draw.model.draw, "kl_divergence"),
                            (draw.model.draw, "log_prior_over_posterior")]),
    "codes": (drawing, [(Gaussian, "sample"), (Gaussian, "noise_of"), (StandardPrior, "forward")]),
    "learned prior": (lambda **o: drawing(prior="learned", **o),
                      [(draw.model.draw, "kl_divergence"),
                       (draw.model.draw, "log_prior_over_posterior"), (Gaussian, "sample"),
                       (Gaussian, "noise_of"), (LearnedPrior, "forward")]),
    "class": (lambda **o: drawing(condition="class", **o),
              [(LSTMCell, "forward"), (DRAW, "step"), (DRAW, "generate_step"),
               (ClassCondition, "forward")]),
    "bound": (drawing, [(DRAW, "forward"), (Bernoulli, "forward"),
                        (draw.parts.likelihood, "reconstruction_loss")]),
    "classifier": (lambda **o: randomised(Classifier(dataclasses.replace(SMALL, **o))), [
        (Classifier, "look"), (Classifier, "_read"), (Classifier, "_longest"),
        (draw.model.classifier, "_shortened"), (Classifier, "forward"),
        (draw.model.classifier, "look"), (GaussianSampler, "window"), (GaussianSampler, "read"),
    ]),
}  # fmt: skip
IN_PYTHON = "forward", "_longest", "reconstruction_loss"
"""What runs beside every backend, and needs none to step aside."""


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("share", [4, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("equations", EQUATIONS)
def test_every_edit_of_an_equation_has_its_effect(equations: str, share: int, monkeypatch) -> None:
    make, functions = EQUATIONS[equations]
    model, reference = make(), on("reference", make())
    plain = numbers(reference)
    torch.testing.assert_close(numbers(model), plain, rtol=1e-9, atol=1e-9)
    edits = [(owner, name, *edit) for owner, name in functions for edit in mutants(owner, name)]
    felt = 0
    for owner, name, edit, function in edits[::share]:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, function)
            try:
                edited = numbers(reference)
            except Exception:  # code that does not run is no other equation
                continue
            if torch.allclose(edited, plain, rtol=1e-6, atol=1e-9):
                continue
            felt += 1
            if model.choice.name == "cpp":
                assert name in IN_PYTHON, f"{edit}: the kernel knows nothing of it"
            else:
                assert "miniature" in model.choice.reason, edit
            torch.testing.assert_close(
                numbers(model), edited, rtol=1e-9, atol=1e-9, equal_nan=True, msg=edit
            )
    assert felt > 0
    assert model.choice.name == "cpp", "the edits are undone"


@pytest.mark.parametrize("kind", [DRAW, Classifier])
def test_cpp_refuses_an_edited_equation_by_name(kind, monkeypatch) -> None:
    def wider(*given: object) -> Tensor:
        return 1.001 * centres(*given)

    centres = draw.attention.window.filter_centres
    config = TINY_MODEL if kind is DRAW else SMALL
    model = on("cpp", kind(config))
    monkeypatch.setattr(draw.attention.window, "filter_centres", wider)
    with pytest.raises(KernelUnavailableError, match=r"this code computes another .*'auto' or"):
        model(torch.rand(2, *config.image_shape))


@pytest.mark.parametrize("attention", ["gaussian", "rotated"])
@pytest.mark.parametrize("edited", [2, 3], ids=["read", "write"])
def test_other_limits_of_one_window_have_their_effect(
    edited: int, attention: str, monkeypatch
) -> None:
    def narrower(self: GaussianSampler, controls: Tensor) -> object:
        return window(self, controls.clamp(-15, 15) if self.size == edited else controls)

    kind = {"gaussian": GaussianSampler, "rotated": RotatedSampler}[attention]
    window = kind.window
    model = drawing(attention=attention, read_size=2, write_size=3)
    assert model.choice.name == "cpp"
    monkeypatch.setattr(kind, "window", narrower)
    assert "not cpp: this code computes another" in model.choice.reason


def squared_mask(
    self: DRAW, x: Tensor, noise: Tensor, state: Any, context: Any = NOTHING,
    offset: Any = None, unit_mask: Tensor | None = None,
) -> Any:  # fmt: skip
    mask = None if unit_mask is None else unit_mask.square()
    return STEP(self, x, noise, state, context, offset, mask)


STEP = DRAW.step


@pytest.mark.parametrize("name", ["cpp", "packed"])
def test_an_edit_of_the_decoders_dropout_has_its_effect(name: str, monkeypatch) -> None:
    model, place = drawing(), (torch.device("cpu"), torch.float64)
    assert BACKENDS[name].obstacle(model, *place) is None
    monkeypatch.setattr(DRAW, "step", squared_mask)
    assert "another canvas with a unit mask" in BACKENDS[name].obstacle(model, *place)


def test_triton_asks_the_packed_step_for_decoder_dropout(monkeypatch, caplog) -> None:
    model, mask = drawing(), torch.linspace(0, 2, 16, dtype=torch.float64).view(2, 8)
    given = torch.rand(2, 1, 6, 5).double(), torch.randn(3, 2, 4).double()
    for step in (STEP, squared_mask):
        monkeypatch.setattr(DRAW, "step", step)
        found = BACKENDS["triton"].unroll(model, *given, NOTHING, mask)
        torch.testing.assert_close(found, model.unroll(*given, unit_mask=mask))
    assert "the model's own code runs, several times slower: this code computes" in caplog.text


@pytest.mark.parametrize("kind", [CauchySampler, LaplaceSampler])
def test_edited_filters_have_their_effect(kind, monkeypatch) -> None:
    def wider(g: Tensor, delta: Tensor, sigma: Tensor, size: int, length: int) -> Tensor:
        return filters(g, delta, 1.001 * sigma, size, length)

    filters = kind.filters
    name = {CauchySampler: "cauchy", LaplaceSampler: "laplace"}[kind]
    models = [drawing(attention=name), Classifier(dataclasses.replace(SMALL, attention=name))]
    assert [model.choice.name for model in models] == ["cpp", "cpp"]
    monkeypatch.setattr(kind, "filters", staticmethod(wider))
    for model in models:
        assert "not cpp: this code computes another" in model.choice.reason


def test_a_run_and_a_model_say_that_an_equation_was_edited(tmp_path, monkeypatch) -> None:
    divergence = draw.model.draw.kl_divergence
    monkeypatch.setattr(draw.model.draw, "kl_divergence", lambda *given: 2 * divergence(*given))
    said = "reference (the loop under autograd; not cpp: this code computes another kl"
    assert said in settle(TINY.compute).choices(DRAW(TINY_MODEL))["backend"]
    DRAW(TINY_MODEL).save_pretrained(tmp_path / "model")
    assert "this code computes another kl" in draw_command("info", "model", cwd=tmp_path).stdout


@pytest.fixture
def unproven(monkeypatch) -> list[object]:
    """As in a new process; what is compared."""
    compared: list[object] = []

    def count(contract: object, model: torch.nn.Module, rounds: tuple[object, ...]) -> str | None:
        compared.append((type(model), model.config, rounds))
        return compare(contract, model, rounds)

    compare = proof._compared
    monkeypatch.setattr(proof, "_verdicts", {})
    monkeypatch.setattr(proof, "_compared", count)
    return compared


def test_each_set_of_options_is_compared_once(unproven) -> None:
    for _ in range(2):
        for options in (
            {}, {"glimpses": 9, "hidden_size": 5}, {"attention": "none"}, {"prior": "learned"},
            {"condition": "class"}, {"condition": "class", "classes": 3},
        ):  # fmt: skip
            assert DRAW(dataclasses.replace(TINY_MODEL, **options)).choice.name == "cpp"
    assert len(unproven) == 4
    with torch.autocast("cpu", torch.bfloat16):
        assert DRAW(TINY_MODEL).choice.name == "cpp"
    assert len(unproven) == 5, "products in bfloat16 are other numbers"


OPTIONS = [
    {"attention": attention, "channels": channels, "rows": rows, "read_size": n, "write_size": n}
    for attention in ("gaussian", "none")
    for channels in (1, 3)
    for rows, n in ((6, 1), (5, 2), (4, 3))
]
OPTIONS += [
    {"attention": attention, "prior": prior, "condition": condition, "rows": rows}
    for attention in ("gaussian", "none")
    for prior, condition in (("standard", "class"), ("learned", "none"), ("learned", "class"))
    for rows in (5, 6)
]
OPTIONS += [
    {"attention": filters, "prior": prior, "channels": channels, "read_size": n, "write_size": n}
    for filters in ("cauchy", "laplace", "rotated")
    for prior, channels, n in (("standard", 1, 1), ("learned", 1, 2), ("standard", 3, 3))
]
OPTIONS += [
    {"attention": filters, "read_heads": read, "write_heads": write, "channels": channels}
    for filters, read, write, channels in (
        ("gaussian", 2, 1, 1), ("gaussian", 1, 3, 3), ("gaussian", 9, 9, 1), ("cauchy", 3, 2, 1),
        ("laplace", 2, 2, 1), ("rotated", 2, 3, 1),
    )
]  # fmt: skip


@pytest.mark.parametrize("bf16", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_set_of_options_is_proved(bf16: bool, unproven) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        for options in OPTIONS:
            assert DRAW(DRAWConfig(columns=5, **options)).choice.name == "cpp"
        for clip in (None, 0.1):
            for n, filters, heads in (
                (1, "gaussian", 1), (2, "cauchy", 1), (3, "laplace", 2), (3, "gaussian", 1),
                (2, "gaussian", 4), (2, "rotated", 1), (3, "rotated", 3),
            ):  # fmt: skip
                config = dataclasses.replace(
                    SMALL, read_size=n, window_clip=clip, attention=filters, read_heads=heads
                )
                assert Classifier(config).choice.name == "cpp"


def test_the_proof_leaves_torch_as_it_was(unproven) -> None:
    def state() -> tuple[object, ...]:
        return (
            torch.get_rng_state().tolist(), torch.is_grad_enabled(), torch.get_default_dtype(),
            torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"),
            torch.is_inference_mode_enabled(), torch.are_deterministic_algorithms_enabled(),
            torch.get_num_threads(), torch.get_default_device(), model.training,
            [value.grad for value in model.parameters()],
        )  # fmt: skip

    model = DRAW(TINY_MODEL)
    default, deterministic = torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled()
    try:
        torch.set_default_dtype(torch.float64)
        torch.use_deterministic_algorithms(True)
        for mode in (
            torch.no_grad(), torch.inference_mode(), torch.autocast("cpu", torch.bfloat16),
            torch.device("meta"), FakeTensorMode(allow_non_fake_inputs=True),
            torch.autograd.graph.save_on_cpu(),
        ):  # fmt: skip
            proof._verdicts.clear()
            with mode:
                before = state()
                assert model.choice.name == "cpp", mode
                assert state() == before
    finally:
        torch.set_default_dtype(default)
        torch.use_deterministic_algorithms(deterministic)
    assert len(unproven) == 6


def test_code_that_fails_in_the_miniature_is_no_code_for_cpp(monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("only for large images")

    monkeypatch.setattr(draw.model.draw, "log_prior_over_posterior", fail)
    assert "fails in it (RuntimeError: only for large images)" in DRAW(TINY_MODEL).choice.reason


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("can't start new thread"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (KernelArgumentError("the fast kernel needs 9.0 GiB at once"), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (KernelArgumentError("expected images"), False),
    ],
)
def test_a_failure_that_passes_is_no_verdict(error, passes: bool, unproven, monkeypatch) -> None:
    def fail(*_: object) -> None:
        unproven.append(None)
        raise error from (MemoryError() if "GiB" in str(error) else None)

    model, proven = DRAW(TINY_MODEL), proof._compared
    monkeypatch.setattr(proof, "_compared", fail)
    assert f"fails in it ({type(error).__name__}: " in model.choice.reason
    monkeypatch.setattr(proof, "_compared", proven)
    assert model.choice.name == ("cpp" if passes else "reference")
    assert len(unproven) == 1 + passes


def in_package(function: FunctionType) -> FunctionType:
    """A function as if it stood in the package's own source."""
    return FunctionType(
        function.__code__, vars(draw.model.draw), function.__name__, function.__defaults__,
        function.__closure__,
    )  # fmt: skip


BETA = {"beta": 1.0}
"""A coefficient outside the package, which is neutral at first."""


def weighted(number: dict[str, float], divergence: Callable[..., Tensor], *given: object) -> Tensor:
    return number["beta"] * divergence(*given)


class Annealed:
    """A coefficient as an object: called, or by its method."""

    def __init__(self, divergence: Callable[..., Tensor]) -> None:
        self.divergence = divergence

    def __call__(self, *given: object) -> Tensor:
        return BETA["beta"] * self.divergence(*given)

    def method(self, *given: object) -> Tensor:
        return self(*given)


FORMS: dict[str, Callable[[Callable[..., Tensor]], Callable[..., Tensor]]] = {
    "a function": lambda divergence: lambda *given: BETA["beta"] * divergence(*given),
    "partial": lambda divergence: functools.partial(weighted, BETA, divergence),
    "an object": Annealed,
    "a method": lambda divergence: Annealed(divergence).method,
    "wrapped": lambda divergence: functools.wraps(divergence)(
        lambda *given: BETA["beta"] * divergence(*given)
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_code_of_somebody_else_is_no_code_to_be_proved(form: str, unproven, monkeypatch) -> None:
    """A number outside it, which is neutral now, may be another at the next call."""
    divergence = draw.model.draw.kl_divergence
    monkeypatch.setitem(BETA, "beta", 1.0)
    monkeypatch.setattr(draw.model.draw, "kl_divergence", FORMS[form](divergence))
    model = DRAW(TINY_MODEL)
    choice = model.choice
    assert choice.name == "reference"
    said = "draw.model.draw.kl_divergence was replaced by a function of test_kernel_proof"
    assert said in choice.reason
    x, noise = torch.rand(2, 1, 6, 5), torch.randn(TINY_MODEL.glimpses, 2, TINY_MODEL.latent_size)
    before = model(x, noise).kl
    monkeypatch.setitem(BETA, "beta", 0.5)
    torch.testing.assert_close(model(x, noise).kl, before / 2)
    monkeypatch.setattr(draw.model.draw, "kl_divergence", divergence)
    assert model.choice.name == "cpp"


def test_a_static_method_of_somebody_else_is_none_either(unproven, monkeypatch) -> None:
    filters, scale = GaussianSampler.filters, [1.0]

    def scaled(*given: Any) -> Any:
        return scale[0] * filters(*given)

    monkeypatch.setattr(GaussianSampler, "filters", staticmethod(scaled))
    assert "GaussianSampler.filters was replaced" in DRAW(TINY_MODEL).choice.reason


@pytest.mark.parametrize("attribute", ["__code__", "__defaults__"])
def test_code_that_is_changed_within_a_function_is_seen(
    attribute: str, unproven, monkeypatch
) -> None:
    """As IPython's autoreload does it: the function is the same, its code another."""

    def sample(self: Gaussian, noise: Tensor, scale: float = 5.0) -> Tensor:
        return self.mu + scale * self.log_sigma.exp() * noise

    def plain(self: Gaussian, noise: Tensor, scale: float = 1.0) -> Tensor:
        return self.mu + scale * self.log_sigma.exp() * noise

    if attribute == "__defaults__":
        monkeypatch.setattr(Gaussian, "sample", in_package(plain))
    model = DRAW(TINY_MODEL)
    assert model.choice.name == "cpp"
    there = inspect.unwrap(Gaussian.sample)  # tests have checks of shapes round it
    monkeypatch.setattr(there, "__defaults__", sample.__defaults__)
    if attribute == "__code__":
        monkeypatch.setattr(there, "__code__", sample.__code__)
    assert model.choice.name == "reference"
    monkeypatch.undo()
    assert model.choice.name == "cpp"


def test_a_replaced_tensor_is_seen(unproven, monkeypatch) -> None:
    """It is neither equal to the one before, nor not; here it is for nobody's use but defaults."""
    normal = Gaussian(torch.zeros(TINY_MODEL.latent_size), torch.ones(TINY_MODEL.latent_size))
    assert DRAW(TINY_MODEL).choice.name == "cpp"
    monkeypatch.setattr(draw.parts.distribution, "STANDARD_NORMAL", normal)
    assert DRAW(TINY_MODEL).choice.name == "cpp"
    assert len(unproven) == 2
    assert DRAW(TINY_MODEL).choice.name == "cpp"
    assert len(unproven) == 2


def test_plain_attributes_of_the_model_itself_count(monkeypatch) -> None:
    """A source that was edited may go by a number that its class makes."""
    made = DRAW.__init__

    def leaky(self: DRAW, config: DRAWConfig) -> None:
        made(self, config)
        self.leak = 1.0

    monkeypatch.setattr(DRAW, "__init__", leaky)
    monkeypatch.setattr(allow_list, "_known", {})
    model = DRAW(TINY_MODEL)
    assert model.choice.name == "cpp"
    model.leak = 0.5
    assert "leak is 0.5, its class makes it 1.0" in model.choice.reason


def test_code_for_training_alone_counts_where_it_trains(monkeypatch) -> None:
    def noisy(self: DRAW, x: Tensor, noise: Tensor, state: object, *told: object) -> object:
        return step(self, x, torch.nn.functional.dropout(noise, 0.5, self.training), state, *told)

    step = DRAW.step
    monkeypatch.setattr(DRAW, "step", in_package(noisy))
    model = DRAW(TINY_MODEL)
    assert model.choice.name == "reference"
    assert model.eval().choice.name == "cpp"
