"""A model that is saved comes back as itself, or is not saved."""

import dataclasses
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

from draw.attention.gaussian import GaussianAttention
from draw.config.data import DataConfig
from draw.config.model import ClassifierConfig, ConvDRAWConfig, ConvnetConfig, DRAWConfig
from draw.errors import DrawError
from draw.model.classifier import Classifier
from draw.model.conv_draw import ConvDRAW
from draw.model.convnet import Convnet
from draw.model.draw import DRAW
from draw.models.storage import export_model, load_model
from draw.tasks.drawing import Drawing
from draw.training.trainer import Trainer
from running import TINY, TINY_MODEL, image_set, on

TINY_CLASSIFIER = ClassifierConfig(rows=6, columns=5, glimpses=2, hidden_size=8, classes=3)
TINY_CONVNET = ConvnetConfig(rows=6, columns=6, filter_size=3, stride=1, hidden_size=4, classes=3)
CONV = ConvDRAWConfig(rows=4, columns=4, glimpses=2, hidden_size=4, latent_size=2, stride=4)
MODELS: dict[str, Callable[[], nn.Module]] = {
    "DRAW": lambda: on("reference", DRAW(TINY_MODEL)),
    "Classifier": lambda: on("reference", Classifier(TINY_CLASSIFIER)),
    "Convnet": lambda: Convnet(TINY_CONVNET),
}
PARTS = [(kind, path) for kind, make in MODELS.items() for path, _ in make().named_modules()]


class Twice(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 2 * weight


def of_another_class(model: nn.Module, path: str) -> None:
    part = model.get_submodule(path)
    part.__class__ = type("Mine", (type(part),), {})


def of_one_object(model: nn.Module, path: str) -> None:
    part = model.get_submodule(path)
    part.extra_repr = types.MethodType(lambda self: "mine", part)


CHANGES: dict[str, Callable[[nn.Module, str], object]] = {
    "another class": of_another_class,
    "a method of its own": of_one_object,
    "one more module": lambda model, path: model.get_submodule(path).add_module(
        "adapter", nn.Linear(2, 2)
    ),
    "one more parameter": lambda model, path: model.get_submodule(path).register_parameter(
        "adapter", nn.Parameter(torch.zeros(2))
    ),
    "one more buffer": lambda model, path: model.get_submodule(path).register_buffer(
        "mask", torch.zeros(2)
    ),
}
OF_WEIGHTS: dict[str, Callable[[nn.Module, str], object]] = {
    "parametrized": lambda model, path: parametrize.register_parametrization(
        model.get_submodule(path), first(model, path), Twice()
    ),
    "pruned": lambda model, path: prune.l1_unstructured(
        model.get_submodule(path), first(model, path), 0.5
    ),
    "of another shape": lambda model, path: setattr(
        model.get_submodule(path), first(model, path), nn.Parameter(torch.zeros(3, 2))
    ),
}


def first(model: nn.Module, path: str) -> str:
    return next(name for name, _ in model.get_submodule(path).named_parameters(recurse=False))


def is_refused(model: nn.Module, to: Path, says: str = "subclass of") -> None:
    """By every way to save it, and nothing is written."""
    with pytest.raises(DrawError, match=says):
        model.save_pretrained(to / "saved")
    with pytest.raises(DrawError, match=f"{says}|from_pretrained"):
        export_model(to / "exported", model, DataConfig(), {})
    assert list(to.iterdir()) == []


@pytest.mark.parametrize(("kind", "path"), PARTS)
def test_a_changed_part_is_not_saved(kind: str, path: str, tmp_path: Path) -> None:
    has_weights = any(True for _ in MODELS[kind]().get_submodule(path).parameters(recurse=False))
    for name, change in {**CHANGES, **(OF_WEIGHTS if has_weights else {})}.items():
        model = MODELS[kind]()
        change(model, path)
        if (name, path) != ("another class", ""):  # a subclass may be saved, and says so
            is_refused(model, tmp_path)


@pytest.mark.parametrize("name", ["rows", "columns", "channels", "read_size", "write_size"])
def test_a_changed_setting_is_not_saved(name: str, tmp_path: Path) -> None:
    model = MODELS["DRAW"]()
    setattr(model.attention, name, 7)
    is_refused(model, tmp_path, rf"attention\.{name} is 7, its config makes it \d; make it a")


class OwnAttention(GaussianAttention):
    pass


def test_another_attention_does_not_come_back_as_draws(tmp_path: Path) -> None:
    model = MODELS["DRAW"]()
    model.attention = OwnAttention(8, 1, 6, 5, 2, 3)
    is_refused(model, tmp_path, r"its own attention \(a OwnAttention\); make it a subclass of DRAW")


class Strong(DRAW):
    def __init__(self, config: DRAWConfig, strength: float = 1.0) -> None:
        super().__init__(config)
        self.strength = strength


@pytest.mark.parametrize(
    "make", [lambda: Strong(TINY_MODEL, 2.0), lambda: Strong(config=TINY_MODEL, strength=2.0)]
)
def test_arguments_besides_the_config_are_not_lost(make, tmp_path: Path) -> None:
    is_refused(make(), tmp_path, "also given strength, which config.json does not keep")
    Strong(TINY_MODEL).save_pretrained(tmp_path / "plain")
    assert Strong.from_pretrained(tmp_path / "plain").strength == 1.0


@dataclass(frozen=True)
class StrongConfig(DRAWConfig):
    strength: float = 1.0


class Configured(DRAW):
    """What the advice says."""

    def __init__(self, config: StrongConfig) -> None:
        super().__init__(config)
        self.attention = OwnAttention(8, 1, 6, 5, 2, 3)
        self.strength = config.strength


def test_a_subclass_with_a_config_of_its_own_comes_back(tmp_path: Path) -> None:
    config = StrongConfig(**{**dataclasses.asdict(TINY_MODEL), "strength": 3.0})
    model = Configured(config)
    model.save_pretrained(tmp_path)
    again = Configured.from_pretrained(tmp_path)
    assert again.config == config
    assert again.strength == 3.0
    for name, value in again.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])


OWN = {
    "Strong": lambda: Strong(TINY_MODEL),
    "Configured": lambda: Configured(StrongConfig(**dataclasses.asdict(TINY_MODEL))),
}


@pytest.mark.parametrize("name", OWN)
def test_a_subclass_does_not_come_back_as_its_base(name: str, tmp_path: Path) -> None:
    OWN[name]().save_pretrained(tmp_path)
    for load in (DRAW.from_pretrained, load_model):
        with pytest.raises(DrawError, match=f"got a {name}, a class outside draw; .*{name}.from_"):
            load(str(tmp_path))


def test_what_is_saved_is_the_config_as_it_is(tmp_path: Path) -> None:
    model = MODELS["DRAW"]()
    model.config = dataclasses.replace(model.config, glimpses=9)
    model.save_pretrained(tmp_path)
    assert DRAW.from_pretrained(tmp_path).config.glimpses == 9


def test_hooks_and_wrapping_do_not_keep_a_model_from_being_saved(tmp_path: Path) -> None:
    model = MODELS["DRAW"]()
    model.mu.register_forward_hook(lambda *_: None)
    model.note = "mine"
    model._original_forward = model.forward  # as Accelerate does
    model.forward = types.MethodType(DRAW.forward, model)
    model.save_pretrained(tmp_path)
    assert type(DRAW.from_pretrained(tmp_path)) is DRAW


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    "config", [CONV, TINY_MODEL, TINY_CLASSIFIER, TINY_CONVNET, {}, DRAWConfig]
)
def test_a_model_is_made_from_a_config_of_its_kind(config: object) -> None:
    kinds = {DRAW: TINY_MODEL, ConvDRAW: CONV, Classifier: TINY_CLASSIFIER, Convnet: TINY_CONVNET}
    for made, own in kinds.items():
        if not isinstance(config, type(own)):
            says = f"expected a {type(own).__name__} to make a {made.__name__} from, got "
            for given, named in (((config,), {}), ((), {"config": config})):
                with pytest.raises(DrawError, match=says):
                    made(*given, **named)


def test_what_would_be_loaded_as_another_class_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(DrawError, match="expected a DRAWConfig to make a DRAW from, got ConvDRAWC"):
        DRAW(CONV).save_pretrained(tmp_path / "saved")
    model = ConvDRAW(CONV)
    assert model.choice.name == "reference"
    model.save_pretrained(tmp_path / "conv")
    assert type(load_model(str(tmp_path / "conv")).model) is ConvDRAW


def test_a_run_does_not_train_what_it_could_not_load(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Drawing, "make_model", lambda self: Strong(self.model_config))
    with pytest.raises(DrawError, match="one of draw's own classes"):
        Trainer(TINY, tmp_path / "run", image_set(10), image_set(10))


def test_what_from_pretrained_cannot_open_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anything but owner/name was asked of the Hub, whose words are about identifiers."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "picture.png").touch()
    for wrong, got in (
        ("./missing", "what is no folder, missing"),
        ("missing", "what is no folder, missing"),
        ("/nowhere/at/all", "what is no folder, /nowhere/at/all"),
        ("picture.png", "the file picture.png"),
    ):
        with pytest.raises(
            DrawError, match=f"expected a folder with config.json and .*, got {got}"
        ):
            DRAW.from_pretrained(wrong)
    run = Path("runs/digits")
    DRAW(TINY_MODEL).save_pretrained(run / "best")
    with pytest.raises(DrawError, match=r"got the run runs/digits; draw.load\('runs/digits'\)"):
        DRAW.from_pretrained(run)
    assert DRAW.from_pretrained(run / "best").config == TINY_MODEL
