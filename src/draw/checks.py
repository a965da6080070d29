"""What a model is given, compared with what it expects."""

import torch
from torch import Tensor

from draw.config import DRAWConfig, ImageConfig
from draw.errors import DrawError


def check_images(config: ImageConfig, dtype: torch.dtype, images: Tensor) -> None:
    """Compare images with a model.

    Args:
        config: the model's.
        dtype: of its weights.
        images: float, [batch, channels, rows, columns].

    Raises:
        DrawError: if shape or type are others.
    """
    expected = config.image_shape
    if images.ndim != 4 or images.shape[1:] != expected:
        raise DrawError(
            f"expected images of shape [batch, {', '.join(map(str, expected))}] "
            f"(channels, rows, columns: the model's), got {list(images.shape)}"
        )
    if images.dtype != dtype:
        raise DrawError(
            f"expected images in [0, 1] of {dtype} (the model's), got {images.dtype}; convert them "
            "with .to(), and divide 8-bit images by 255 first"
        )


def check_noise(config: DRAWConfig, dtype: torch.dtype, noise: Tensor, batch: int) -> None:
    """Compare noise with a model.

    Args:
        config: the model's.
        dtype: of its weights.
        noise: float, [glimpses, batch, latent].
        batch: number of images.

    Raises:
        DrawError: if shape or type are others.
    """
    expected = config.glimpses, batch, config.latent_size
    if noise.dtype != dtype:
        raise DrawError(f"expected noise of {dtype} (the model's), got {noise.dtype}")
    if noise.shape != expected:
        raise DrawError(
            f"expected noise of shape {expected} (glimpses, batch, latent), "
            f"got {tuple(noise.shape)}"
        )
