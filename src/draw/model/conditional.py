"""What a drawing is told beforehand: its class, or the pixels that are known."""

from typing import SupportsIndex

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.errors import DrawError, did_you_mean
from draw.fields import whole
from draw.model.checks import check_label_range, check_labels, check_tensor
from draw.model.recurrent import Recurrent
from draw.parts.conditions import Condition
from draw.parts.conditions.known import KnownPixels
from draw.parts.state import NO_LABEL, Context
from draw.terminal import one_line


class Conditional(Recurrent):
    """Base of the models whose drawings can be told something, by `draw.parts.conditions`."""

    config: DRAWConfig
    condition: Condition
    canvas_0: nn.Parameter

    def labels_for(
        self, n: int, label: SupportsIndex | str | None = None
    ) -> Int[Tensor, " n"] | None:
        """Labels of n new drawings: one class for all, or each class in turn.

        Args:
            n: number of drawings.
            label: class of all drawings, by number or by its name in `class_names`, or "none" where
                none is to be told; None for each class in turn, and for an unconditional model.

        Raises:
            DrawError: if no class has that name or number, or the model is told none.
        """
        device = self.canvas_0.device
        if not self.condition.takes_labels:
            if label is None:
                return None
            raise DrawError(
                f"expected no label for a model of condition {self.config.condition!r}, got "
                f"{label!r}; leave it out, or train a model with --model.condition class"
            )
        if label is None:
            return torch.arange(n, device=device) % self.config.classes
        number = self._class_called(label) if isinstance(label, str) else whole("label", int, label)
        check_label_range(self.config, number, number)
        return torch.full((n,), number, device=device)

    def _class_called(self, name: str) -> int:
        if name == "none":
            return NO_LABEL
        if name.isdecimal() and len(name) < 20:
            return int(name)
        numbers = {of_class: number for number, of_class in self.class_names.items()}
        if name not in numbers:
            some = [f"{number} {one_line(one)}" for one, number in numbers.items()]
            more = f" and {len(some) - 20} more" if len(some) > 20 else ""
            known = ", ".join(some[:20]) + more
            near = did_you_mean(name, numbers)
            raise DrawError(
                f"expected the number of a class{', or its name' if known else ''}, or none, got "
                f"{name!r}{near}; {known or f'its classes are 0 to {self.config.classes - 1}'}"
            )
        return numbers[name]

    def context(self, labels: Int[Tensor, " batch"] | None, n: int) -> Context:
        """Conditioning of n drawings: what `draw.parts.conditions` adds to the LSTMs' gates.

        Args:
            labels: class of each drawing, [n], or `NO_LABEL` for none; None for an unconditional
                model, and for drawings of no given class.
            n: number of drawings.

        Raises:
            ValueError: if the labels do not fit the model's condition.
        """
        if labels is None and self.config.label_dropout:
            labels = self.labels_for(n, "none")
        check_labels(self.config, self.condition.takes_labels, labels, n)
        return self.addends(labels)

    def known_context(
        self,
        images: Float[Tensor, "batch channels rows columns"],
        known: Bool[Tensor, "batch rows columns"],
    ) -> Context:
        """Conditioning on the known pixels of images; see `draw.parts.conditions.known`.

        Args:
            images: images in [0, 1]; what they hold where nothing is known has no effect.
            known: true where a pixel is known.

        Raises:
            DrawError: if the model is not told pixels, or the mask has another shape or type.
        """
        if not isinstance(self.condition, KnownPixels):
            raise DrawError(
                f"expected no mask for a model of condition {self.config.condition!r}, which is "
                "not told pixels; train one with --model.condition known"
            )
        check_tensor("known", known)
        expected = len(images), self.config.rows, self.config.columns
        if known.dtype != torch.bool or known.shape != expected:
            raise DrawError(
                f"expected a mask of torch.bool, true where a pixel is known, of shape "
                f"{list(expected)}, got {known.dtype} of {list(known.shape)}"
            )
        return self.condition.of(images, known)

    def addends(self, labels: Int[Tensor, " batch"] | None) -> Context:
        """`context` of labels that fit.

        # ours: where no class is told nothing is added to the gates, whose own biases serve it.

        Args:
            labels: class of each drawing, [n]; None for an unconditional model.
        """
        if labels is None or not self.config.label_dropout:
            return self.condition(labels)
        told = (labels >= 0)[:, None]
        each = self.condition(labels.clamp_min(0))
        return Context(*(None if addend is None else addend * told for addend in each))
