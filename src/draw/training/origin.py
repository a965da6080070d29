"""The model whose weights a run starts from (train.start_from): its sizes, and what differs."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from draw.attention import SAMPLERS
from draw.config.data import DataConfig, Mode
from draw.config.model import ModelConfig
from draw.config.presets import PRESETS
from draw.config.run import Config
from draw.errors import DrawError
from draw.model.memory import weightless
from draw.models.kinds import make_model, run_config
from draw.models.storage import exported_config, exported_folder
from draw.parts.conditions import CONDITIONS
from draw.parts.priors import PRIORS
from draw.runs.paths import RUN_FILE

MODES: dict[int, Mode] = {1: "grey", 3: "colour"}
"""Modes of pictures by their channels."""
PARTS: Mapping[str, Mapping[str, Any]] = {"prior": PRIORS, "condition": CONDITIONS}
"""Parts of a model that may take the place of others, by their fields and names."""
PLACING = tuple(
    f"{window}.{kind}"
    for window in ("attention.read_window", "attention.write_window", "read_window")
    for kind in ("weight", "bias")
)
"""Names of the weights that place windows, of a DRAW and of a classifier."""


class Origin(NamedTuple):
    """What is known of a model to start from, before its weights are read."""

    model: ModelConfig
    data: DataConfig | None
    """Config of the images that it was trained on, if it was written down."""


def origin_of(name: str) -> Origin:
    """Read the config of a model by the names that `draw.models.storage.load_model` takes.

    Args:
        name: name or folder of the model.

    Raises:
        DrawError: if there is no such model, or its files are damaged.
    """
    if (Path(name) / RUN_FILE).exists():
        config = run_config(Path(name))
        return Origin(config.model, config.data)
    return Origin(*exported_config(exported_folder(name))[:2])


def with_sizes_of(config: Config, name: str) -> Config:
    """A run's config with the model that it is to start from in place of its own.

    Somebody's own pictures are also brought to the size and mode of that model.

    Args:
        config: config of the run.
        name: name or folder of the model to start from.

    Raises:
        DrawError: if there is no such model, or it is of another kind.
    """
    model = origin_of(name).model
    if type(model) is not type(config.model):
        raise DrawError(
            f"expected a model like those of {config.preset} for train.start_from "
            f"({type(config.model).__name__}), got {name} ({type(model).__name__})"
        )
    data = config.data
    if data.name == "images":
        square = model.rows == model.columns
        size = (model.rows,) if square else (model.rows, model.columns)
        data = dataclasses.replace(data, size=size, mode=MODES.get(model.channels))
    return dataclasses.replace(config, model=model, data=data)


def check_sizes(config: Config) -> None:
    """Refuse a run whose model cannot take the weights that it is to start from.

    Args:
        config: config of the run.

    Raises:
        DrawError: naming the fields that differ, with what was expected.
    """
    name = config.train.start_from
    if name is None:
        return
    model = origin_of(name).model
    if config.train.only == "encoder":
        _refuse_untrained_parts(config, model)
    fresh = _weights(config.model)
    given = weights_for(config.model, model, _weights(model), fresh)
    there, here = (_shapes(state) for state in (given, fresh))
    differing = [one for one in {**there, **here} if there.get(one) != here.get(one)]
    if differing:
        raise DrawError(
            f"the weights of {name} (train.start_from) do not fit the model: expected "
            f"{expected_fields(model, config)}. Leave these out: draw train takes them from "
            f"{name}. Of another shape {'is' if not differing[1:] else 'are'} {differing[0]}"
            + (f" and {len(differing) - 1} more" if differing[1:] else "")
        )


def _refuse_untrained_parts(config: Config, model: ModelConfig) -> None:
    """Refuse parts that begin as others, where they would stay that: they act in the decoder."""
    for part, table in PARTS.items():
        before, after = _parts(table, part, model, config.model)
        if _extends(after, before):
            there, here = getattr(model, part), getattr(config.model, part)
            raise DrawError(
                f"expected model.{part} {there}, as in {config.train.start_from}, with train.only "
                f"encoder, got {here}, which would not be trained; leave one of them out"
            )


def expected_fields(model: ModelConfig, config: Config) -> str:
    """The fields in which a run's model differs from another, with the values of both.

    Args:
        model: config of the model to start from.
        config: config of the run.
    """
    if type(model) is not type(config.model):
        return f"a {type(model).__name__}, got a {type(config.model).__name__}"
    sized = {"rows": " (--data.size)", "columns": " (--data.size)", "channels": " (--data.mode)"}
    hints = sized if config.data.size or config.data.mode else {}
    return ", ".join(
        f"model.{name}{hints.get(name, '')} {there}, got {here}"
        for name, (there, here) in _differences(model, config.model).items()
    )


def describe_origin(config: Config) -> str:
    """Say in a line what a run takes from the model that it starts from; empty without one.

    Args:
        config: config of the run.
    """
    name = config.train.start_from
    if name is None:
        return ""
    model = origin_of(name).model
    text = f"starts from the weights of {name}"
    preset = PRESETS.get(config.preset)
    own = preset().model if preset else model
    if type(own) is type(model):
        pairs = _differences(model, own).items()
        taken = [
            f"{field} {there} ({config.preset}: {before})"
            for field, (there, before) in pairs
            if getattr(config.model, field) == there
        ]
        text += f", whose sizes it has: {', '.join(taken)}" if taken else ""
    changed = [
        f"{field} {here} ({name}: {there})"
        for field, (there, here) in _differences(model, config.model).items()
    ]
    return text + (f"; otherwise than there: {', '.join(changed)}" if changed else "") + "\n"


def _differences(one: ModelConfig, other: ModelConfig) -> dict[str, tuple[Any, Any]]:
    """Fields of two configs of a class that differ, with both values."""
    return {
        field.name: pair
        for field in dataclasses.fields(one)
        if (pair := (getattr(one, field.name), getattr(other, field.name)))[0] != pair[1]
    }


def weights_for(
    here: ModelConfig,
    there: ModelConfig,
    state: Mapping[str, Tensor],
    fresh: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """The weights of a model as those of another that is to start from them.

    Parts of the other may do more, if they do nothing of it at first (`extends` of `Sampler`,
    `Prior` and `Condition`): windows with more numbers that place them, which are where they were;
    a learned prior and a condition, with weights that the other begins with.

    Args:
        here: config of the model that starts.
        there: config of the model whose weights they are.
        state: the weights.
        fresh: weights that the model that starts was made with.
    """
    given = dict(state)
    before, after = _parts(SAMPLERS, "attention", there, here)
    if _extends(after, before):
        counts: tuple[int, int] = before.controls, after.controls
        given |= {name: _with_more(given[name], *counts) for name in PLACING if name in given}
    for part, table in PARTS.items():
        before, after = _parts(table, part, there, here)
        if _extends(after, before):
            given |= {
                n: value
                for n, value in fresh.items()
                if n.startswith(f"{part}.") and n not in given
            }
    return given


def _parts(table: Mapping[str, Any], part: str, *models: ModelConfig) -> tuple[Any, ...]:
    """The parts that models name; None where one has no such part."""
    return tuple(table.get(getattr(model, part, "")) for model in models)


def _extends(after: Any, before: Any) -> bool:
    """Whether a part does at first what another does."""
    return before is not None and getattr(after, "extends", None) is before


def _with_more(value: Tensor, before: int, after: int) -> Tensor:
    """Rows of so many controls for each window, zero where there were none."""
    windows = value.reshape(-1, before, *value.shape[1:])
    more = value.new_zeros(len(windows), after - before, *value.shape[1:])
    return torch.cat([windows, more], 1).flatten(0, 1)


def _weights(config: ModelConfig) -> dict[str, Tensor]:
    """Weights of a model with a config, without their numbers."""
    return weightless(lambda: make_model(config)).state_dict()


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}
