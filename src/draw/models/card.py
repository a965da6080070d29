"""The card of a model that is given away, and what the cards of the package's own models say."""

import re
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from draw.config.model import DRAWConfig
from draw.config.run import Config
from draw.data import KNOWN_SETS, ImageSet, Splits
from draw.model.draw import DRAW
from draw.model.pretrained import shipped
from draw.models.kinds import Model
from draw.models.load import load_model
from draw.parts.likelihood import bounds_likelihood
from draw.runs.checkpoint import METRICS_FILE
from draw.runs.layout import RUN_FILE
from draw.runs.metrics import read_metrics, seconds_in
from draw.runs.run_file import read_values
from draw.tasks import task_for

CARD_FILE = "README.md"
Precision = Literal["fp32", "fp16", "bf16"]
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
CROSS_ENTROPY = "cross-entropy, no likelihood"
_OF_GREY = {
    "bound": f"bound in nats per image ({CROSS_ENTROPY})",
    "importance_weighted": f"importance-weighted estimate, nats per image ({CROSS_ENTROPY})",
}
"""The words for a Bernoulli of grey or coloured pixels instead."""


def make_card(
    run: Path,
    config: Config,
    model: Model,
    splits: Splits,
    figures: dict[str, dict[str, Any]],
    name: str,
    precision: Precision,
    step: int | None = None,
) -> ModelCard:
    """What a model is, how it was made, what it does, and what it is not for.

    Args:
        run: the run folder.
        config: the run's.
        model: with the weights that are given away.
        splits: the images it was trained on.
        figures: what was measured on validation and test images, by split.
        name: what the model is to be called.
        precision: of the weights in the file.
        step: that the weights are of, if that is known.
    """
    known = KNOWN_SETS[config.data.name]
    likelihood, words_for = _likelihood(config, model, splits.train)
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
        for kind, words in words_for.items()
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
    made = read_values(run / RUN_FILE)[1]
    lines = read_metrics(run / METRICS_FILE)
    seconds = seconds_in(lines)
    steps = max((line["step"] for line in lines), default=config.train.steps)
    rows = [
        f"| {words} | {_cell(figures['validation'], kind)} | {_cell(figures['test'], kind)} |"
        for kind, words in words_for.items()
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
        f"commit {made.get('commit') or 'not noted'}.{_changes(made)}"
        + _begun_from(config.train.start_from),
        *([f"- **Likelihood**: {likelihood}."] if likelihood else []),
        *_parts(model),
        f"- **Weights**: {'' if step is None else f'those of step {step:,}, the best; '}"
        f"{parameters:,} parameters, stored in {precision}; the figures are of the stored weights. "
        "Licence: MIT.",
        "- **Not for**: images unlike those it was trained on. "
        + (
            "Its probabilities are not calibrated, and nothing tells it that there is no digit."
            if classifier
            else "Some of its images show nothing that could be named, and its nats compare with "
            "nothing but figures on the same images, whose pixels were treated in the same way."
        ),
    ]
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(text) + "\n")


def _likelihood(config: Config, model: Model, training: ImageSet) -> tuple[str, dict[str, str]]:
    """What a model's nats mean, and the words for each figure; the former only if it draws."""
    if not isinstance(model, DRAW):
        return "", FIGURES
    words = task_for(config).meaning(training)
    dynamic = config.data.binarize == "dynamic"
    bounds = bounds_likelihood(model.config, binary=training.binary or dynamic)
    return words, FIGURES if bounds else FIGURES | _OF_GREY


def _parts(model: Model) -> list[str]:
    """What a model that draws is made of: its attention, its prior, and what it is told."""
    if not isinstance(model, DRAW):
        return []
    parts = {
        "Attention": model.attention,
        "Prior of each step's code": model.prior,
        "Told beforehand": model.condition,
    }
    lines = [f"- **{title}**: {part.description}." for title, part in parts.items()]
    if model.condition.takes_labels:
        lines[-1] = lines[-1].removesuffix(".") + (
            f", one of {model.config.classes}; the figures are of images with their labels: "
            "-log p(x | class)."
        )
    return lines


def _cell(values: dict[str, Any], kind: str) -> str:
    return f"{values[kind]:.2f}" if kind in values else ""


def _changes(made: dict[str, Any]) -> str:
    """What of the training was changed on the way, as a sentence; nothing if nothing was."""
    changed, hardware = [], made.get("hardware")
    for again in made.get("resumed", []):
        changes = {
            name.removeprefix("train."): new
            for name, (_, new) in again["changes"].items()
            if name.startswith("train.")
        }
        if again.get("hardware", hardware) != hardware:
            changes["hardware"] = hardware = again["hardware"]
        changed += [f"{name} {new} from step {again['step']:,} on" for name, new in changes.items()]
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
    return re.sub(r"(?<=[\s='\"])(?:[/~]|\.\.?/)[^\s'\"]*/(?=[^\s'\"])", "", command)


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
        results = [result for result in results if result.dataset_split == "test"]
        test = {result.metric_type: result.metric_value for result in results}
        score = f"{test['bound']:.2f} nats" if "bound" in test else f"{test['error']:.2f} % wrong"
        if any(CROSS_ENTROPY in str(result.metric_name) for result in results):
            score += f" ({CROSS_ENTROPY})"
        assert loaded.data is not None  # `export` writes it
        config = Config(preset=name, model=loaded.model.config, data=loaded.data)
        parameters = sum(parameter.numel() for parameter in loaded.model.parameters())
        found.append(
            {"name": name, "what": what(config), "parameters": parameters, "test": score, **test}
        )
    return found
