"""The command line of every benchmark: its help is the text at the top of its file."""

import shlex
import sys
from collections.abc import Callable

import tyro


def run(main: Callable[..., object]) -> None:
    """Call `main` with the arguments of the command line."""
    tyro.cli(
        main,
        prog=f"python -m {_module()}",
        description=sys.modules["__main__"].__doc__,
        config=(tyro.conf.OmitArgPrefixes,),
    )


def command_line() -> str:
    """The command, as it can be typed again."""
    return shlex.join(["python", "-m", _module(), *sys.argv[1:]])


def _module() -> str:
    """The module that runs; a package that runs is its `__main__`."""
    spec = sys.modules["__main__"].__spec__
    return "-" if spec is None else spec.name.removesuffix(".__main__")
