"""Completion by the tab key: scripts for shells that know every verb, preset and option."""

import io
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import FlagCreatePairsOff, arg, subcommand

from draw.cli.training import config_command
from draw.config.presets import PRESETS
from draw.errors import DrawError

SHELLS = "bash", "zsh", "fish"
Switch = Annotated[bool, FlagCreatePairsOff]
"""An option without a value, and without one that says the contrary."""


def completion(
    shell: str,
    verbs: Mapping[str, Callable[..., None]],
    data_verbs: Mapping[str, Callable[..., None]],
) -> str:
    """Make a script that completes what is typed after draw.

    Args:
        shell: one of `SHELLS`.
        verbs: functions of the verbs.
        data_verbs: functions of the verbs of draw data.

    Raises:
        DrawError: if the shell is none of them.
    """
    if shell not in SHELLS:
        came = repr(shell) if shell else "no shell"
        raise DrawError(f"expected --completion {', '.join(SHELLS)}, got {came}")
    nested = {"train": _training(), "data": _choice(data_verbs)}
    with redirect_stdout(io.StringIO()) as script, suppress(SystemExit):
        tyro.cli(_union({**verbs, **nested}), prog="draw", args=["--tyro-print-completion", shell])
    # A description of two lines would be completed as two words.
    lines = script.getvalue().splitlines(keepends=True)
    return "".join(
        line.replace("\\n", " ") if line.startswith("COMPLETION_SPEC = ") else line
        for line in lines
    )


def _training() -> Callable[..., None]:
    """The verb train: a preset with its options, or what stands in the place of a preset."""

    def preset_command(name: str) -> Callable[..., None]:
        kind = Annotated[Any, arg(name="", constructor=config_command(PRESETS[name]()))]

        def command(options: kind, help_all: Switch = False) -> None:
            pass

        return command

    kind = _union({name: preset_command(name) for name in PRESETS})

    def command(
        chosen: Annotated[kind, arg(name="")],  # type: ignore[valid-type]
        resume: Path | None = None,
        config: Path | None = None,
    ) -> None:
        pass

    return command


def _choice(commands: Mapping[str, Callable[..., Any]]) -> Callable[..., None]:
    """A command that is followed by another."""
    kind = _union(commands)

    def command(chosen: Annotated[kind, arg(name="")]) -> None:  # type: ignore[valid-type]
        pass

    return command


def _union(commands: Mapping[str, Callable[..., Any]]) -> Any:
    kinds: list[Any] = [
        Annotated[Any, subcommand(name=name, constructor=command)]
        for name, command in commands.items()
    ]
    return reduce(or_, kinds)
