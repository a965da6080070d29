"""The interface of every window: its outline and its numbers, for whoever draws or exports it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from draw.tensors import by_shapes

Kind = TypeVar("Kind", bound="AbstractWindow")


@dataclass(frozen=True, eq=False)
class AbstractWindow(ABC):
    """Where a model reads or writes: one window, or a batch of them.

    Pictures, animations, the player in the browser, JSON and ONNX files ask a window for its
    outline and its numbers, and know of no other geometry. For one of your own write a frozen
    dataclass whose fields are tensors, their first dimensions those of the batch, or constants that
    hold for all windows of the batch, such as a number of filters; and give it an `outline` and a
    `line_width`.
    """

    meaning: ClassVar[str] = ""
    """Meaning of the numbers, in words that follow "that is" on the page."""

    def __repr__(self) -> str:
        return by_shapes(self)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # of its own, or `dataclass` would make one that shows the numbers
        cls.__repr__ = AbstractWindow.__repr__  # type: ignore[method-assign]

    @property
    @abstractmethod
    def outline(self) -> Float[Tensor, "*batch frames corners 2"]:
        """Corners of the polygons drawn round each window: x and y in pixels counted from 1."""

    @property
    @abstractmethod
    def line_width(self) -> Float[Tensor, "*batch"]:
        """Width in pixels of the image of the line that outlines each window."""

    @property
    def line_widths(self) -> Float[Tensor, "*batch frames"]:
        """`line_width` of each polygon of `outline`; the same for all of a window's."""
        return self.line_width[..., None].expand(self.outline.shape[:-2])

    @property
    def centre(self) -> Float[Tensor, "*batch 2"]:
        """Centre of each window: x and y in pixels counted from 1."""
        return self.outline.flatten(-3, -2).mean(-2)

    @property
    def centres(self) -> Float[Tensor, "*batch windows 2"]:
        """`centre` of each of the windows of a step, of which most attentions have one."""
        return self.centre[..., None, :]

    @property
    def numbers(self) -> dict[str, Tensor]:
        """Tensor fields of the windows by name, one entry a window; constants are left out."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def map(self: Kind, change: Callable[[Tensor], Tensor]) -> Kind:
        """Apply a function to every tensor field, for example to move the windows to a device."""
        return self._with({name: change(value) for name, value in self.numbers.items()})

    def __getitem__(self: Kind, index: Any) -> Kind:
        """Some of the windows, by an index into the dimensions of the batch."""
        parts = index if isinstance(index, tuple) else (index,)
        if any(part is ... for part in parts):  # of the batch alone: a number may have more
            rest = self.line_width.ndim - sum(_dimensions(part) for part in parts)
            at = next(i for i, part in enumerate(parts) if part is ...)
            parts = *parts[:at], *[slice(None)] * rest, *parts[at + 1 :]
        return self.map(lambda value: value[parts])

    @staticmethod
    def stack(windows: Sequence[Kind]) -> Kind:
        """Stack the windows of several steps into one batch, the steps in front: [steps, *batch].

        Args:
            windows: windows of one kind and with the same constants; at least one.

        Raises:
            ValueError: if their kinds or constants differ.
        """
        first, numbers = windows[0], [window.numbers for window in windows]
        for window in windows:
            if type(window) is not type(first) or window._constants != first._constants:
                raise ValueError(
                    f"expected windows of one kind and size at all steps, got {first._words} and "
                    f"{window._words}; let every step make windows that are alike"
                )
        return first._with(
            {name: torch.stack([each[name] for each in numbers]) for name in numbers[0]}
        )

    def _with(self: Kind, numbers: dict[str, Tensor]) -> Kind:
        """The same windows with other numbers."""
        return replace(self, **numbers)

    @property
    def _constants(self) -> dict[str, Any]:
        """Fields that are no tensors, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if not isinstance(value, Tensor)}

    @property
    def _words(self) -> str:
        constants = (f"{name}={value!r}" for name, value in self._constants.items())
        return f"{type(self).__name__}({', '.join(constants)})"


def _dimensions(index: Any) -> int:
    """Number of dimensions that a part of an index takes."""
    if index is None or index is ...:
        return 0
    is_mask = isinstance(index, Tensor) and index.dtype == torch.bool
    return index.ndim if is_mask else 1
