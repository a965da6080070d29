"""Configurations refuse what does not fit, name it, and survive the way through JSON."""

import ast
import dataclasses
import json
import math
from pathlib import Path

import pytest

import draw
from draw.config.compute import ComputeConfig
from draw.config.data import DataConfig
from draw.config.model import DRAWConfig
from draw.config.run import Config
from draw.config.train import TrainConfig
from draw.errors import DrawError
from draw.fields import Rule, check, from_plain
from draw.models.kinds import configs

# The import hook checks the types of dataclasses too, before they check themselves.
pytestmark = pytest.mark.usefixtures("without_shape_checks")

SECTIONS = {
    "model": DRAWConfig,
    "data": DataConfig,
    "train": TrainConfig,
    "compute": ComputeConfig,
}
NOT_COUNTS = (0, -1, 2.0, 2.5, True, "2", None)
WRONG = {  # by section and field
    "model": {
        **dict.fromkeys(
            (
                "rows",
                "columns",
                "glimpses",
                "hidden_size",
                "latent_size",
                "read_size",
                "write_size",
            ),
            (*NOT_COUNTS, 10**30),
        ),
        "channels": (0, 2, 4, "3", None),
        "attention": ("", None, 1),
        "likelihood": ("", None, 1),
        "prior": ("", None, 1),
        "condition": ("", None, 1),
        "classes": (*NOT_COUNTS, 1, 10**30),
        **dict.fromkeys(("read_heads", "write_heads"), (*NOT_COUNTS, 10**30)),
        "label_dropout": (-0.1, 1.0, 2.0, math.nan, "0", None),
    },
    "data": {
        "size": ((), (0,), (28, 0), (28, -1), (28, 28, 1), (28.0,), ("28",)),
        "mode": ("gray", "", 1),
        "fit": ("scale", "", 1),
        "binarize": ("static", "", None, True),
        "bad_boxes": ("drop", "", None, True),
        "augment": ("affine", ("",), (3,), True),
        "name": ("", "a\0b", None, 3, ["mnist"]),
        "config": ("", "a\0b", 3, True),
        "background": ("", "pink", "#fff", "#20a0fg", 3, (0, 0, 0)),
        "invert": ("", "yes", 1, 0, "True"),
        **dict.fromkeys(("path", "cache_dir"), ("", "a\0b", 3, True, ["folder"])),
    },
    "train": {
        **dict.fromkeys(
            ("steps", "batch_size", "evaluate_every", "log_every", "keep_checkpoints"),
            (*NOT_COUNTS, 10**30),
        ),
        **dict.fromkeys(
            ("evaluate_images", "patience"), tuple(v for v in NOT_COUNTS if v is not None)
        ),
        "minutes": (0.0, -1.0, math.inf, math.nan, True, "1", 10**400),
        "warmup_steps": (-1, 2**31),
        "seed": (-1, 2**63),
        **dict.fromkeys(
            ("learning_rate", "window_share", "clip_norm", "checkpoint_minutes"),
            (0.0, -1.0, math.inf, math.nan, True, "1", 10**400, None),
        ),
        "final_learning_rate": (-1e-9, 1.0, math.nan),
        "weight_decay": (-0.1, math.inf, math.nan),
        "ema_decay": (-0.1, 1.0, 2.0, math.nan),
        "decoder_dropout": (-0.1, 1.0, 2.0, math.nan, "0", None),
        "only": ("decoder", "", None),
        "start_from": ("", 3),
    },
    "compute": {
        "device": ("gpu", "cuda:", "cuda:x", "CPU", "", None, 0),
        "backend": ("", None, 1),
        "precision": ("fp64", "half", "", None, 16),
    },
}
RIGHT = {
    "model": {
        "rows": (1, 28), "columns": (1, 64), "channels": (1, 3), "glimpses": (1, 64),
        "read_size": (1, 100), "write_size": (1, 5), "attention": ("gaussian", "none"),
        "likelihood": ("bernoulli", "logistic"),
    },
    "data": {
        "size": (None, (28,), (28, 14)), "mode": (None, "grey", "colour"),
        "fit": (None, "crop", "pad", "stretch"), "binarize": ("none", "dynamic"),
        "bad_boxes": ("refuse", "skip"), "augment": (None, (), ("affine", "flip"), ("colour",)),
    },
    "train": {
        "warmup_steps": (0, 10), "seed": (0, 2**40), "ema_decay": (0.0, 0.9999),
        "weight_decay": (0.0, 0.1), "window_share": (0.2, 1.0, 3.0),
        "evaluate_images": (None, 1), "final_learning_rate": (0.0, 1e-3),
        "checkpoint_minutes": (0.1,), "minutes": (None, 0.5, 600.0), "patience": (None, 1, 10),
        "start_from": (None, "runs/mnist"),
    },
    "compute": {
        "device": ("auto", "cpu", "cuda", "cuda:1", "mps"),
        "backend": ("auto", "cpp", "reference", "graph"),
        "precision": ("auto", "fp32", "tf32", "bf16", "fp16"),
    },
}  # fmt: skip


def listed(values: dict) -> list:
    return [
        pytest.param(section, name, value, id=f"{section}.{name}={value!r:.40}")
        for section, fields in values.items()
        for name, choices in fields.items()
        for value in choices
    ]


@pytest.mark.parametrize(("section", "name", "value"), listed(WRONG))
def test_wrong_values_are_refused_by_name(section, name, value):
    with pytest.raises(ValueError, match=rf"expected {section}\.{name} to be .+, got ") as error:
        SECTIONS[section](**{name: value})
    assert repr(value)[:100] in str(error.value)


@pytest.mark.parametrize(("section", "name", "value"), listed(RIGHT))
def test_right_values_are_kept(section, name, value):
    assert getattr(SECTIONS[section](**{name: value}), name) == value


@pytest.mark.parametrize(
    ("section", "name", "value"),
    listed(
        {
            "model": {"channels": (True, 1.0)},
            "data": {"size": ((True,),)},
            "train": {"warmup_steps": (0.5, True), "seed": (0.5, math.inf)},
        }
    ),
)
def test_counts_are_whole_numbers(section, name, value):
    with pytest.raises(ValueError, match=rf"expected {section}\.{name}"):
        SECTIONS[section](**{name: value})


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_is_checked(section):
    fields = {(section, field.name) for field in dataclasses.fields(SECTIONS[section])}
    assert fields == {(section, name) for name in WRONG[section]}


@pytest.mark.parametrize("section", SECTIONS)
def test_frozen(section):
    config = SECTIONS[section]()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, dataclasses.fields(config)[0].name, 3)


def test_defaults_are_table_3s_for_mnist():
    config = DRAWConfig()
    assert config.image_shape == (1, 28, 28)
    assert (config.glimpses, config.hidden_size, config.latent_size) == (64, 256, 100)
    assert (config.read_size, config.write_size, config.attention) == (2, 5, "gaussian")


def test_image_shape_is_channels_rows_columns():
    assert DRAWConfig(rows=4, columns=5, channels=3).image_shape == (3, 4, 5)


@pytest.mark.parametrize(
    ("size", "expected"), [(None, None), ((28,), (28, 28)), ((28, 14), (28, 14))]
)
def test_rows_and_columns_of_a_size(size, expected):
    assert DataConfig(size=size).rows_and_columns == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (DataConfig(), (3, 4, 5)),
        (DataConfig(size=(7,)), (3, 7, 7)),
        (DataConfig(size=(7, 9)), (3, 7, 9)),
        (DataConfig(mode="grey"), (1, 4, 5)),
        (DataConfig(mode="colour", size=(2,)), (3, 2, 2)),
    ],
)
def test_model_follows_data(data, expected):
    model = DRAWConfig(rows=4, columns=5, channels=3, glimpses=2)
    followed = Config("mnist", model, data).with_model_following_data()
    assert followed.model == dataclasses.replace(
        model, channels=expected[0], rows=expected[1], columns=expected[2]
    )
    assert followed.data == data


def test_model_follows_what_is_seen_of_the_data():
    model = DRAWConfig(rows=4, columns=5, channels=3, glimpses=2)
    data = DataConfig(size=(8, 6), mode="grey")
    followed = Config("mine", model, data).with_model_following_data(
        lambda stored: (stored[0], stored[1] // 2, stored[2] // 2)
    )
    assert followed.model.image_shape == (1, 4, 3)
    unchanged = Config("mine", model).with_model_following_data(lambda stored: (1, 1, 1))
    assert unchanged.model == model


def test_json_round_trip():
    config = Config(
        preset="mine",
        model=DRAWConfig(rows=5, attention="none"),
        data=DataConfig(size=(28, 14), mode="grey"),
        train=TrainConfig(steps=3, learning_rate=0.1),
        compute=ComputeConfig(device="cpu", backend="reference"),
    )
    assert Config.from_dict(json.loads(json.dumps(config.to_dict())), configs()) == config


def test_missing_sections_and_fields_have_their_defaults():
    config = Config.from_dict({"preset": "mine", "model": {"rows": 5}}, configs())
    assert config == Config("mine", model=DRAWConfig(rows=5))


@pytest.mark.parametrize("values", [{}, {"model": {}}, {"preset": "mine", "optimizer": {}}])
def test_unknown_sections_are_refused(values):
    with pytest.raises(
        ValueError, match="expected a run's config with preset, model, data, train, compute"
    ):
        Config.from_dict(values, configs())


def test_unknown_fields_are_refused_and_the_known_ones_listed():
    with pytest.raises(ValueError, match=r"unknown DRAWConfig field heads; .*rows.*newer version"):
        from_plain(DRAWConfig, "model", {"rows": 5, "heads": 8})


def test_wrong_values_in_json_are_refused():
    with pytest.raises(ValueError, match=r"model\.rows"):
        Config.from_dict({"preset": "mine", "model": {"rows": 0}}, configs())


def test_every_rule_in_a_type_is_one_that_is_asked() -> None:
    """What says how a value must be extends `Rule`: anything else in `Annotated` is passed by."""
    for path in sorted(Path(draw.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                methods = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
                bases = {ast.unparse(base) for base in node.bases}
                assert "violation" not in methods or bases & {"Rule", "ABC"}, (path, node.name)
    with pytest.raises(TypeError, match="abstract"):
        type("Forgotten", (Rule,), {})()
    with pytest.raises(DrawError, match=r"compute\.device to be auto, cpu, .*, got 'toaster'"):
        ComputeConfig(device="toaster")


@pytest.mark.parametrize(
    ("hint", "right", "wrong"),
    [
        (tuple[int, ...], ((), (1,), (1, 2, 3)), ((1.5,), [1], ("1",))),
        (tuple[int, str], ((1, "a"),), ((), (1,), ("a", 1), (1, "a", "b"))),
        (tuple[tuple[float, float], ...], ((), ((1.0, 2.0),)), (((1.0,),), ((1.0, 2.0, 3.0),))),
    ],
)
def test_a_tuple_has_the_length_that_its_type_says(hint, right, wrong) -> None:
    for value in right:
        check("it", hint, value)
    for value in wrong:
        with pytest.raises(DrawError, match="expected it to be"):
            check("it", hint, value)
