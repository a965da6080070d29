"""Several windows of one step, shown together."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from draw.attention.abstract import AbstractWindow


@dataclass(frozen=True, eq=False)
class SeveralWindows(AbstractWindow):
    """The windows through which one step reads, or writes: an outline and numbers for each.

    Args:
        window: all windows of the step, [*batch, heads].
    """

    meaning: ClassVar[str] = "several windows, and each of these numbers of every one of them"
    window: AbstractWindow

    @property
    def outline(self) -> Float[Tensor, "*batch frames corners 2"]:
        """Polygons of the first window, then those of the second, and so on."""
        return self.window.outline.flatten(-4, -3)

    @property
    def line_width(self) -> Float[Tensor, "*batch"]:
        """Mean line width of all windows in pixels; `line_widths` has each."""
        return self.window.line_width.mean(-1)

    @property
    def line_widths(self) -> Float[Tensor, "*batch frames"]:
        """Line width of each polygon in pixels, that of its window."""
        return self.window.line_widths.flatten(-2, -1)

    @property
    def centre(self) -> Float[Tensor, "*batch 2"]:
        """Mean centre of all windows, in pixels counted from 1."""
        return self.window.centre.mean(-2)

    @property
    def centres(self) -> Float[Tensor, "*batch heads 2"]:
        """Centre of each window, in pixels counted from 1."""
        return self.window.centre

    @property
    def size(self) -> int:
        """Number of filters along a side of each window."""
        size: int = self.window.size  # type: ignore[attr-defined]
        return size

    @property
    def numbers(self) -> dict[str, Tensor]:
        """Numbers of the windows by name, each [*batch, heads]."""
        return self.window.numbers

    def _with(self, numbers: dict[str, Tensor]) -> "SeveralWindows":
        return replace(self, window=self.window._with(numbers))

    @property
    def _constants(self) -> dict[str, Any]:
        return {"kind": type(self.window).__name__, **self.window._constants}


def windows_of(
    place: Callable[[Tensor], AbstractWindow], controls: Float[Tensor, "*batch all"], heads: int
) -> AbstractWindow:
    """Make the windows of a step: one as it is, several together as `SeveralWindows`.

    Args:
        place: function that makes windows of their controls.
        controls: controls of the first window, then those of the second, and so on.
        heads: number of windows.
    """
    if heads == 1:
        return place(controls)
    return SeveralWindows(place(by_head(controls, heads)))


def by_head(
    controls: Float[Tensor, "*batch all"], heads: int
) -> Float[Tensor, "*batch {heads} controls"]:
    """The controls of each of several windows."""
    return controls.reshape(*controls.shape[:-1], heads, controls.shape[-1] // heads)
