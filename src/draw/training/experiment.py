"""A training run from Python: a config, images of any kind, a folder, and what came of it."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from draw.config.model import refuse_without_effect
from draw.config.presets import PRESETS
from draw.config.run import Config
from draw.data import Splits, load_splits, view_of
from draw.data.in_memory import split_arrays
from draw.data.load import check_boxes
from draw.data.sets.table import known_set
from draw.data.store.cache import cache_root
from draw.errors import DrawError, did_you_mean
from draw.files import write_atomically
from draw.models.kinds import task_for
from draw.models.run_folder import Run
from draw.training.classes import with_classes_of
from draw.training.finish import finish
from draw.training.image_check import check_images
from draw.training.origin import with_sizes_of
from draw.training.pace import choose_length
from draw.training.restart import is_restart, start_or_go_on
from draw.training.start import refuse_existing


def train(
    config: Config | str,
    images: Any = None,
    labels: Any = None,
    *,
    out: str | os.PathLike[str] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Run:
    """Train a model from the first step to the test of its best weights, as `draw train` does.

    It may run in a thread. Ctrl-C saves where it runs in the main one; `draw train --resume` goes
    on with a run.

    Args:
        config: a config, or the name of a preset.
        images: the path of a folder or file, or owner/name on the Hub; or images that the program
            holds: an array or a tensor (8 bits, or floating-point numbers in [0, 1]; nothing is
            scaled unasked), a list of pictures, a data set of torch or of the library datasets, or
            such for each split by its name. They are kept in the cache, so that the run can go on
            and be measured from anywhere. None for the data set of the config. The model takes
            their shape.
        labels: class of each image, for a classifier or a class-conditional model.
        out: folder of the run; by default runs/ and the name of the preset. One that exists is
            never overwritten.
        changes: values by the names of fields, such as {"train.steps": 500, "data.size": (32,)};
            with "train.start_from" all other sizes are those of the model to start from.

    Raises:
        DrawError: if a name is unknown, images or labels do not fit, or the folder exists.
    """
    changes = changes or {}
    if not isinstance(config, Config | str):
        raise DrawError(
            "expected the name of a preset, or a config such as PRESETS['mnist'](), got "
            f"{config!r:.80}"
        )
    if not isinstance(changes, Mapping):
        raise DrawError(
            'expected changes by the names of fields, such as {"train.steps": 500}, got '
            f"{changes!r:.80}"
        )
    classes_given = not isinstance(config, str) or "model.classes" in changes
    if isinstance(config, str):
        if config not in PRESETS:
            raise DrawError(
                f"expected a preset ({', '.join(PRESETS)}), got {config!r}"
                f"{did_you_mean(config, PRESETS)}"
            )
        config = PRESETS[config]()
    if changes.get("train.start_from") is not None:
        config = with_sizes_of(config, changes["train.start_from"])
    config = choose_length(config.with_changes(changes), changes)
    refuse_without_effect(config.model, changes)
    check_boxes(config.data)
    run = Path("runs") / config.preset if out is None else Path(out)
    if not is_restart(run):
        refuse_existing(run)
    if images is None:
        if labels is not None:
            raise DrawError("expected images for the labels, got none; pass both, or neither")
        view = view_of(config.data)
        config = config.with_model_following_data(view.image_shape if view else None)
        splits = load_splits(config.data)
    else:
        config, splits = _with_images(config, images, labels, changes)
    if labels is not None and not task_for(config).needs(splits.train).labels:
        raise DrawError(
            "expected no labels for a model that is told none; leave them out, or pass "
            'changes={"model.condition": "class"}, or the preset of a classifier'
        )
    config = with_classes_of(config, splits, given=classes_given)
    check_images(config, splits.train, splits.validation, splits.test)
    finish(start_or_go_on(config, run, splits.train, splits.validation), splits.test)
    return Run(run)


def _with_images(
    config: Config, images: Any, labels: Any, changes: Mapping[str, Any]
) -> tuple[Config, Splits]:
    """A config that says where its images are, and has their shape; and the images."""
    if isinstance(images, str | os.PathLike):
        if labels is not None:
            raise DrawError("expected no labels with a folder or a data set, which have their own")
        path = os.fspath(images)
    else:
        path = str(_keep(split_arrays(images, labels), cache_root(config.data)))
    # A set that is seen through a view stays one; of others the name says where they are.
    name = config.data.name if known_set(config.data.name).view is not None else "images"
    data = replace(config.data, name=name, path=path)
    splits = load_splits(data)
    channels, rows, columns = splits.train.image_shape
    shape: dict[str, Any] = {"channels": channels, "rows": rows, "columns": columns}
    fitting = {key: value for key, value in shape.items() if f"model.{key}" not in changes}
    return replace(config, data=data, model=replace(config.model, **fitting)), splits


def _keep(arrays: Mapping[str, np.ndarray], root: Path) -> Path:
    """Write images that a program holds to the cache, once, and find them there."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.shape} {array.dtype};".encode())
        digest.update(np.ascontiguousarray(array).data)
    path = root / "arrays" / f"{digest.hexdigest()[:32]}.npz"
    if not path.exists():
        with write_atomically(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    return path
