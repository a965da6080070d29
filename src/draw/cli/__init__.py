"""The command line: verbs only. Heavy imports are inside them, so that --help is quick.

This package alone imports tyro.
"""

import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

import tyro

from draw.cli.compare import compare
from draw.cli.complete import complete
from draw.cli.datasets import data_check, data_list, data_prepare
from draw.cli.judge import judge
from draw.cli.measurement import evaluate, info
from draw.cli.options import with_checks
from draw.cli.page import page
from draw.cli.paper_figures import figure
from draw.cli.publish import export, models
from draw.cli.render import animate, glimpses, reconstruct, sample
from draw.cli.studio import studio
from draw.cli.training import run_train, train
from draw.errors import DrawError, Interruption
from draw.extras import explain_missing
from draw.launch import (
    has_told,
    is_first_process,
    is_to_tell,
    launched_processes,
    lost_process,
)
from draw.terminal import flush, guard, say

DESCRIPTION = """DRAW (Gregor et al. 2015): train a network that draws images step by step.

  draw train digits              a minute, no network needed
  draw sample runs/digits        new images, as a grid
  draw animate runs/digits       the canvas growing, as a GIF
  draw complete runs/digits a.png --mask left     the rest of half a picture, five times
  draw train images --data.path FOLDER --data.size 32 --data.mode colour
  draw studio                    watch models draw, look and train, in the browser
  draw page --to site            the same explained on a page without a server
  draw train cluttered           a classifier that looks where it wants to; draw glimpses shows it

MODEL is a run folder (runs/digits), an exported folder, a name that draw models lists, or
owner/name on the Hub. All losses are in
nats per image, errors of classifiers in %. The same seed gives the same picture."""

VERBS: dict[str, Callable[..., None]] = {
    "train": train,
    **{
        verb.__name__: with_checks(verb)
        for verb in (
            sample,
            reconstruct,
            animate,
            glimpses,
            complete,
            figure,
            evaluate,
            judge,
            compare,
            info,
            export,
            models,
            studio,
            page,
        )
    },
}
DATA_VERBS: dict[str, Callable[..., None]] = {
    "list": with_checks(data_list),
    "prepare": with_checks(data_prepare),
    "check": with_checks(data_check),
}
SHARED_VERBS = {"train", "evaluate"}
"""Verbs that several processes do together; of any other, each would do and write the same."""


def data() -> None:
    """List, prepare or check data sets: draw data list | prepare | check."""


def _refuse_copies(arguments: list[str]) -> None:
    launched = launched_processes()
    alone = {*VERBS, "data"} - SHARED_VERBS
    if launched > 1 and alone & {*arguments[:1]} and not {"-h", "--help"} & {*arguments}:
        raise DrawError(
            f"expected one process for draw {arguments[0]}, got {launched} (WORLD_SIZE); only "
            f"{' and '.join(sorted(SHARED_VERBS))} share their work, start this without a launcher"
        )


def _dispatch(arguments: list[str]) -> None:
    _refuse_copies(arguments)
    match arguments:
        case ["train", first, *_] if first not in ("-h", "--help"):
            run_train(arguments[1:])
        case ["data", *rest]:
            tyro.extras.subcommand_cli_from_dict(
                DATA_VERBS, prog="draw data", description=data.__doc__, args=rest
            )
        case _:
            tyro.extras.subcommand_cli_from_dict(
                {**VERBS, "data": data}, prog="draw", description=DESCRIPTION, args=arguments
            )


def main() -> None:
    """Run one command; print a mistake or mishap on standard error, with exit status 1."""
    guard()
    # What is told of a run, its first process tells; what is wrong, whoever finds it.
    logging.getLogger("draw").setLevel(logging.INFO if is_first_process() else logging.WARNING)
    try:
        _check_working_folder()
        with explain_missing():
            _dispatch(sys.argv[1:])
        flush()  # a full disk is told below, not at the interpreter's end
    except Interruption as stopped:
        say(stopped, error=True)
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read the output has seen enough
        sys.exit(141)
    except EOFError:
        _fail("expected an answer, got the end of the input; pass what was asked for as a flag")
    except (DrawError, OSError) as error:
        _fail(str(error))
    except (MemoryError, RuntimeError) as error:
        from draw.model.memory import ran_out

        if lost_process(error):
            if has_told():
                sys.exit(1)
            _fail("another process of this launch was killed, or says elsewhere why it ended")
        if not ran_out(error):
            raise
        reason = str(error).partition("\n")[0]
        _fail(f"what was asked for does not fit into memory; choose less of it ({reason})")


def _fail(message: str) -> NoReturn:
    if is_to_tell(message):
        say(f"draw: {message}", error=True)
    sys.exit(1)


def _check_working_folder() -> None:
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise DrawError(
            "the folder that this was started in is no longer there; change to another"
        ) from error
