"""Presets: Table 3 as the paper has it, and every preset whole and known to the command line."""

import dataclasses
import typing

import pytest

from draw import cli
from draw.config.presets import PRESETS
from draw.config.run import Config
from draw.data import KNOWN_SETS, view_of
from draw.models.kinds import configs


def test_mnist_is_the_papers_row_of_table_3() -> None:
    model = PRESETS["mnist"]().model
    assert (model.glimpses, model.hidden_size, model.latent_size) == (64, 256, 100)
    assert (model.read_size, model.write_size, model.attention) == (2, 5, "gaussian")
    assert model.image_shape == (1, 28, 28)


def test_mnist_no_attention_differs_in_attention_alone() -> None:
    without, attending = PRESETS["mnist-no-attention"]().model, PRESETS["mnist"]().model
    assert without.attention == "none"
    for name in ("glimpses", "hidden_size", "latent_size"):
        assert getattr(without, name) == getattr(attending, name)


def test_mnist_class_differs_from_mnist_in_what_it_is_told_alone() -> None:
    told, untold = PRESETS["mnist-class"](), PRESETS["mnist"]()
    assert (told.model.condition, told.model.label_dropout) == ("class", 0.1)
    model = dataclasses.replace(told.model, condition="none", label_dropout=0.0)
    assert dataclasses.replace(told, preset="mnist", model=model) == untold


def test_svhn_and_cifar10_are_the_papers_rows_of_table_3() -> None:
    for name, shape, sizes in (
        ("svhn", (3, 54, 54), (32, 800, 100, 12, 12)),
        ("cifar10", (3, 32, 32), (64, 400, 200, 5, 5)),
    ):
        model = PRESETS[name]().model
        assert model.image_shape == shape
        found = model.glimpses, model.hidden_size, model.latent_size
        assert (*found, model.read_size, model.write_size) == sizes


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "images"])
def test_a_model_has_the_shape_of_its_data_set(name: str) -> None:
    config = PRESETS[name]()
    assert KNOWN_SETS[config.data.name].image_shape == config.model.image_shape
    view = view_of(config.data)
    followed = config.with_model_following_data(view.image_shape if view else None)
    assert followed == config


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_whole(name: str) -> None:
    config = PRESETS[name]()
    assert config.preset == name
    assert PRESETS[name].__doc__
    assert Config.from_dict(config.to_dict(), configs()) == config


def test_the_command_line_knows_every_preset() -> None:
    preset = typing.get_type_hints(cli.train)["preset"]
    assert set(typing.get_args(preset)) == set(PRESETS)
