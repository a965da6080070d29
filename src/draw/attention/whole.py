"""Reading and writing the whole image at every step: DRAW without attention (eqs 17-18)."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.fields import refuse


class NoAttention(nn.Module):
    """Reading and writing the whole image at every step (eqs 17-18).

    Args:
        hidden_size: length of the decoder output h_dec.
        channels: colour channels of the images.
        rows: height of the images in pixels, B.
        columns: width of the images in pixels, A.
    """

    description: ClassVar = "no window: the whole image at every step, as in the paper"

    def __init__(self, hidden_size: int, channels: int, rows: int, columns: int) -> None:
        super().__init__()
        self.image_shape = channels, rows, columns
        self.features = 2 * channels * rows * columns
        """Numbers that `read` returns for each image."""
        self.write_content = nn.Linear(hidden_size, channels * rows * columns)

    @classmethod
    def from_config(cls, config: DRAWConfig) -> "NoAttention":
        """Build the attention of the model that a config describes.

        Raises:
            DrawError: if the config asks for several windows.
        """
        for field in ("read_heads", "write_heads"):
            if getattr(config, field) != 1:
                refuse(f"model.{field}", "1 without attention", getattr(config, field))
        return cls(config.hidden_size, *config.image_shape)

    def read(
        self,
        x: Float[Tensor, "batch channels rows columns"],
        x_hat: Float[Tensor, "batch channels rows columns"],
        h_dec: Float[Tensor, "batch hidden"],
    ) -> tuple[Float[Tensor, "batch features"], None]:
        """Read the whole image and the whole error image, flattened (eq 17)."""
        return torch.cat([x, x_hat], 1).flatten(1), None

    def write(
        self, h_dec: Float[Tensor, "batch hidden"]
    ) -> tuple[Float[Tensor, "batch channels rows columns"], None]:
        """Map the decoder output to a whole image that is added to the canvas (eq 18)."""
        return self.write_content(h_dec).unflatten(-1, self.image_shape), None
