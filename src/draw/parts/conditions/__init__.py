"""What a drawing is conditioned on: nothing, the class of what it is to show, or a part of it.

To add a condition, write a class with the methods of `Condition` in a file of its own and name it
in `CONDITIONS`.
"""

from typing import Any, ClassVar, Protocol, runtime_checkable

from jaxtyping import Int
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.fields import part_of
from draw.parts.conditions.known import KnownPixels
from draw.parts.conditions.label import ClassCondition
from draw.parts.conditions.nothing import Unconditional
from draw.parts.state import Context


@runtime_checkable
class Condition(Protocol):
    """A module made from a `DRAWConfig` that turns labels into addends to the LSTMs' gates.

    One that begins as another does, with weights of its own beside that one's, may name it as its
    `extends`: a model with that condition can then be trained on with this one (train.start_from).
    """

    takes_labels: ClassVar[bool]
    """Whether images have to come with labels; a condition without is never given any."""
    description: ClassVar[str]
    """What a drawing is conditioned on, in words for model cards."""

    def __call__(self, labels: Int[Tensor, " batch"] | None) -> Context:
        """Compute the context of drawings from their labels.

        Args:
            labels: class of each drawing, [batch], from 0 to one below the config's `classes`,
                checked by `DRAW.context`; None for a condition that takes none.
        """


CONDITIONS: dict[str, type[nn.Module]] = {
    "none": Unconditional,
    "class": ClassCondition,
    "known": KnownPixels,
}
"""The conditions by their names in `DRAWConfig.condition`."""


def condition_of(config: DRAWConfig) -> Any:
    """Look up the class of the condition that a config names."""
    return part_of(CONDITIONS, "condition", config.condition)
