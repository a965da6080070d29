"""Hooks, adapters, patches and replaced parts: cpp steps aside, with the reason."""

import dataclasses
import types
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from draw.config.model import ClassifierConfig, DRAWConfig
from draw.errors import KernelUnavailableError
from draw.model.classifier import Classifier
from draw.model.draw import DRAW
from draw.parts.conditions import CONDITIONS
from draw.parts.priors.learned import LearnedPrior
from draw.parts.state import Context
from running import TINY_MODEL, on

pytestmark = pytest.mark.parametrize("backend", ["cpp"], indirect=True)

TINY_LEARNED = dataclasses.replace(TINY_MODEL, prior="learned")
TINY_CLASSIFIER = ClassifierConfig(
    rows=6, columns=5, glimpses=2, hidden_size=8, read_size=2, classes=3
)
PARTS = {
    DRAW: ("attention.read_window", "attention.write_window", "attention.write_content",
           "lstm_enc", "lstm_dec", "mu", "log_sigma", "prior.mu", "prior.log_sigma"),
    Classifier: ("read_window", "lstm"),
}  # fmt: skip
PLACES = [
    *((kind, part) for kind, parts in PARTS.items() for part in parts),
    (DRAW, "attention"),
    (DRAW, "prior"),
]
WITHOUT_WEIGHTS = "attention", "prior"


@pytest.fixture(autouse=True)
def _only_with_cpp(backend: str) -> None:
    pass


def made(kind: type[nn.Module], backend: str = "auto") -> nn.Module:
    config = TINY_LEARNED if kind is DRAW else TINY_CLASSIFIER
    return on(backend, kind(config))


def images() -> Tensor:
    return torch.rand(2, 1, 6, 5)


def steps_aside(model: nn.Module, *named: str) -> None:
    """The reference runs, for a reason that names these; cpp is refused for the same."""
    assert model.choice.name == "reference"
    for name in named:
        assert name in model.choice.reason
    model.backend = "cpp"
    with pytest.raises(KernelUnavailableError, match="choose the backend 'auto' or 'reference'"):
        model(images())


class Twice(nn.Module):
    """An adapter round a part."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *given: Tensor) -> Tensor:
        return self.inner(*given)


class Halved(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight / 2


def patched(module: nn.Module) -> None:
    module.forward = types.MethodType(type(module).forward, module)


def own_class(module: nn.Module) -> None:
    module.__class__ = type("Mine", (type(module),), {})


def weight(module: nn.Module) -> str:
    return next(name for name, _ in module.named_parameters(recurse=False))


def old_weight_norm(module: nn.Module) -> None:
    weight_norm(module, weight(module))


def pruned_for_good(module: nn.Module) -> None:
    name = weight(module)
    prune.remove(prune.l1_unstructured(module, name, 0.5), name)


def a_buffer(module: nn.Module) -> None:
    name = weight(module)
    value = getattr(module, name).detach()
    delattr(module, name)
    module.register_buffer(name, value)


CHANGES: dict[str, Callable[[nn.Module], object]] = {
    "forward hook": lambda m: m.register_forward_hook(lambda *_: None),
    "forward hook with keywords": lambda m: m.register_forward_hook(
        lambda *_: None, with_kwargs=True, always_call=True
    ),
    "forward pre-hook": lambda m: m.register_forward_pre_hook(lambda *_: None),
    "backward hook": lambda m: m.register_full_backward_hook(lambda *_: None),
    "backward pre-hook": lambda m: m.register_full_backward_pre_hook(lambda *_: None),
    "old backward hook": lambda m: m.register_backward_hook(lambda *_: None),
    "patched forward": patched,
    "own class": own_class,
    "parameter": lambda m: m.register_parameter("lora", nn.Parameter(torch.zeros(2))),
    "buffer": lambda m: m.register_buffer("mask", torch.zeros(2)),
    "module": lambda m: m.add_module("lora", nn.Linear(2, 2)),
    "doubled": lambda m: m.double(),
    "half": lambda m: m.bfloat16(),
}
OF_WEIGHTS: dict[str, Callable[[nn.Module], object]] = {
    "parametrized": lambda m: parametrize.register_parametrization(m, weight(m), Halved()),
    "weight norm": lambda m: parametrizations.weight_norm(m, weight(m)),
    "old weight norm": old_weight_norm,
    "spectral norm": lambda m: spectral_norm(m, weight(m)),
    "pruned": lambda m: prune.l1_unstructured(m, weight(m), 0.5),
    "pruned for good": pruned_for_good,
    "other shape": lambda m: setattr(m, weight(m), nn.Parameter(torch.zeros(3, 3))),
    "emptied": lambda m: setattr(getattr(m, weight(m)), "data", torch.empty(0)),
    "no parameter": lambda m: setattr(m, weight(m), None),
    "a buffer": a_buffer,
    "of another class": lambda m: setattr(m, weight(m), nn.UninitializedParameter()),
}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place[0].__name__}.{place[1]}")
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_the_kernel_steps_aside_for_every_change_of_a_part(place) -> None:
    kind, path = place
    for name, change in {**CHANGES, **({} if path in WITHOUT_WEIGHTS else OF_WEIGHTS)}.items():
        model = made(kind)
        assert model.choice.name == "cpp", name
        change(model.get_submodule(path))
        if name == "pruned for good":
            assert model.choice.name == "cpp", "the weights are plain parameters again"
        else:
            steps_aside(model, path.split(".")[0])


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place[0].__name__}.{place[1]}")
def test_the_kernel_steps_aside_for_every_replaced_part(place) -> None:
    kind, path = place
    model = made(kind)
    model.set_submodule(path, Twice(model.get_submodule(path)))
    steps_aside(model, path, "Twice")


@pytest.mark.parametrize(("kind", "path"), [p for p in PLACES if p[1] not in WITHOUT_WEIGHTS])
def test_hooks_are_called(kind, path: str) -> None:
    """At each step, forward and backward, as in the readable loop."""
    model, called = made(kind), []
    part = model.get_submodule(path)
    part.register_forward_hook(lambda *_: called.append("forward"))
    part.register_full_backward_hook(lambda *_: called.append("backward"))
    output = model(images())
    (output.bound if kind is DRAW else output.logits).sum().backward()
    assert called.count("forward") == model.config.glimpses
    assert called.count("backward") >= model.config.glimpses - 1


STANDARD: dict[str, Callable[[nn.Module], object]] = {
    name: change for name, change in CHANGES.items() if name not in ("doubled", "half")
}


@pytest.mark.parametrize("name", STANDARD)
def test_a_standard_prior_that_was_changed_is_heard(name: str) -> None:
    """It has no weights, and is a part all the same."""
    model = DRAW(TINY_MODEL)
    STANDARD[name](model.prior)
    steps_aside(model, "prior")


def test_another_prior_in_the_place_of_the_standard_one() -> None:
    model = DRAW(TINY_MODEL)
    model.prior = LearnedPrior(TINY_MODEL)
    steps_aside(model, "prior", "LearnedPrior")


class Tags(nn.Module):
    """A condition of somebody's own, which tells the decoder alone."""

    takes_labels = True
    description = "told tags"

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()
        self.table = nn.Embedding(3, 4 * config.hidden_size)

    def forward(self, labels: Tensor) -> Context:
        return Context(enc=None, dec=self.table(labels))


@pytest.mark.usefixtures("without_shape_checks")
def test_the_kernel_takes_what_any_condition_tells(monkeypatch) -> None:
    monkeypatch.setitem(CONDITIONS, "tags", Tags)
    config = dataclasses.replace(TINY_LEARNED, condition="tags", classes=3)
    cpp, reference = (on(k, DRAW(config)) for k in ("auto", "reference"))
    reference.load_state_dict(cpp.state_dict())
    called = []
    cpp.condition.register_forward_hook(lambda *_: called.append("condition"))
    assert cpp.choice.name == "cpp"
    x, noise, labels = images(), torch.randn(3, 2, 4), torch.tensor([2, 1])
    found, expected = (model(x, noise, labels) for model in (cpp, reference))
    torch.testing.assert_close(found.bound, expected.bound)
    assert called == ["condition"]
    slopes = [
        torch.autograd.grad(output.bound.sum(), model.condition.table.weight)[0]
        for output, model in ((found, cpp), (expected, reference))
    ]
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-4)
    assert slopes[0][1:].any()


GLOBAL_HOOKS = [
    nn.modules.module.register_module_forward_hook,
    nn.modules.module.register_module_forward_pre_hook,
    nn.modules.module.register_module_full_backward_hook,
    nn.modules.module.register_module_full_backward_pre_hook,
]


@pytest.mark.parametrize("register", GLOBAL_HOOKS)
@pytest.mark.parametrize("kind", PARTS)
def test_a_hook_on_all_modules_is_called(register, kind) -> None:
    model = made(kind)
    handle = register(lambda *_: None)
    try:
        steps_aside(model, "a hook on all modules")
    finally:
        handle.remove()
    assert model.choice.name == "cpp"


METHODS = {
    DRAW: ("step", "generate_step", "initial_state", "unroll", "_glimpses", "trajectory"),
    Classifier: ("look", "_read"),
}
EVERY_METHOD = [(kind, name) for kind, names in METHODS.items() for name in names]


@pytest.mark.parametrize(("kind", "name"), EVERY_METHOD)
def test_methods_of_its_own(kind, name: str) -> None:
    """Of one model, or of a subclass."""
    model = made(kind)
    setattr(model, name, getattr(model, name))
    steps_aside(model, f"its own {name}")
    own = type("Own", (kind,), {name: lambda self, *given: getattr(kind, name)(self, *given)})
    steps_aside(own(made(kind).config), f"its own {name}")


@pytest.mark.parametrize("method", ["read", "write"])
def test_methods_of_the_attention_of_one_model(method: str) -> None:
    model = made(DRAW)
    setattr(model.attention, method, getattr(model.attention, method))
    steps_aside(model, f"its own attention.{method}")


@pytest.mark.parametrize(
    "name",
    ["rows", "columns", "channels", "read_size", "write_size", "read_heads", "write_heads"],
)
def test_settings_of_the_attention(name: str) -> None:
    model = made(DRAW)
    setattr(model.attention, name, 1 + getattr(model.attention, name))
    steps_aside(model, f"attention.{name} is")


@pytest.mark.parametrize("name", ["canvas_0", "h_enc_0", "c_enc_0", "h_dec_0", "c_dec_0"])
@pytest.mark.parametrize(
    "value", [torch.zeros(()), torch.zeros(1), torch.zeros(0)], ids=["scalar", "one", "empty"]
)
def test_states_of_another_shape(name: str, value: Tensor) -> None:
    model = made(DRAW)
    setattr(model, name, nn.Parameter(value))
    assert f"{name} has shape" in model.choice.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 7},
        {"read_size": 3},
        {"read_heads": 2},
        {"write_heads": 2},
        {"hidden_size": 9},
        {"attention": "none"},
        {"attention": "cauchy"},
        {"prior": "standard"},
    ],
)
def test_another_config_than_the_parts_were_made_for(changes: dict[str, object]) -> None:
    model = made(DRAW)
    model.config = dataclasses.replace(model.config, **changes)
    assert model.choice.name == "reference"


def test_a_model_that_is_asked_for_another_backend_listens() -> None:
    model = made(DRAW)
    model.backend = "reference"
    assert str(model.choice) == "reference (as asked)"
    model.backend = "auto"
    assert model.choice.name == "cpp"


class Property(DRAW):
    @property
    def mu(self) -> nn.Module:
        return self._modules["mu"]


def test_a_property_in_the_place_of_a_part() -> None:
    assert "its own mu" in Property(TINY_MODEL).choice.reason


class MoreToLearn(DRAW):
    """Another loss and a part of its own, around the same steps."""

    def __init__(self, config, classes: int) -> None:
        super().__init__(config)
        self.head = nn.Linear(config.hidden_size, classes)

    def forward(self, images, noise=None):
        output = super().forward(images, noise)
        return output._replace(bound=2 * output.bound)


def test_what_never_meets_the_kernel_may_be_changed() -> None:
    model = MoreToLearn(TINY_MODEL, classes=3)
    calls = []
    model.likelihood.register_forward_hook(lambda *_: calls.append("likelihood"))
    model.register_forward_hook(lambda *_: calls.append("model"))
    model.note = "mine"
    model.forward = types.MethodType(MoreToLearn.forward, model)  # as Accelerate wraps it
    assert model.choice.name == "cpp"
    output = model(images())
    assert calls == ["likelihood", "model"]
    torch.testing.assert_close(output.bound, 2 * (output.reconstruction + output.kl.sum(1)))


def test_a_call_with_other_parameters_takes_the_kernel() -> None:
    model, x, noise = made(DRAW), images(), torch.randn(3, 2, 4)
    twice = {name: 2 * value.detach() for name, value in model.named_parameters()}
    found = torch.func.functional_call(model, twice, (x, noise)).bound
    model.load_state_dict(twice)
    assert torch.equal(found, model(x, noise).bound)


def test_mixed_numbers_are_no_silent_number() -> None:
    model = made(DRAW)
    model.lstm_dec.bfloat16()
    with pytest.raises(RuntimeError, match="dtype"):
        model(images())
