"""What can go wrong before the fast unroll runs."""

from draw.errors import DrawError


class KernelUnavailableError(DrawError):
    """The fast unroll cannot run here; the message says why."""
