"""The shapes of the models."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Literal, cast

from draw.fields import (
    TABLE,
    Count,
    Limits,
    Positive,
    check_fields,
    from_plain,
    names_and_values,
    refuse,
)


@dataclass(frozen=True)
class ImageConfig:
    """The shape of the images that a model is made for."""

    rows: Count = 28
    """Height of the images in pixels, the paper's B; follows --data.size where that is given."""
    columns: Count = 28
    """Width of the images in pixels, the paper's A; follows --data.size where that is given."""
    channels: Literal[1, 3] = 1
    """1 for grey, 3 for colour; follows --data.mode where that is given."""

    def __post_init__(self) -> None:
        check_fields("model.", self)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, rows, columns of one image."""
        return self.channels, self.rows, self.columns


Kernel = Literal["auto", "reference", "fused"]
Attention = Annotated[Literal["gaussian", "cauchy", "none"], TABLE]
Prior = Annotated[Literal["standard", "learned"], TABLE]
Condition = Annotated[Literal["none", "class"], TABLE]
Likelihood = Annotated[Literal["bernoulli", "logistic"], TABLE]
Classes = Annotated[int, Limits(least=2, most=2**31 - 1)]


@dataclass(frozen=True)
class DRAWConfig(ImageConfig):
    """The shape of a DRAW model (Table 3 of the paper). Defaults are the paper's for MNIST."""

    glimpses: Count = 64
    """Steps of reading and drawing, the paper's T. Time and memory grow in proportion."""
    hidden_size: Count = 256
    """Units of each of the two LSTMs."""
    latent_size: Count = 100
    """Latent variables per step, the size of z_t."""
    attention: Attention = "gaussian"
    """Where it reads and writes: through a movable window of Gaussian filters (eqs 19-29) or of
    Cauchy filters, or the whole image at every step (none: eqs 17-18)."""
    read_size: Count = 2
    """Side N of the read window in filters; unused without attention."""
    write_size: Count = 5
    """Side N of the write window in filters; unused without attention."""
    likelihood: Likelihood = "bernoulli"
    """'bernoulli' is the paper's, for pixels of 0 and 1; of grey values its nats are a
    cross-entropy. 'logistic', discretized, is a likelihood of 8-bit pixels: bits per dimension."""
    prior: Prior = "standard"
    """What is expected of z_t: the paper's N(0, 1), or what follows from what is drawn so far."""
    condition: Condition = "none"
    """What a drawing is told beforehand: nothing, or its class, by the images' labels."""
    classes: Classes = 10
    """How many classes there are; used with condition class alone."""
    kernel: Kernel = "auto"
    """How the steps are computed: 'reference' is the readable loop, 'fused' the fast one, which
    must be able to run; 'auto' takes the fast one where it can and says so where it cannot."""


@dataclass(frozen=True)
class ClassifierConfig(ImageConfig):
    """The shape of a recurrent attention classifier. Defaults are section 4.1's for 100x100."""

    rows: Count = 100
    columns: Count = 100
    glimpses: Count = 8
    """How often it looks before it answers."""
    hidden_size: Count = 256
    """Units of the LSTM."""
    read_size: Count = 12
    """Side N of the window in filters."""
    classes: Classes = 10
    """How many answers there are."""
    window_clip: Positive | None = None
    """Longest gradient (L2) of one image's loss with respect to one glimpse's five window controls;
    longer ones are scaled to it, for a loss that is a mean over the batch. None leaves them."""
    kernel: Kernel = "auto"
    """How the glimpses are computed, as in `DRAWConfig`."""


@dataclass(frozen=True)
class ConvnetConfig(ImageConfig):
    """The shape of a two-layer convolutional network, Table 1's first row.

    # ours: the paper gives no sizes; these are those of Mnih et al. (2014), whom it compares with.
    """

    rows: Count = 100
    columns: Count = 100
    filters: Count = 8
    """Filters of the convolution."""
    filter_size: Count = 10
    """Side of a filter in pixels."""
    stride: Count = 5
    """Pixels from one place of the filters to the next."""
    hidden_size: Count = 256
    """Units of the fully connected layer."""
    classes: Classes = 10
    """How many answers there are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        most = min(self.rows, self.columns)
        if self.filter_size > most:
            refuse("model.filter_size", f"at most the images' {most} pixels", self.filter_size)


ModelConfig = DRAWConfig | ClassifierConfig | ConvnetConfig


def model_config(values: object) -> ModelConfig:
    """A model's config from plain values; its kind is the one that has most of their names.

    Raises:
        DrawError: if a field is unknown or has a value that does not fit.
    """
    given = names_and_values("model", values)
    kinds = DRAWConfig, ClassifierConfig, ConvnetConfig
    kind = max(
        kinds,
        key=lambda kind: len({field.name for field in dataclasses.fields(kind)} & set(given)),
    )
    return cast(ModelConfig, from_plain(kind, "model", given))


Steps = Annotated[int, Limits(least=1, most=99_999_999)]
"""Steps of training: their checkpoints are named, and so ordered, by eight digits."""
