"""What can go wrong before the fast unroll runs."""

from draw.errors import DrawError


class KernelUnavailableError(DrawError):
    """The fast unroll cannot run here; the message says why."""


class KernelArgumentError(DrawError):
    """An operator was given something that it cannot compute with; the message names it."""


class LibraryError(DrawError):
    """A compiled library, or the folder for it, is not one to load from; the message says why."""
