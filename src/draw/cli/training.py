"""The verb train, with a preset or going on with a run."""

import dataclasses
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import tyro
from tyro.conf import Positional, arg

from draw.cli.brief_help import HELP, HELP_ALL, brief
from draw.cli.options import RunOptions, check_option, words_apart_from, write_result
from draw.cli.own_parts import own_parts
from draw.config.compute import ComputeConfig
from draw.config.data import DataConfig, Mode
from draw.config.model import refuse_without_effect
from draw.config.presets import PRESETS
from draw.config.run import Config
from draw.console import VisibleConsole
from draw.errors import DrawError, did_you_mean

First = TypeVar("First")

OLD_FLAGS = {
    "--model.kernel": "--backend (what was fused is cpp on a CPU and graph on a GPU)",
    "--train.precision": "--precision",
}
"""What was part of a model and of its training, and is now how to run it."""


def train(
    preset: Positional[
        Literal[
            "digits",
            "mnist",
            "mnist-80",
            "mnist-plus",
            "mnist-no-attention",
            "mnist-conv",
            "mnist-class",
            "mnist-small",
            "mnist-convnet",
            "cluttered",
            "cluttered-4",
            "cluttered-convnet",
            "two-digits",
            "svhn",
            "cifar10",
            "cifar10-conv",
            "chars74k",
            "images",
        ]
    ],
    options: Annotated[RunOptions, arg(name="")],
    resume: Path | None = None,
    config: Path | None = None,
) -> None:
    """Train a model: draw train PRESET [overrides], or --resume RUN.

    Every field of the config can be overridden; `draw train PRESET --help` lists the common ones
    with the preset's values, `--help-all` every one. Ctrl-C saves, and says how to go on. At the
    end the test bound is printed, and samples.png, generation.gif, reconstructions.png and
    curves.png are in the run folder; of a classifier, the test error, glimpses.png and curves.png.

    For example:

    draw train mnist-small --data.path FOLDER-OF-PARQUET-FILES

    draw train mnist --model.glimpses 32 --train.learning-rate 3e-4 --out runs/mnist-32

    draw train images --data.path PICTURES --data.size 32 --data.mode colour

    draw train mnist-small --seeds 3

    draw train cluttered --model.glimpses 6 --data.path FOLDER-OF-PARQUET-FILES

    torchrun --nproc-per-node 2 -m draw train mnist

    Args:
        preset: digits (a minute, no network), mnist and mnist-no-attention (the paper's), mnist-80
            (mnist from nothing to 80.77 nats: 2.5 hours on 2 cores), mnist-plus (the model mnist
            trained on with a learned prior), mnist-conv and cifar10-conv
            (convolutional DRAW: minutes of a GPU, hours of a CPU), mnist-class (told the digit),
            mnist-small (half an hour on 2 cores), mnist-convnet (it classifies, and judges
            drawings), cluttered, cluttered-4 and cluttered-convnet (the paper's Table 1: they
            classify), two-digits (on one canvas, as in the paper), svhn and cifar10 (the paper's,
            in colour), chars74k (letters in streets, in colour), images (your own pictures).
        options: where the run and its result go.
        resume: go on with a run folder, or from one of its checkpoint files; with --seeds, with
            all run folders NAME-seed-0 and so on, those that are not there yet included.
        config: a run.json, or a run folder with one; its config takes the place of a preset.
    """


def run_train(arguments: list[str]) -> None:
    """Parse and run `train`, whose defaults depend on the preset, or on the run to go on with."""
    if not arguments[0].startswith("-"):
        name, rest = arguments[0], arguments[1:]
        if name not in PRESETS:
            near = did_you_mean(name, PRESETS)
            raise DrawError(f"expected a preset ({', '.join(PRESETS)}), got {name!r}{near}")
        for flag in ("--config", "--resume"):
            if _asks_for(flag, rest):
                raise DrawError(
                    f"expected a preset or {flag}, got {name} and {flag}; leave one out"
                )
        given = _asks_for("--model.classes", rest)
        _start(f"draw train {name}", PRESETS[name](), rest, classes_given=given)
    elif HELP_ALL in arguments[:1]:
        raise DrawError(f"expected a preset, as in draw train mnist {HELP_ALL}, got none")
    elif _asks_for("--config", arguments):
        where, rest = _parse_first(_FromFile, arguments)
        defaults = _config_in(where.config)
        _start(f"draw train --config {where.config}", defaults, rest, classes_given=True)
    elif not _asks_for("--resume", arguments):
        flag = arguments[0].partition("=")[0]
        near = did_you_mean(flag, ("--resume", "--config", HELP_ALL))
        raise DrawError(
            f"expected a preset first, as in draw train mnist {flag} ..., or --resume RUN or "
            f"--config FILE, got {flag}{near}"
        )
    else:
        where_from, rest = _parse_first(_Resume, arguments)
        _resume(where_from.resume, rest)


@dataclasses.dataclass(frozen=True)
class _FromFile:
    config: Path


@dataclasses.dataclass(frozen=True)
class _Resume:
    resume: Path


def _parse_first(kind: type[First], arguments: list[str]) -> tuple[First, list[str]]:
    """The option that says what a training begins with, and the other arguments."""
    return tyro.cli(
        kind, prog="draw train", args=arguments, return_unknown_args=True, add_help=False
    )


def _config_in(file: Path) -> Config:
    """The config in a run.json, or in that of a run folder."""
    from draw.models.kinds import configs
    from draw.runs.paths import RUN_FILE, read_config_file

    return read_config_file(file / RUN_FILE if file.is_dir() else file, configs())


def _start(program: str, defaults: Config, arguments: list[str], *, classes_given: bool) -> None:
    """Train a new run, or with --dry-run say what it would be."""
    config, options = _parse_new(program, defaults, arguments)
    check_option("options", RunOptions, options)
    run = options.out or Path("runs") / Path(config.preset).name
    from draw.data import load_splits, view_of
    from draw.data.load import check_boxes
    from draw.training.classes import with_classes_of
    from draw.training.finish import finish
    from draw.training.image_check import check_images
    from draw.training.origin import check_sizes
    from draw.training.rehearsal import rehearse
    from draw.training.restart import is_restart, start_or_go_on
    from draw.training.seeds import check_alone, check_new, runs_with_seeds, train_seeds
    from draw.training.start import refuse_existing

    if options.dry_run and options.seeds is not None:
        raise DrawError("expected --dry-run or --seeds, got both; leave --seeds out")
    if options.seeds is not None:
        check_alone(options.seeds)
        check_new(runs_with_seeds(config, run, options.seeds))
    elif not is_restart(run):
        refuse_existing(run)
    own = config.data.name == "images"
    if own:
        config = dataclasses.replace(config, data=_settle_images(config.data))
    view = view_of(config.data)
    config = config.with_model_following_data(view.image_shape if view else None)
    check_sizes(config)
    check_boxes(config.data)
    splits = load_splits(config.data)
    config = with_classes_of(config, splits, given=classes_given)
    check_images(config, splits.train, splits.validation, splits.test)
    with words_apart_from(options.json):
        if options.dry_run:
            result = rehearse(config, run, splits.train, splits.validation)
        elif options.seeds is None:
            trainer = start_or_go_on(config, run, splits.train, splits.validation, timed=own)
            result = finish(trainer, splits.test)
        else:
            result = train_seeds(runs_with_seeds(config, run, options.seeds), splits, run)
    write_result(options.json, result)


def _resume(path: Path, arguments: list[str]) -> None:
    """Go on with a run, or with runs of several seeds."""
    from draw.data import load_splits
    from draw.training.finish import finish
    from draw.training.image_check import check_images
    from draw.training.restart import go_on, is_restart
    from draw.training.seeds import check_alone, check_fit, first_run, runs_with_seeds, train_seeds
    from draw.training.start import resume, resumed_config, run_of

    several = _asks_for("--seeds", arguments)
    run = first_run(path) if several else run_of(path)
    before = resumed_config(run)
    after, options = _parse_config(f"draw train --resume {path}", before, arguments)
    check_option("options", RunOptions, options)
    if options.out is not None:
        raise DrawError(f"expected no --out with --resume: the run goes on in {run}")
    if options.dry_run:
        raise DrawError("expected no --dry-run with --resume, which goes on with what is there")
    config = resumed_config(run, after)
    if options.seeds is not None:
        check_alone(options.seeds)
        runs = runs_with_seeds(config, path, options.seeds)
        check_fit(runs)
    splits = load_splits(config.data)
    check_images(config, splits.train, splits.validation, splits.test)
    with words_apart_from(options.json):
        if options.seeds is not None:
            result: dict[str, Any] | None = train_seeds(runs, splits, path, going_on=True)
        elif is_restart(run):
            result = finish(go_on(config, run, splits.train, splits.validation), splits.test)
        else:
            trainer = resume(config, path, splits.train, splits.validation)
            result = finish(trainer, splits.test)
    write_result(options.json, result)


def _asks_for(flag: str, arguments: list[str]) -> bool:
    return any(argument.partition("=")[0].replace("_", "-") == flag for argument in arguments)


def _parse_new(program: str, defaults: Config, arguments: list[str]) -> tuple[Config, RunOptions]:
    """The config of a new run, with the fields that the command line overrides.

    With train.start_from, what is not given is as in the model to start from.
    """
    config, options = _parse_config(program, defaults, arguments)
    if config.train.start_from in (None, defaults.train.start_from):
        return config, options
    from draw.training.origin import with_sizes_of

    return _parse_config(program, with_sizes_of(defaults, config.train.start_from), arguments)


def _parse_config(
    program: str, defaults: Config, arguments: list[str]
) -> tuple[Config, RunOptions]:
    """A config with the fields that the command line overrides.

    Raises:
        DrawError: for a flag of an older version, with the one in its place, or for options of
            which each would decide the same.
    """
    from draw.training.pace import choose_length

    for argument in arguments:
        name = argument.partition("=")[0].replace("_", "-")
        if name in OLD_FLAGS:
            raise DrawError(f"expected {OLD_FLAGS[name]}, got {name}, which is its old name")
    shown, arguments = _shown(defaults, arguments)
    command = config_command(shown)
    preset = PRESETS.get(defaults.preset)
    description = "" if preset is None else preset.__doc__ or ""
    if shown is not defaults:
        description += f"\n\nThe common options; {HELP_ALL} lists every one."
    with warnings.catch_warnings():
        # A part that somebody added to its table and not to the Literal of the config.
        warnings.filterwarnings("ignore", "The field `.* is annotated with", UserWarning)
        config, options = tyro.cli(
            command, prog=program, description=description, args=arguments, registry=own_parts()
        )
    names = [f"{part}.{field.name}" for part in ("model", "train") for field in
             dataclasses.fields(getattr(config, part))]  # fmt: skip
    flags = {name: f"--{name.replace('_', '-')}" for name in names}
    given = [name for name, flag in flags.items() if _asks_for(flag, arguments)]
    refuse_without_effect(config.model, given)
    return choose_length(config, given, options.seeds), options


def config_command(defaults: Config) -> Callable[..., tuple[Config, RunOptions]]:
    """Make a function of the parts of a config, of which tyro makes options.

    Args:
        defaults: config whose values the options have by default.
    """
    kinds = [type(defaults.model), type(defaults.data), type(defaults.train)]

    def command(
        model: kinds[0] = defaults.model,  # type: ignore[valid-type]
        data: kinds[1] = defaults.data,  # type: ignore[valid-type]
        train: kinds[2] = defaults.train,  # type: ignore[valid-type]
        compute: Annotated[ComputeConfig, arg(name="")] = defaults.compute,
        options: Annotated[RunOptions, arg(name="")] = RunOptions(),  # noqa: B008
    ) -> tuple[Config, RunOptions]:
        return Config(defaults.preset, model, data, train, compute), options

    return command


def _shown(defaults: Config, arguments: list[str]) -> tuple[Config, list[str]]:
    """The config whose fields the help lists, and the arguments that tyro knows."""
    if HELP_ALL in arguments:
        return defaults, ["--help"]
    if not {*HELP} & {*arguments}:
        return defaults, arguments
    parts = {name: brief(getattr(defaults, name)) for name in ("model", "data", "train")}
    return dataclasses.replace(defaults, **parts), arguments


def _settle_images(config: DataConfig) -> DataConfig:
    """Ask for the size and mode of somebody's own pictures, or say which flags choose them."""
    from draw.data import suggest

    if config.path is None:
        raise DrawError("expected a folder of pictures; pass --data.path FOLDER")
    if config.size is not None and config.mode is not None:
        return config
    found = suggest(config.path)
    sizes = ", ".join(f"{rows}x{columns} ({count})" for rows, columns, count in found.sizes[:3])
    summary = f"{config.path}: {found.count} pictures, {found.mode}, rows x columns {sizes}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise DrawError(
            f"expected --data.size and --data.mode, which decide the shape of the model; "
            f"{summary}. For example: --data.size 32 --data.mode {found.mode}"
        )
    from rich.prompt import IntPrompt, Prompt

    console = VisibleConsole(stderr=True)
    console.print(summary)
    size = config.size or (
        IntPrompt.ask("Side of the images in pixels (--data.size)", default=32, console=console),
    )
    mode: Any = config.mode or Prompt.ask(
        "grey or colour (--data.mode)",
        choices=[*get_args(Mode)],
        default=found.mode,
        console=console,
    )
    return dataclasses.replace(config, size=size, mode=mode)
