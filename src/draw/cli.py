"""The command line: verbs only. Heavy imports are inside them, so that --help is quick."""

import dataclasses
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional, arg

from draw.config import Config, DataConfig, DRAWConfig, TrainConfig
from draw.errors import DrawError, Interrupted
from draw.presets import PRESETS

if TYPE_CHECKING:
    from draw.checkpoint import LoadedModel
    from draw.data import ImageSet, Report

DESCRIPTION = """DRAW (Gregor et al. 2015): train a network that draws images step by step.

  draw train digits              two minutes, no network needed
  draw sample runs/digits        new images, as a grid
  draw animate runs/digits       the canvas growing, as a GIF
  draw train images --data.path FOLDER --data.size 32 --data.mode colour

MODEL is a run folder (runs/digits), an exported folder, or owner/name on the Hub. All losses are in
nats per image. The same seed gives the same picture."""

Split = Literal["train", "validation", "test"]


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Which model, and what every verb that uses one can do."""

    model: Positional[str]
    """Run folder, exported folder, or owner/name on the Hub."""
    weights: Literal["best", "last"] = "best"
    """Of a run: those with the lowest validation bound, or the last ones."""
    seed: int = 0
    """The same seed gives the same result."""
    json: Annotated[str | None, arg(metavar="FILE")] = None
    """Also write the result as JSON to this file (- for standard output)."""


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Which images, where a verb looks at some."""

    split: Split = "test"
    """Which part of the data set."""
    name: Annotated[str | None, arg(name="data.name")] = None
    """Another data set than the model was trained on; see draw data list."""
    path: Annotated[str | None, arg(name="data.path")] = None
    """Another folder or Hub name than the model was trained on."""


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Where a run and its result go."""

    out: Path | None = None
    """The run folder; by default runs/PRESET. One that exists is never overwritten."""
    json: Annotated[str | None, arg(metavar="FILE")] = None
    """Also write the result as JSON to this file (- for standard output)."""


def train(
    preset: Positional[Literal["digits", "mnist", "mnist-no-attention", "mnist-small", "images"]],
    options: OmitArgPrefixes[RunOptions],
    resume: Path | None = None,
) -> None:
    """Train a model: draw train PRESET [overrides], or draw train --resume RUN [overrides].

    Every field of the config can be overridden; `draw train PRESET --help` lists them with the
    preset's values. Ctrl-C saves, and says how to go on. At the end the test bound is printed, and
    samples.png, generation.gif, reconstructions.png and curves.png are in the run folder.

    Examples:
    draw train mnist-small --data.path FOLDER-OF-PARQUET-FILES

    draw train mnist --model.glimpses 32 --train.learning-rate 3e-4 --out runs/mnist-32

    draw train images --data.path PICTURES --data.size 32 --data.mode colour

    torchrun --nproc-per-node 2 -m draw train mnist

    Args:
        preset: digits (2 minutes, no network), mnist and mnist-no-attention (the paper's),
            mnist-small (half an hour on 2 cores), images (your own pictures).
        options: where the run and its result go.
        resume: go on with a run folder, or from one of its checkpoint files.
    """


def _train(arguments: list[str]) -> None:
    """What `train` stands for: its defaults depend on the preset, or on the run to go on with."""
    name, rest = arguments[0], arguments[1:]
    if name.startswith("-"):
        _resume(arguments)
        return
    if name not in PRESETS:
        raise DrawError(f"expected a preset ({', '.join(PRESETS)}), got {name!r}")
    config, options = _parse_config(f"draw train {name}", PRESETS[name](), rest)
    run = options.out or Path("runs") / name
    from draw.data import load_splits
    from draw.runs import finish, refuse_existing, start

    refuse_existing(run)
    if config.data.name == "images":
        config = dataclasses.replace(config, data=_settle_images(config.data))
    config = config.with_model_following_data()
    splits = load_splits(config.data)
    trainer = start(config, run, splits.train, splits.validation)
    _write_result(options.json, finish(trainer, splits.test))


def _resume(arguments: list[str]) -> None:
    @dataclasses.dataclass
    class Resume:
        resume: Path

    where, rest = tyro.cli(
        Resume, prog="draw train", args=arguments, return_unknown_args=True, add_help=False
    )
    from draw.data import load_splits
    from draw.runs import finish, resume, resumed_config, run_of

    run = run_of(where.resume)
    before = resumed_config(run)
    after, options = _parse_config(f"draw train --resume {where.resume}", before, rest)
    if options.out is not None:
        raise DrawError(f"expected no --out with --resume: the run goes on in {run}")
    config = resumed_config(run, after)
    splits = load_splits(config.data)
    trainer = resume(config, where.resume, splits.train, splits.validation)
    _write_result(options.json, finish(trainer, splits.test))


def _parse_config(
    program: str, defaults: Config, arguments: list[str]
) -> tuple[Config, RunOptions]:
    """A config with the fields that the command line overrides."""

    def command(
        model: DRAWConfig = defaults.model,
        data: DataConfig = defaults.data,
        train: TrainConfig = defaults.train,
        options: OmitArgPrefixes[RunOptions] = RunOptions(),
    ) -> tuple[Config, RunOptions]:
        return Config(defaults.preset, model, data, train), options

    preset = PRESETS.get(defaults.preset)
    description = None if preset is None else preset.__doc__
    return tyro.cli(command, prog=program, description=description, args=arguments)


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
    from rich.console import Console
    from rich.prompt import IntPrompt, Prompt

    console = Console(stderr=True)
    console.print(summary, highlight=False)
    size = config.size or (
        IntPrompt.ask("Side of the images in pixels (--data.size)", default=32, console=console),
    )
    mode: Any = config.mode or Prompt.ask(
        "grey or colour (--data.mode)",
        choices=["grey", "colour"],
        default=found.mode,
        console=console,
    )
    return dataclasses.replace(config, size=size, mode=mode)


def sample(
    options: OmitArgPrefixes[ModelOptions],
    n: int = 64,
    out: Path = Path("samples.png"),
    nearest: bool = False,
) -> None:
    """Draw new images, as a grid (figure 6).

    Args:
        options: which model.
        n: how many.
        out: picture to write (.png or .webp).
        nearest: show the nearest training images (L2) beside the last column.
    """
    from draw.report import nearest_in_training
    from draw.visualize import last_column, sample_grid

    loaded = _load(options)
    images = loaded.model.generate(n, seed=options.seed).images[-1].cpu()
    result = {"model": loaded.source, "seed": options.seed, "images": n, "picture": str(out)}
    neighbours = None
    if nearest:
        training = _images(loaded, DataOptions("train"))[0]
        neighbours, numbers, distances = nearest_in_training(last_column(images), training)
        result["nearest"] = {"numbers": numbers.tolist(), "distances": distances.tolist()}
    sample_grid(images, out, neighbours=neighbours)
    _done(out, options.json, result)


def reconstruct(
    options: OmitArgPrefixes[ModelOptions],
    data: OmitArgPrefixes[DataOptions],
    n: int = 6,
    out: Path = Path("reconstructions.png"),
) -> None:
    """Draw given images anew, with the read window (green) and the write window (red).

    Args:
        options: which model.
        data: which images.
        n: how many images, evenly from the split.
        out: .png or .webp for steps side by side; .gif or .mp4 for an animation.
    """
    from draw.evaluate import evaluation_images
    from draw.report import spread
    from draw.visualize import animate as animation
    from draw.visualize import reconstruction_strip

    loaded = _load(options)
    images, dynamic = _images(loaded, data)
    numbers = spread(images.count, n)
    x = evaluation_images(images.images, numbers, dynamic, options.seed)
    x = x.to(loaded.model.canvas_0.device)
    noise = loaded.model.noise_for(len(x), options.seed)
    output = loaded.model(x, noise)
    trajectory = loaded.model.reconstruct(x, noise)
    read_size, write_size = loaded.model.config.window_sizes
    if out.suffix.lower() in (".gif", ".mp4"):
        animation(trajectory, out, write_size=write_size, read_size=read_size, images=x)
    else:
        reconstruction_strip(x, trajectory, out, read_size=read_size, write_size=write_size)
    losses = zip(
        numbers.tolist(),
        output.bound.tolist(),
        output.reconstruction.tolist(),
        output.kl.tolist(),
        strict=True,
    )
    result = {
        "model": loaded.source,
        "split": data.split,
        "seed": options.seed,
        "picture": str(out),
        "images": [
            {"number": number, "bound": bound, "reconstruction": reconstruction, "kl": kl}
            for number, bound, reconstruction, kl in losses
        ],
    }
    _done(out, options.json, result)


def animate(
    options: OmitArgPrefixes[ModelOptions], n: int = 16, out: Path = Path("generation.gif")
) -> None:
    """Show images being drawn step by step, with the write window (figures 7 and 10).

    Args:
        options: which model; its JSON has the windows of every step, in pixels counted from 1.
        n: how many images.
        out: .gif, .webp or .mp4 for an animation; .png for steps side by side.
    """
    from draw.visualize import animate as animation
    from draw.visualize import generation_strip

    loaded = _load(options)
    trajectory = loaded.model.generate(n, seed=options.seed)
    write_size = loaded.model.config.window_sizes[1]
    if out.suffix.lower() == ".png":
        generation_strip(trajectory, out, write_size=write_size)
    else:
        animation(trajectory, out, write_size=write_size)
    result: dict[str, Any] = {
        "model": loaded.source,
        "seed": options.seed,
        "images": n,
        "picture": str(out),
    }
    if trajectory.write_windows is not None:
        windows = trajectory.write_windows._asdict().items()
        result["write_windows"] = {name: value.mT.tolist() for name, value in windows}
    _done(out, options.json, result)


def evaluate(
    options: OmitArgPrefixes[ModelOptions],
    data: OmitArgPrefixes[DataOptions],
    importance_samples: int = 0,
    batch_size: int = 250,
    precision: Literal["auto", "fp32", "bf16"] = "fp32",
) -> None:
    """Measure the bound in nats on every image of a split, each exactly once.

    Args:
        options: which model.
        data: which images.
        importance_samples: K samples per image for the importance-weighted estimate of -log p(x),
            which takes K times as long; 0 leaves it out.
        batch_size: images at a time; changes speed and memory, not the result.
        precision: of the matrix products.
    """
    from draw.report import evaluate_with_progress
    from draw.tables import print_evaluation
    from draw.train import make_accelerator

    _at_least(("--importance-samples", importance_samples, 0), ("--batch-size", batch_size, 1))
    accelerator = make_accelerator(precision)
    loaded = _load(options)
    images, dynamic = _images(loaded, data)
    result = evaluate_with_progress(
        loaded.model.to(accelerator.device),
        images,
        accelerator,
        dynamic=dynamic,
        batch_size=batch_size,
        importance_samples=importance_samples,
        seed=options.seed,
    )
    if not accelerator.is_main_process:
        return
    values = {
        "model": loaded.source,
        "weights": loaded.state,
        "data": images.source,
        "split": data.split,
        "binarization": "static" if images.binary else "dynamic" if dynamic else "none",
        "precision": precision,
        "seed": options.seed,
        **dataclasses.asdict(result),
    }
    print_evaluation(f"{loaded.source}\n{data.split} images of {images.source}", result)
    _write_result(options.json, values)


def info(options: OmitArgPrefixes[ModelOptions]) -> None:
    """Say what a model is: shape, parameters, data, training, and how far it got.

    Args:
        options: which model.
    """
    from draw.tables import print_values

    loaded = _load(options)
    values: dict[str, Any] = {
        "source": loaded.source,
        "parameters": sum(p.numel() for p in loaded.model.parameters()),
        "device": str(loaded.model.canvas_0.device),
        **{name: v for name, v in loaded.state.items() if isinstance(v, int | float)},
        "model": dataclasses.asdict(loaded.model.config),
    }
    if loaded.data is not None:
        values["data"] = dataclasses.asdict(loaded.data)
    if loaded.config is not None:
        values["train"] = dataclasses.asdict(loaded.config.train)
    print_values(values)
    _write_result(options.json, values)


def data_list(
    cache_dir: str | None = None, json: Annotated[str | None, arg(metavar="FILE")] = None
) -> None:
    """List the data sets known by name, and which are ready to use.

    Args:
        cache_dir: folder of decoded images; by default ~/.cache/draw.
        json: also write the list as JSON to this file (- for standard output).
    """
    from draw.data import describe
    from draw.tables import print_data_sets

    listed = describe(cache_dir)
    print_data_sets(listed)
    _write_result(json, [dataclasses.asdict(one) for one in listed])


def data_prepare(
    name: Positional[str] = "images",
    data: Annotated[DataConfig, arg(name="data")] = DataConfig(),  # noqa: B008
    json: Annotated[str | None, arg(metavar="FILE")] = None,
) -> None:
    """Fetch and decode a data set now, so that training starts at once and needs no network.

    Args:
        name: a data set that draw data list names, or images with --data.path for your own.
        data: how the images are made to fit.
        json: also write the report as JSON to this file (- for standard output).
    """
    from draw.data import prepare

    _report(prepare(dataclasses.replace(data, name=name)), json)


def data_check(
    name: Positional[str] = "images",
    data: Annotated[DataConfig, arg(name="data")] = DataConfig(),  # noqa: B008
    json: Annotated[str | None, arg(metavar="FILE")] = None,
) -> None:
    """Verify a data set: checksums, sizes, modes, splits, test images that are also in training.

    Args:
        name: a data set that draw data list names, or images with --data.path for your own.
        data: how the images are made to fit.
        json: also write the report as JSON to this file (- for standard output).
    """
    from draw.data import check

    report = check(dataclasses.replace(data, name=name))
    _report(report, json)
    if report.problems:
        raise DrawError("; ".join(report.problems))


def _report(report: "Report", json_file: str | None) -> None:
    from draw.tables import print_data_report

    print_data_report(report)
    _write_result(json_file, dataclasses.asdict(report))


def _load(options: ModelOptions) -> "LoadedModel":
    """A model on the fastest device of this computer."""
    import torch

    from draw.checkpoint import load_model

    _at_least(("--seed", options.seed, 0))
    loaded = load_model(options.model, options.weights)
    loaded.model.requires_grad_(False)
    loaded.model.to(torch.accelerator.current_accelerator() or torch.device("cpu"))
    return loaded


def _images(loaded: "LoadedModel", options: DataOptions) -> "tuple[ImageSet, bool]":
    """Images of the model's data set or of another, and whether to binarize them."""
    from draw.data import load_images

    before = loaded.data or DataConfig()
    if loaded.data is None and options.name is None:
        raise DrawError(
            f"{loaded.source} does not say what it was trained on; pass --data.name (see draw data "
            "list) and, where the images are local, --data.path"
        )
    if options.name is None or options.name == before.name:
        config = dataclasses.replace(before, path=options.path or before.path)
    else:
        config = dataclasses.replace(before, name=options.name, path=options.path)
    images = load_images(config, options.split)
    return images, config.binarize == "dynamic" and not images.binary


def _at_least(*checks: tuple[str, int, int]) -> None:
    for name, value, least in checks:
        if value < least:
            raise DrawError(f"expected {name} of at least {least}, got {value}")


def _done(out: Path, json_file: str | None, result: dict[str, Any]) -> None:
    if json_file != "-":
        print(out)
    _write_result(json_file, result)


def _write_result(json_file: str | None, result: Any) -> None:
    from draw.files import write_json

    if json_file is None or result is None:
        return
    if json_file == "-":
        print(json.dumps(result, indent=2, default=str))
    else:
        write_json(Path(json_file), result)


VERBS: dict[str, Callable[..., None]] = {
    "train": train,
    "sample": sample,
    "reconstruct": reconstruct,
    "animate": animate,
    "evaluate": evaluate,
    "info": info,
}
DATA_VERBS: dict[str, Callable[..., None]] = {
    "list": data_list,
    "prepare": data_prepare,
    "check": data_check,
}


def data() -> None:
    """List, prepare or check data sets: draw data list | prepare | check."""


def _dispatch(arguments: list[str]) -> None:
    match arguments:
        case ["train", first, *_] if first not in ("-h", "--help"):
            _train(arguments[1:])
        case ["data", *rest]:
            tyro.extras.subcommand_cli_from_dict(
                DATA_VERBS, prog="draw data", description=data.__doc__, args=rest
            )
        case _:
            tyro.extras.subcommand_cli_from_dict(
                {**VERBS, "data": data}, prog="draw", description=DESCRIPTION, args=arguments
            )


def main() -> None:
    """Run one command; a mistake or mishap is told on standard error, with exit status 1."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("draw").setLevel(logging.INFO)
    try:
        _dispatch(sys.argv[1:])
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
    except (DrawError, OSError) as error:
        print(f"draw: {error}", file=sys.stderr)
        sys.exit(1)
