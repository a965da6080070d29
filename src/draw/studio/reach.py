"""How the studio is reached: from this computer alone, from a network, or through a proxy."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from draw.errors import DrawError
from draw.studio.guard import LOCAL_NAMES, host_name


@dataclass(frozen=True)
class Reach:
    """Address to listen on, and the names and the path under which others know it.

    Raises:
        DrawError: if a name is none, or the path is none.
    """

    host: str = "127.0.0.1"
    other_names: Sequence[str] = ()
    """Names besides those of this computer, such as that of a proxy."""
    root_path: str = ""
    """Path at which a proxy offers the page, and which it takes off what it passes on."""

    def __post_init__(self) -> None:
        for name in self.other_names:
            if host_name(name) != name.lower():
                raise DrawError(
                    f"expected --allow-host to be a name such as draw.example.org, without port or "
                    f"path, got {name!r:.80}"
                )
        if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", self.root_path):
            raise DrawError(
                f"expected --root-path to be a path such as /draw, without a slash at its end, got "
                f"{self.root_path!r:.80}"
            )

    @property
    def is_local(self) -> bool:
        """Whether it listens for this computer alone."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def obstacle_to_training(self) -> str:
        """Words for the page where others reach it, who may not start anything; else empty."""
        if self.is_local and not self.other_names:
            return ""
        return (
            "Nothing is trained from this page, since others reach it too: in a terminal, "
            "<code>draw train digits</code>; or a studio for this computer alone, without "
            "<code>--host</code> and <code>--allow-host</code>."
        )

    @property
    def names(self) -> frozenset[str] | None:
        """Names under which it may be asked for; None for any."""
        if not self.is_local and not self.other_names:
            return None
        return frozenset((*LOCAL_NAMES, *(name.lower() for name in self.other_names)))
