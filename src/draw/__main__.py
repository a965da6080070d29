"""`python -m draw`, which torchrun and accelerate launch use, and the command `draw`."""

import sys

from draw.extras import MissingPackageError, explain_missing
from draw.terminal import say


def main() -> None:
    """Run one command, or say what the command line itself needs and does not find."""
    try:
        with explain_missing():
            from draw.cli import main as command_line
    except MissingPackageError as error:
        say(f"draw: {error}", error=True)
        sys.exit(1)
    command_line()


if __name__ == "__main__":
    main()
