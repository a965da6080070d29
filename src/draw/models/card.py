"""The card of an exported model, and what the cards of the package's own models say."""

import shlex
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from draw.config.compute import StoredType
from draw.config.run import Config, Weights
from draw.data import KNOWN_SETS, Splits
from draw.model.pretrained import Model, shipped_models
from draw.models.kinds import task_for, task_of
from draw.models.storage import load_model
from draw.runs.checkpoint import METRICS_FILE
from draw.runs.metrics import read_metrics, seconds_in
from draw.runs.paths import RUN_FILE
from draw.runs.run_file import read_values
from draw.tasks.drawing import CROSS_ENTROPY
from draw.terminal import one_line, visible

CARD_FILE = "README.md"


def make_card(
    run: Path,
    config: Config,
    model: Model,
    splits: Splits,
    figures: dict[str, dict[str, Any]],
    name: str,
    dtype: StoredType,
    step: int | None = None,
    which: Weights = "best",
) -> ModelCard:
    """Write a model card: what a model is, how it was made, what it does, and what it is not for.

    Args:
        run: the run folder.
        config: config of the run.
        model: the model with the exported weights.
        splits: images that the model was trained on.
        figures: results of the evaluation on validation and test images, by split.
        name: name of the model.
        dtype: type of the weights in the file.
        step: training step of the weights, if it is known.
        which: choice among the run's weights.
    """
    name = one_line(name)
    known = KNOWN_SETS[config.data.name]
    task = task_for(replace(config, model=model.config))
    words_for = {
        kind: words.format(**figures["test"])
        for kind, words in task.figures(splits.train).items()
        if kind in figures["test"]
    }
    results = [
        EvalResult(
            task_type=task.hub_task,
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
    command = made.get("command") or f"draw train {config.preset}"
    lines = read_metrics(run / METRICS_FILE)
    seconds = seconds_in(lines)
    steps = max((line["step"] for line in lines), default=config.train.steps)
    rows = [
        f"| {_in_table(words)} | {_cell(figures['validation'], kind)} "
        f"| {_cell(figures['test'], kind)} |"
        for kind, words in words_for.items()
    ]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    picture = [] if task.card_picture is None else [f"![]({task.card_picture})", ""]
    text = [
        f"# {name}",
        "",
        f"A model that {task.what}, for `draw` (Gregor et al. 2015, DRAW).",
        "",
        *picture,
        f"| | validation ({splits.validation.count:,}) | test ({splits.test.count:,}) |",
        "|---|---|---|",
        *rows,
        "",
        f"- **Data**: {_described(config.data.name)}. {splits.train.count:,} images for "
        f"training{_augmented(config.data.augment or ())}. Licence of the data: "
        f"{_licence(config.data.name)}.",
        f"- **Training**: `{_command(command, local=_is_local(config.data.path))}`, seed "
        f"{config.train.seed}, {steps:,} steps of {config.train.batch_size} images, "
        f"{seconds / 3600:.1f} hours on {made.get('hardware', 'hardware that was not noted')}; "
        f"commit {made.get('commit') or 'not noted'}.{_changes(made)}"
        + _begun_from(config.train.start_from)
        + _other_glimpses(config, model),
        *(f"- **{title}**: {words}." for title, words in task.remarks(model, splits.train).items()),
        f"- **Weights**: {'' if step is None else f'those of step {step:,}, the {which}; '}"
        f"{parameters:,} parameters, stored in {dtype}; the figures are of the stored weights. "
        "Licence: MIT.",
        f"- **Not for**: images unlike those it was trained on. {task.not_for}",
    ]
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + visible("\n".join(text)) + "\n")


def _described(name: str) -> str:
    """What a data set is, for whoever is given the model: `images` are its maker's, not theirs."""
    if name == "images":
        return "pictures chosen by whoever trained it"
    return f"{name}: {KNOWN_SETS[name].description}"


def _licence(name: str) -> str:
    return "not known here; ask them" if name == "images" else KNOWN_SETS[name].licence


def _is_local(path: str | None) -> bool:
    """Whether the path in a run's config is one of this machine, not a name on the Hub."""
    return path is not None and PurePath(path).is_absolute()


def _in_table(words: str) -> str:
    """Words in a cell of a table, where a bar would end it."""
    return words.replace("|", "\\|")


def _cell(values: dict[str, Any], kind: str) -> str:
    return f"{values[kind]:.2f}" if kind in values else ""


def _augmented(names: tuple[str, ...]) -> str:
    return f", each time changed a little ({', '.join(names)})" if names else ""


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
        f" It began from the weights of `{_without_folders(start)}` as they were at that commit; "
        "steps and hours of these are not counted."
    )


def _other_glimpses(config: Config, model: Model) -> str:
    trained, stored = (getattr(one, "glimpses", None) for one in (config.model, model.config))
    if trained == stored:
        return ""
    return f" It was trained for {trained} glimpses, and is stored for {stored}."


def _command(command: str, *, local: bool = False) -> str:
    """A command without the folders of the machine it ran on: of a path the last name stays.

    Args:
        command: the command, as in a shell.
        local: whether its --data.path is one of the machine, so that a relative one is cut too.
    """
    try:
        words = shlex.split(command)
    except ValueError:  # somebody wrote it, not a shell
        return "a command that cannot be read"
    hidden = ("--data.cache-dir", *(["--data.path"] if local else []))
    for at, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option.replace("_", "-") not in hidden:
            continue
        if equals:
            words[at] = f"{option}={PurePath(value).name or value}"
        elif at + 1 < len(words):
            words[at + 1] = PurePath(words[at + 1]).name or words[at + 1]
    return shlex.join(_without_folders(word) for word in words)


def _without_folders(word: str) -> str:
    """A word of a command, or what follows its =, of which only the last name stays of a path."""
    if word.startswith(("/", "~", "./", "../")):
        return PurePath(word).name or word
    option, equals, value = word.partition("=")
    return option + equals + _without_folders(value) if equals else word


def list_models() -> list[dict[str, Any]]:
    """List the models that come with the package, from their cards."""
    found = []
    for name, folder in shipped_models().items():
        loaded = load_model(str(folder))
        results = ModelCard.load(folder / CARD_FILE).data.eval_results or []
        results = [result for result in results if result.dataset_split == "test"]
        test = {result.metric_type: result.metric_value for result in results}
        task = task_of(loaded.model.config, loaded.data)
        score = task.format_score(test[task.score])
        if any(CROSS_ENTROPY in str(result.metric_name) for result in results):
            score += f" ({CROSS_ENTROPY})"
        parameters = sum(parameter.numel() for parameter in loaded.model.parameters())
        found.append(
            {"name": name, "what": task.what, "parameters": parameters, "test": score, **test}
        )
    return found
