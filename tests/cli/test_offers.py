"""What a function of Python can be told, its verb can be told too, or it is written why not."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from draw import DRAW
from draw.cli import VERBS
from draw.measure.accuracy import measure_accuracy
from draw.measure.bound import evaluate
from draw.measure.class_share import measure_class_share
from draw.measure.pair_share import measure_pair_share
from draw.models.export import copy_export, export
from draw.visualize.figures import (
    glimpses_figure,
    samples_figure,
    sequence_figure,
    two_digits_figure,
    window_figure,
)
from draw.visualize.run_pictures import glimpses_of
from option_flags import flags_of

BEHIND: dict[str, tuple[Callable[..., Any], ...]] = {
    "sample": (DRAW.generate, samples_figure),
    "animate": (DRAW.generate,),
    "reconstruct": (DRAW.reconstruct,),
    "complete": (DRAW.complete,),
    "glimpses": (glimpses_of,),
    "figure": (
        window_figure,
        glimpses_figure,
        samples_figure,
        sequence_figure,
        two_digits_figure,
    ),
    "evaluate": (evaluate, measure_accuracy),
    "compare": (evaluate, measure_accuracy),
    "judge": (measure_class_share, measure_pair_share),
    "latents": (DRAW.latents,),
    "export": (export, copy_export),
}
"""The functions that do what a verb is for."""
FLAGS = {
    "labels": "--label",
    "refinement_steps": "--refine",
    "glimpses": "--model.glimpses",
    "to": "--out",
    "path": "--out",
    "training": "--data.path",
    "windows": "--window",
    "size": "--filters",
}
"""Flags that are called otherwise than the parameter."""
FROM_ELSEWHERE = {
    "self": "MODEL",
    "model": "MODEL",
    "models": "MODEL, and --without",
    "picture": "IMAGE",
    "run": "MODEL",
    "classifier": "CLASSIFIER",
    "images": "the data set's, --data.path and --split, or pictures that are named",
    "splits": "the data set's",
    "noise": "--seed",
    "dynamic": "the data set's",
    "width": "that of a page",
    "accelerator": "the command's own, from --device",
    "compute": "--device, --backend and --precision",
    "on_progress": "the command's own bar",
}
"""Parameters that are no single flag, and where a verb has them from."""
NOT_OFFERED = {
    ("evaluate", "labels"): "the data set's own",
    ("compare", "labels"): "the data set's own",
    ("latents", "labels"): "the data set's own",
    ("export", "to"): "--to",
    **{
        ("figure", name): "the paper's is as learned; draw sample has it"
        for name in ("label", "guidance", "temperature")
    },
}


def missing(verb: str, function: Callable[..., Any]) -> set[str]:
    """Parameters of the function that the verb has no flag for."""
    flags = {flag.replace("_", "-") for flag, _ in flags_of(VERBS[verb])}
    return {
        name
        for name in inspect.signature(function).parameters
        if name not in FROM_ELSEWHERE
        and (verb, name) not in NOT_OFFERED
        and FLAGS.get(name, f"--{name.replace('_', '-')}") not in flags
        and not (name == "n" and "N" in flags)
    }


@pytest.mark.parametrize("verb", BEHIND)
def test_a_verb_can_be_told_what_its_functions_can(verb: str) -> None:
    assert {function.__name__: missing(verb, function) for function in BEHIND[verb]} == {
        function.__name__: set() for function in BEHIND[verb]
    }


def test_a_parameter_without_a_flag_is_found() -> None:
    def generate(n: int, seed: int = 0, *, temperature: float = 1.0, hue: float = 0.0) -> None:
        """Draw in a colour."""

    assert missing("sample", generate) == {"hue"}
    assert missing("latents", generate) == {"n", "temperature", "hue"}


def test_every_way_of_the_model_to_be_told_what_to_do_has_a_verb() -> None:
    """The public methods that take a seed are what users draw, encode and measure with."""
    asked = {
        name
        for name, method in inspect.getmembers(DRAW, inspect.isfunction)
        if not name.startswith("_") and "seed" in inspect.signature(method).parameters
    }
    behind = {function.__name__ for functions in BEHIND.values() for function in functions}
    assert asked - behind == {"codes", "encode", "noise_for", "preprocess"}


def test_the_exceptions_are_needed() -> None:
    parameters = {
        (verb, name)
        for verb, functions in BEHIND.items()
        for function in functions
        for name in inspect.signature(function).parameters
    }
    assert set(FROM_ELSEWHERE) | set(FLAGS) <= {name for _, name in parameters}
    assert set(NOT_OFFERED) <= parameters
