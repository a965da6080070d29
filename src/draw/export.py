"""A run's model as a folder to give away: weights, config, pictures, and a card with its figures.

The figures on the card are measured on the very weights that are written, which may be rounded.
"""

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any, Literal, cast

import torch
from accelerate import Accelerator
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from draw.checkpoint import (
    METRICS_FILE,
    RUN_FILE,
    export_model,
    exported_folder,
    load_model,
    read_run_file,
)
from draw.classifier import Classifier
from draw.config import Config, DRAWConfig
from draw.data import KNOWN_SETS, ImageSet, Splits
from draw.errors import DrawError
from draw.evaluate import evaluate
from draw.files import read_json, written_atomically
from draw.metrics import read_metrics
from draw.model import DRAW
from draw.models import Model
from draw.onnx import check_exportable, how_to_run, make_generator
from draw.pretrained import shipped
from draw.report import glimpses_of, with_progress
from draw.tasks import task_for
from draw.tasks.drawing import Drawing
from draw.visualize import animate, sample_grid

Precision = Literal["fp32", "fp16", "bf16"]
_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
CARD_FILE = "README.md"
COPIED = ".json", ".safetensors", ".md", ".png", ".gif", ".onnx"
"""Suffixes of the files that an exported model may consist of."""


def export(
    run: Path,
    splits: Splits,
    to: Path,
    accelerator: Accelerator,
    *,
    name: str,
    precision: Precision = "fp32",
    importance_samples: int = 0,
    onnx: bool = False,
) -> dict[str, dict[str, Any]]:
    """Write the best model of a run, with its card and pictures.

    Args:
        run: the run folder.
        splits: the images it was trained on; those of validation and test are measured.
        to: a folder that is new or empty.
        accelerator: does the measuring.
        name: what the model is to be called.
        precision: of the weights in the file.
        importance_samples: K of the importance-weighted estimate on the test images, 0 for none.
        onnx: also write the generator as ONNX (`draw.onnx`).

    Returns:
        What was measured, by split, in plain values; with onnx also how far it is from PyTorch.

    Raises:
        DrawError: if the folder holds something, the run folder is none, or there can be no ONNX.
    """
    _refuse_existing(to)
    config = _named_as_seen(read_run_file(run), splits.train)
    loaded = load_model(str(run))
    model = loaded.model.to(_DTYPES[precision]).float()
    generator = make_generator(check_exportable(model)) if onnx else None
    figures = {
        "validation": _measured(config, model, splits.validation, accelerator, 0),
        "test": _measured(config, model, splits.test, accelerator, importance_samples),
    }
    _pictures(model, splits.test, to)
    card = _card(run, config, model, splits, figures, name, precision)
    if generator is not None:
        generator.write(to)
        card.text += "\n" + how_to_run(generator, loaded.drawing.config)
        figures["onnx"] = {"difference": generator.difference}
    with written_atomically(to / CARD_FILE) as temporary:
        temporary.write_text(str(card))
    data = dataclasses.replace(config.data, path=None, cache_dir=None)
    export_model(to, model.to(_DTYPES[precision]), data, loaded.state)
    return figures


def copy_exported(name: str, to: Path, *, onnx: bool = False) -> dict[str, dict[str, Any]]:
    """Write a model that was exported before, with its card and pictures as they are.

    Args:
        name: an exported folder, one of `draw.pretrained.shipped`, or owner/name on the Hub.
        to: a folder that is new or empty.
        onnx: add the generator as ONNX (`draw.onnx`).

    Returns:
        With onnx how far it is from PyTorch; else nothing.

    Raises:
        DrawError: if the folder holds something, there is no such model, or there can be no ONNX.
    """
    _refuse_existing(to)
    model = load_model(name).model
    generator = make_generator(check_exportable(model)) if onnx else None
    for file in sorted(exported_folder(name).iterdir()):
        if file.suffix in COPIED:
            with written_atomically(to / file.name) as temporary:
                shutil.copyfile(file, temporary)
    if generator is None:
        return {}
    generator.write(to)
    card = to / CARD_FILE
    text = card.read_text() if card.exists() else ""
    if "## ONNX" not in text:
        section = how_to_run(generator, cast(DRAW, model).config)
        with written_atomically(card) as temporary:
            temporary.write_text(f"{text}\n{section}")
    return {"onnx": {"difference": generator.difference}}


def _named_as_seen(config: Config, training: ImageSet) -> Config:
    """A run of `mnist` whose images came as 0 and 1 saw the static set, though it cannot say so."""
    if config.data.name != "mnist" or not training.binary:
        return config
    return dataclasses.replace(
        config, data=dataclasses.replace(config.data, name="binarized_mnist")
    )


def _refuse_existing(to: Path) -> None:
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise DrawError(f"{to} exists already and is left as it is; name another folder with --to")


def _measured(
    config: Config, model: Model, images: ImageSet, accelerator: Accelerator, samples: int
) -> dict[str, Any]:
    task = task_for(config)
    if isinstance(model, DRAW) and isinstance(task, Drawing):
        return with_progress(
            images,
            accelerator,
            lambda seen, update: evaluate(
                model,
                seen.images,
                dynamic=task.dynamic(seen),
                importance_samples=samples,
                accelerator=accelerator,
                on_progress=update,
            ),
        ).to_dict()
    return with_progress(
        images,
        accelerator,
        lambda seen, update: task.evaluate(model, seen, accelerator, update),
    ).to_dict()


def _pictures(model: Model, test: ImageSet, to: Path) -> None:
    if isinstance(model, DRAW):
        sample_grid(model.generate(64, seed=0).images[-1], to / "samples.png")
        some = model.generate(16, seed=0)
        animate(some, to / "generation.gif", write_size=model.config.window_sizes[1])
    elif isinstance(model, Classifier):
        glimpses_of(model, test, to / "glimpses.png")


FIGURES = {
    "bound": "upper bound on -log p(x), nats per image",
    "bound_standard_error": "standard error of the bound, nats",
    "importance_weighted": "importance-weighted estimate of -log p(x), nats per image",
    "bits_per_dimension": "bound, bits per dimension",
    "error": "wrong answers, %",
    "error_low": "lower end of the 95 % interval, %",
    "error_high": "upper end of the 95 % interval, %",
}
"""What goes on a card, of what was measured."""


def _card(
    run: Path,
    config: Config,
    model: Model,
    splits: Splits,
    figures: dict[str, dict[str, Any]],
    name: str,
    precision: Precision,
) -> ModelCard:
    known = KNOWN_SETS[config.data.name]
    task = "image-classification" if "error" in figures["test"] else "image-generation"
    results = [
        EvalResult(
            task_type=task,
            dataset_type=config.data.name,
            dataset_name=config.data.name,
            dataset_split=split,
            metric_type=kind,
            metric_name=words,
            metric_value=values[kind],
        )
        for split, values in figures.items()
        for kind, words in FIGURES.items()
        if kind in values
    ]
    data = ModelCardData(
        model_name=name,
        library_name="draw",
        license="mit",
        datasets=[known.hub] if known.hub else None,
        tags=["draw", "attention"],
        eval_results=results,
    )
    made = read_json(run / RUN_FILE).get("made", {})
    lines = read_metrics(run / METRICS_FILE)
    seconds = max((line["seconds"] for line in lines if "seconds" in line), default=0.0)
    steps = max((line["step"] for line in lines), default=config.train.steps)
    rows = [
        f"| {words} | {_cell(figures['validation'], kind)} | {_cell(figures['test'], kind)} |"
        for kind, words in FIGURES.items()
        if kind in figures["test"]
    ]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    classifier = "error" in figures["test"]
    text = [
        f"# {name}",
        "",
        f"A model that {what(config)}, for `draw` (Gregor et al. 2015, DRAW).",
        "",
        "![](glimpses.png)" if classifier else "![](generation.gif)",
        "",
        f"| | validation ({splits.validation.count:,}) | test ({splits.test.count:,}) |",
        "|---|---|---|",
        *rows,
        "",
        f"- **Data**: {config.data.name}: {known.description}. {splits.train.count:,} images for "
        f"training. Licence of the data: {known.licence}.",
        f"- **Training**: `{_command(made.get('command') or 'draw train ' + config.preset)}`, seed "
        f"{config.train.seed}, {steps:,} steps of {config.train.batch_size} images, "
        f"{seconds / 3600:.1f} hours on {made.get('hardware', 'hardware that was not noted')}; "
        f"commit {made.get('commit') or 'not noted'}.{_changes(made.get('resumed', []))}"
        + _begun_from(config.train.start_from),
        f"- **Weights**: {parameters:,} parameters, stored in {precision}; the figures are of "
        "the stored weights. Licence: MIT.",
        "- **Not for**: images unlike those it was trained on. "
        + (
            "Its probabilities are not calibrated, and nothing tells it that there is no digit."
            if classifier
            else "Some of its images show nothing that could be named, and its nats compare with "
            "nothing but figures on the same images, made binary in the same way."
        ),
    ]
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(text) + "\n")


def _cell(values: dict[str, Any], kind: str) -> str:
    return f"{values[kind]:.2f}" if kind in values else ""


def _changes(resumed: list[dict[str, Any]]) -> str:
    """What of the training was changed on the way, as a sentence; nothing if nothing was."""
    changed = [
        f"{name.removeprefix('train.')} {new} from step {made['step']:,} on"
        for made in resumed
        for name, (_, new) in made["changes"].items()
        if name.startswith("train.")
    ]
    return f" Changed on the way: {', '.join(changed)}." if changed else ""


def _begun_from(start: str | None) -> str:
    if start is None:
        return ""
    return (
        f" It began from the weights of `{_command(start)}` as they were at that commit; steps and "
        "hours of these are not counted."
    )


def _command(command: str) -> str:
    """A command without the folders of the machine it ran on: of a path the last name stays."""
    return re.sub(r"(?<=[\s='\"])[/~][^\s'\"]*/(?=[^\s'\"])", "", command)


def what(config: Config) -> str:
    """What a model is, in a few words."""
    shape = f"{config.model.rows}x{config.model.columns}x{config.model.channels}"
    if isinstance(config.model, DRAWConfig):
        return f"draws {config.data.name} images of {shape} in {config.model.glimpses} steps"
    return f"classifies {config.data.name} images of {shape}"


def listed() -> list[dict[str, Any]]:
    """The models that come with the package, from their cards."""
    found = []
    for name, folder in shipped().items():
        loaded = load_model(str(folder))
        results = ModelCard.load(folder / CARD_FILE).data.eval_results or []
        test = {r.metric_type: r.metric_value for r in results if r.dataset_split == "test"}
        score = f"{test['bound']:.2f} nats" if "bound" in test else f"{test['error']:.2f} % wrong"
        assert loaded.data is not None  # `export` writes it
        config = Config(preset=name, model=loaded.model.config, data=loaded.data)
        parameters = sum(parameter.numel() for parameter in loaded.model.parameters())
        found.append(
            {"name": name, "what": what(config), "parameters": parameters, "test": score, **test}
        )
    return found
