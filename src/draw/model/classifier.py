"""The recurrent attention classifier of section 4.1: an LSTM that looks where it wants to."""

import math
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.attention import make_sampler
from draw.attention.abstract import AbstractWindow
from draw.attention.movable import look
from draw.attention.sampler import Sampler, start_windows
from draw.config.model import ClassifierConfig
from draw.kernels import BACKENDS
from draw.model.checks import ImageCheck
from draw.model.pretrained import Pretrained
from draw.model.recurrent import Recurrent
from draw.parts.layers import Affine, LSTMCell
from draw.tensors import by_shapes


class ClassifierOutput(NamedTuple):
    """Result of `Classifier.forward` and `Convnet.forward`."""

    logits: Float[Tensor, "batch classes"]
    """Logits of the classes after the last glimpse, [batch, classes]."""
    logits_by_glimpse: Float[Tensor, "glimpses batch classes"]
    """Logits of the classes after every glimpse, by the same affine map as the last: what the
    network would have answered by then."""
    windows: AbstractWindow | None
    """Windows of all glimpses, each field [glimpses, batch], in pixels counted from 1; None from a
    network that sees the whole image."""

    def __repr__(self) -> str:
        return by_shapes(self)


class Classifier(
    Recurrent,
    Pretrained,
    library_name="draw",
    tags=["draw", "attention", "image-classification"],
    license="mit",
):
    """An LSTM that reads one patch of the image per step and names the class after the last one.

    >>> import torch
    >>> from draw import Classifier, ClassifierConfig
    >>> model = Classifier(ClassifierConfig(rows=60, columns=60, glimpses=4))
    >>> model(torch.rand(2, 1, 60, 60)).logits.shape
    torch.Size([2, 10])
    """

    config: ClassifierConfig

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self._check_images = ImageCheck()
        hidden, size = config.hidden_size, config.read_size
        self.reader: Sampler = make_sampler(config)
        heads = config.read_heads
        self.read_window = nn.Linear(hidden, self.reader.controls * heads)
        self.lstm = LSTMCell(config.channels * size**2 * heads, hidden)
        self.logits = Affine(hidden, config.classes)
        self.h_0 = nn.Parameter(torch.zeros(hidden))
        self.c_0 = nn.Parameter(torch.zeros(hidden))
        start_windows(self.read_window, self.reader, 1.0, heads)
        with torch.no_grad():  # ours: as in DRAW, gradients reach back through all glimpses
            self.lstm.bias_ih[hidden : 2 * hidden] += 1

    def forward(self, images: Float[Tensor, "batch channels rows columns"]) -> ClassifierOutput:
        """Look at images T times, then return the logits of their classes.

        Args:
            images: images, float, [batch, channels, rows, columns], in [0, 1].

        Raises:
            DrawError: if the images are not as the model expects them.
        """
        self._check_images(self.config, self.h_0, images)
        h, windows = BACKENDS[self.choice.name].look(self, images)
        answers = self.logits(h)
        return ClassifierOutput(answers[-1], answers, windows)

    def look(
        self, images: Float[Tensor, "batch channels rows columns"]
    ) -> tuple[Float[Tensor, "glimpses batch hidden"], AbstractWindow]:
        """Compute the LSTM's outputs and the windows of all glimpses, one after another.

        Args:
            images: images, [batch, channels, rows, columns], in [0, 1].
        """
        batch = len(images)
        h, c = self.h_0.expand(batch, -1), self.c_0.expand(batch, -1)
        outputs, windows = [], []
        for _ in range(self.config.glimpses):
            r, window = self._read(images, h)  # (27), placed by its own previous output
            h, c = self.lstm(r, (h, c))
            outputs.append(h)
            windows.append(window)
        return torch.stack(outputs), windows[0].stack(windows)

    @staticmethod
    def specification() -> type[nn.Module]:
        """Classifier itself, whatever a subclass changes."""
        return Classifier

    def _read(
        self, images: Float[Tensor, "batch channels rows columns"], h: Float[Tensor, "batch hidden"]
    ) -> tuple[Float[Tensor, "batch features"], AbstractWindow]:
        """Patches of the image, through windows in full precision (see `WindowAttention`)."""
        with torch.autocast(h.device.type, enabled=False):
            controls = self.read_window(h)
            longest = self._longest(len(images))
            if controls.requires_grad and longest < math.inf:
                controls.register_hook(partial(_shortened, longest=longest))
            return look(self.reader, images, controls, self.config.read_heads)  # (21, 27)

    def _longest(self, batch: int) -> float:
        """The longest gradient of a mean over the batch that one image's controls may get.

        # ours: where a window is sharp, a shift of it changes what is read, which shifts the next
        # one. Products of these slopes explode for a few images, and Adam then moves the weights by
        # them alone. docs/decisions.md has what it is worth.
        """
        clip = self.config.window_clip
        return math.inf if clip is None or batch == 0 else clip / batch


def _shortened(
    gradient: Float[Tensor, "batch controls"], longest: float
) -> Float[Tensor, "batch controls"]:
    """Each row scaled down to a length, where it is longer."""
    length: Tensor = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    return gradient * (longest / length).clamp(max=1)
