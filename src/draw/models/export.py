"""Export of a run's model: a folder of weights, config, pictures, and a card with its figures.

The figures on the card are measured on the very weights that are written, which may be rounded.
"""

import dataclasses
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from draw.config.compute import StoredType
from draw.config.run import Config
from draw.data import ImageSet, Splits
from draw.errors import DrawError
from draw.files import check_regular_file, write_atomically, write_folder_atomically
from draw.json_files import null_if_not_finite, read_json_object, write_json
from draw.measure.progress_bar import with_progress
from draw.model.checks import check_weights
from draw.model.machine import Compute
from draw.model.pretrained import Model
from draw.models.card import CARD_FILE, make_card
from draw.models.kinds import model_with, run_config, task_for
from draw.models.onnx import check_exportable, how_to_run, make_generator
from draw.models.storage import export_model, exported_folder, load_model
from draw.tasks import Measuring, Task

logger = logging.getLogger("draw")

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
MODEL_SUFFIXES = ".json", ".safetensors", ".md", ".png", ".gif", ".onnx"
"""Suffixes of the files that an exported model may consist of."""


def export(
    run: Path,
    splits: Splits,
    to: Path,
    accelerator: Accelerator,
    *,
    name: str,
    dtype: StoredType = "fp32",
    importance_samples: int = 0,
    onnx: bool = False,
    compute: Compute | None = None,
    glimpses: int | None = None,
) -> dict[str, dict[str, Any]]:
    """Export the best model of a run into a folder, with its card and pictures.

    Args:
        run: the run folder.
        splits: images that the model was trained on; those of validation and test are measured.
        to: folder that is new or empty.
        accelerator: accelerator that does the measuring.
        name: name of the model.
        dtype: type of the weights in the file.
        importance_samples: number K of samples of the importance-weighted estimate on the test
            images, 0 for none.
        onnx: whether to write the generator as ONNX too (`draw.models.onnx`).
        compute: device and backend that compute the figures; by default those of the CPU.
        glimpses: number T of glimpses to store the model for, and to measure it with; by default
            the run's. One set of weights is every glimpse's, so none are cut off or added.

    Returns:
        Results of the evaluation by split, in plain values; with onnx also how far ONNX Runtime
        is from PyTorch.

    Raises:
        DrawError: if the folder holds something, the run folder is none, or there can be no ONNX,
            or a weight or a figure is not finite, or glimpses are asked for of a model that takes
            none.
    """
    _refuse_existing(to)
    with write_folder_atomically(to) as folder:
        config = _named_as_seen(run_config(run), splits.train)
        loaded = load_model(str(run))
        model = loaded.model if glimpses is None else _with_glimpses(loaded.model, glimpses, run)
        task = task_for(dataclasses.replace(config, model=model.config))
        model = model.to(_DTYPES[dtype]).float()
        check_weights(model.state_dict().items(), f"{run} in {dtype}")
        if compute is not None:
            compute.place(model)
        generator = make_generator(check_exportable(model)) if onnx else None
        figures = {
            "validation": _measured(task, model, splits.validation, accelerator, 0),
            "test": _measured(task, model, splits.test, accelerator, importance_samples),
        }
        _, not_finite = null_if_not_finite(figures)
        if not_finite:
            raise DrawError(
                f"expected finite figures for the card, got NaN or infinity for {not_finite[0]}: "
                "nothing was written. Choose another run, or --dtype fp32"
            )
        task.export_pictures(model, splits.test, folder)
        step, which = loaded.state.get("step"), loaded.which or "best"
        card = make_card(run, config, model, splits, figures, name, dtype, step, which)
        if generator is not None:
            generator.write(folder)
            card.text += "\n" + how_to_run(generator, check_exportable(model))
            figures["onnx"] = {"difference": generator.difference}
        with write_atomically(folder / CARD_FILE) as temporary:
            temporary.write_text(str(card), encoding="utf-8")
        state = loaded.state if model.config == config.model else _unmeasured(loaded.state)
        export_model(folder, model.to(_DTYPES[dtype]), config.data, state)
        return figures


def copy_export(name: str, to: Path, *, onnx: bool = False) -> dict[str, dict[str, Any]]:
    """Copy an exported model into another folder, with its card and pictures as they are.

    Args:
        name: an exported folder, one of `draw.model.pretrained.shipped_models`, or owner/name on
            the Hub.
        to: folder that is new or empty.
        onnx: whether to add the generator as ONNX (`draw.models.onnx`).

    Returns:
        With onnx how far ONNX Runtime is from PyTorch; else an empty dictionary.

    Raises:
        DrawError: if the folder holds something, there is no such model, or there can be no ONNX.
    """
    _refuse_existing(to)
    with write_folder_atomically(to) as folder:
        files = _files_of(name)
        loaded = load_model(name)
        generator = make_generator(check_exportable(loaded.model)) if onnx else None
        for file in files:
            with write_atomically(folder / file.name) as temporary:
                shutil.copyfile(file, temporary)
        _forget_places(folder / "config.json")
        if generator is None:
            return {}
        generator.write(folder)
        card = folder / CARD_FILE
        text = card.read_bytes() if card.exists() else b""
        if b"## ONNX" not in text:
            section = how_to_run(generator, loaded.drawing)
            with write_atomically(card) as temporary:
                temporary.write_bytes(text + b"\n" + section.encode())
        return {"onnx": {"difference": generator.difference}}


def _files_of(name: str) -> list[Path]:
    """Files that an exported model consists of.

    Those of a folder must lie in it, or a link would put anything into the copy. In the package and
    in the Hub's own cache links are the installer's and the Hub's.

    Raises:
        DrawError: if one is a link out of the folder, or no regular file.
    """
    folder = exported_folder(name, [f"*{suffix}" for suffix in MODEL_SUFFIXES])
    files = [file for file in sorted(folder.iterdir()) if file.suffix in MODEL_SUFFIXES]
    if CARD_FILE not in [file.name for file in files]:
        logger.warning("%s has no card (%s) here, nor has the copy", name, CARD_FILE)
    for file in files:
        target = os.path.realpath(file)
        if Path(name).is_dir() and not Path(target).is_relative_to(os.path.realpath(folder)):
            raise DrawError(
                f"expected {file} in the model's folder itself, got a link to {target}, which is "
                "not given away; put the file in its place, or take the link out"
            )
        check_regular_file(file)
    return files


def _forget_places(config: Path) -> None:
    """Take out of a model's config.json where somebody's images are."""
    values = read_json_object(config)
    data = values.get("data")
    places = {} if data is None else dict.fromkeys({"path", "cache_dir"} & data.keys())
    if data is not None and data != data | places:
        write_json(config, values | {"data": data | places})


def _named_as_seen(config: Config, training: ImageSet) -> Config:
    """A run of `mnist` whose images came as 0 and 1 saw the static set, though it cannot say so."""
    if config.data.name != "mnist" or not training.binary:
        return config
    return dataclasses.replace(
        config, data=dataclasses.replace(config.data, name="binarized_mnist")
    )


def _refuse_existing(to: Path) -> None:
    if to.resolve() == Path.cwd():
        raise DrawError("expected a folder to be made for --to, got the working folder; name one")
    if os.path.lexists(to) and (not to.is_dir() or any(to.iterdir())):
        raise DrawError(f"{to} exists already and is left as it is; name another folder with --to")


def _with_glimpses(model: Model, glimpses: int, run: Path) -> Model:
    """The same weights in a model that takes another number of glimpses."""
    config: Any = model.config
    if not hasattr(config, "glimpses"):
        raise DrawError(
            f"expected a run of a model that takes glimpses for --model.glimpses {glimpses}, got "
            f"{run}, a {type(model).__name__}; leave it out"
        )
    return model_with(dataclasses.replace(config, glimpses=glimpses), model.state_dict())


def _unmeasured(state: dict[str, Any]) -> dict[str, Any]:
    """What is stored with weights, without figures of the model as it was trained."""
    return {name: value for name, value in state.items() if not name.startswith("validation_")}


def _measured(
    task: Task, model: Model, images: ImageSet, accelerator: Accelerator, samples: int
) -> dict[str, Any]:
    how = Measuring(importance_samples=samples)
    return with_progress(
        images,
        accelerator,
        lambda seen, update: task.evaluate(model, seen, accelerator, update, how),
    ).to_dict()
