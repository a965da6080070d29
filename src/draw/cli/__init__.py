"""The command line: verbs only. Heavy imports are inside them, so that --help is quick.

This package alone imports tyro.
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import NoReturn

import tyro

from draw import __version__
from draw.cli.compare import compare
from draw.cli.complete import complete
from draw.cli.datasets import (
    data_check,
    data_convert,
    data_list,
    data_originals,
    data_prepare,
)
from draw.cli.judge import judge
from draw.cli.latents import latents
from draw.cli.measurement import evaluate, info
from draw.cli.options import with_checks, with_help_in_paragraphs
from draw.cli.page import page
from draw.cli.paper_figures import figure
from draw.cli.publish import export, models
from draw.cli.render import animate, glimpses, reconstruct, sample
from draw.cli.studio import studio
from draw.cli.tab_completion import completion
from draw.cli.training import run_train, train
from draw.errors import DrawError, Interruption, did_you_mean
from draw.extras import explain_missing
from draw.files import address_advice
from draw.launch import (
    has_told,
    is_first_process,
    is_to_tell,
    launched_processes,
    lost_process,
)
from draw.program import note_program
from draw.terminal import flush, guard, say

TITLE = "draw: networks that draw images step by step (DRAW, Gregor et al. 2015)"
FOOT = """MODEL is a run folder (runs/digits), an exported folder, a name that draw models
lists, or owner/name on the Hub. To begin: draw train digits (a minute), or
draw animate mnist; in the browser: draw studio. Options: draw VERB --help."""

VERBS: dict[str, Callable[..., None]] = {
    "train": with_help_in_paragraphs(train),
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
            latents,
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
    "convert": with_checks(data_convert),
    "originals": with_checks(data_originals),
}
OPTIONS = ("--help", "--version", "--completion")
"""Options that stand in the place of a verb."""
LINKS = {"--documents", "--code"}
"""Options, of draw page, that take addresses to link to."""
SHARED_VERBS = {"train", "evaluate"}
"""Verbs that several processes do together; of any other, each would do and write the same."""


def data() -> None:
    """Data sets; draw data --help says what can be done with them."""


def _page(title: str, verbs: Mapping[str, Callable[..., None]], foot: str) -> str:
    """What a command is and can do, on a screen: a line for each verb."""
    width = max(map(len, verbs)) + 2
    lines = (f"  {name:{width}}{_summary(verb)}" for name, verb in verbs.items())
    return "\n".join([title, "", *lines, "", foot])


def _summary(verb: Callable[..., None]) -> str:
    return (verb.__doc__ or "").partition("\n")[0].rstrip(".")


def _run_verb(
    program: str,
    verbs: Mapping[str, Callable[..., None]],
    arguments: list[str],
    title: str,
    foot: str,
) -> None:
    """One of some verbs, or the page about them where none is named.

    Raises:
        DrawError: for a verb that is none, with the nearest that is.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        say(_page(title, verbs, foot))
        return
    first = arguments[0]
    if first not in verbs:
        options = OPTIONS if program == "draw" else OPTIONS[:1]
        near = did_you_mean(first, [*verbs, *options])
        raise DrawError(f"expected a verb ({', '.join(verbs)}), got {first!r}{near}")
    registry = None
    if any(argument.startswith(("--backend", "--data.augment")) for argument in arguments):
        from draw.cli.own_parts import own_parts  # brings torch

        registry = own_parts()
    tyro.cli(verbs[first], prog=f"{program} {first}", args=arguments[1:], registry=registry)


def _refuse_copies(arguments: list[str]) -> None:
    launched = launched_processes()
    alone = {*VERBS, "data"} - SHARED_VERBS
    if launched > 1 and alone & {*arguments[:1]} and not {"-h", "--help"} & {*arguments}:
        raise DrawError(
            f"expected one process for draw {arguments[0]}, got {launched} (WORLD_SIZE); only "
            f"{' and '.join(sorted(SHARED_VERBS))} share their work, start this without a launcher"
        )


def _refuse_addresses(arguments: list[str]) -> None:
    """No verb reads from, or writes to, anything but files; a `Path` would hide that."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        name, _, after = argument.partition("=")
        if {before, name} & LINKS:
            continue
        for value in (argument, after):
            advice = address_advice(value) if "://" in value else None
            if advice is not None:
                raise DrawError(
                    f"expected files and folders of this computer, got the address {value}; "
                    f"{advice}"
                )


def _dispatch(arguments: list[str]) -> None:
    _refuse_copies(arguments)
    _refuse_addresses(arguments)
    match arguments:
        case ["train", first, *_] if first not in ("-h", "--help"):
            run_train(arguments[1:])
        case ["data", *rest]:
            foot = "Options: draw data VERB --help."
            _run_verb("draw data", DATA_VERBS, rest, "draw data: sets of images", foot)
        case ["--completion", *shells]:
            say(completion(" ".join(shells), VERBS, DATA_VERBS))
        case ["--version"]:
            say(f"draw {__version__}")
        case ["--version", *rest]:
            raise DrawError(f"expected --version alone, got {rest[0]!r} after it; leave it out")
        case _:
            _run_verb("draw", {**VERBS, "data": data}, arguments, TITLE, FOOT)


def main() -> None:
    """Run one command; print a mistake or mishap on standard error, with exit status 1."""
    guard()
    note_program(sys.argv[0])
    # What is told of a run, its first process tells; what is wrong, whoever finds it.
    logging.getLogger("draw").setLevel(logging.INFO if is_first_process() else logging.WARNING)
    try:
        _check_working_folder()
        with explain_missing():
            _dispatch(sys.argv[1:])
        flush()  # a full disk is told below, not at the interpreter's end
    except Interruption as stopped:
        if is_first_process():
            say(stopped, error=True)
        sys.exit(130)
    except KeyboardInterrupt as stopped:
        if is_first_process():
            say(str(stopped) or "draw: stopped", error=True)
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
