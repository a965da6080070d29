"""What a run is made of: model, data and training, as frozen dataclasses that check themselves.

`Config.to_dict` and `Config.from_dict` are the JSON form that a run folder keeps.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, cast

from draw.errors import DrawError
from draw.fields import (
    Count,
    Limits,
    Natural,
    Positive,
    Seed,
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


@dataclass(frozen=True)
class DRAWConfig(ImageConfig):
    """The shape of a DRAW model (Table 3 of the paper). Defaults are the paper's for MNIST."""

    glimpses: Count = 64
    """Steps of reading and drawing, the paper's T. Time and memory grow in proportion."""
    hidden_size: Count = 256
    """Units of each of the two LSTMs."""
    latent_size: Count = 100
    """Latent variables per step, the size of z_t."""
    attention: Literal["gaussian", "none"] = "gaussian"
    """A movable Gaussian window (eqs 19-29), or the whole image at every step (eqs 17-18)."""
    read_size: Count = 2
    """Side N of the read window in filters; unused without attention."""
    write_size: Count = 5
    """Side N of the write window in filters; unused without attention."""
    likelihood: Literal["bernoulli", "logistic"] = "bernoulli"
    """'bernoulli' is the paper's, for pixels of 0 and 1; of grey values its nats are a
    cross-entropy. 'logistic', discretized, is a likelihood of 8-bit pixels: bits per dimension."""
    kernel: Kernel = "auto"
    """How the steps are computed: 'reference' is the readable loop, 'fused' the fast one, which
    must be able to run; 'auto' takes the fast one where it can and says so where it cannot."""

    @property
    def window_sizes(self) -> tuple[int | None, int | None]:
        """Sides of the read and the write window in filters; None without attention."""
        if self.attention == "none":
            return None, None
        return self.read_size, self.write_size


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
    classes: Annotated[int, Limits(least=2, most=2**31 - 1)] = 10
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
    classes: Annotated[int, Limits(least=2, most=2**31 - 1)] = 10
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


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how they are made to fit the model."""

    name: str = "mnist"
    """A data set that `draw data list` names, or 'images' for your own."""
    path: str | None = None
    """A local folder (pictures, or parquet as on the Hub) or a Hub name; by default name's own."""
    size: tuple[Count, ...] | None = None
    """Rows and columns in pixels, or one number for a square; by default as the images are."""
    mode: Literal["grey", "colour"] | None = None
    """Turn every image into this mode; by default as the images are."""
    fit: Literal["crop", "pad", "stretch"] | None = None
    """How an image of another size is brought to --data.size; by default it is refused."""
    binarize: Literal["none", "dynamic"] = "none"
    """'dynamic' draws each pixel as 0 or 1, anew at each use, with its grey value as probability;
    images whose pixels are already 0 or 1 ("static") come through unchanged."""
    bad_boxes: Literal["refuse", "skip"] = "refuse"
    """Pictures of svhn whose boxes are missing or empty: an error, or left out and counted."""
    cache_dir: str | None = None
    """Folder of decoded images; by default ~/.cache/draw."""

    def __post_init__(self) -> None:
        check_fields("data.", self)
        if self.size is not None and len(self.size) not in (1, 2):
            refuse("data.size", "one or two whole numbers (rows, columns)", self.size)

    @property
    def rows_and_columns(self) -> tuple[int, int] | None:
        """The size asked for, as (rows, columns)."""
        return None if self.size is None else (self.size[0], self.size[-1])

    def without_places(self) -> "DataConfig":
        """The same images wherever they are: what a model that is given away says of its data."""
        return dataclasses.replace(self, path=None, cache_dir=None)


Steps = Annotated[int, Limits(least=1, most=99_999_999)]
"""Steps of training: their checkpoints are named, and so ordered, by eight digits."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train. The paper gives only Adam: every number here is ours."""

    steps: Steps = 10_000
    """Updates of the weights."""
    batch_size: Count = 128
    """Images per update, over all processes together."""
    learning_rate: Positive = 1e-3
    """Adam's step size after the warm-up."""
    warmup_steps: Natural = 500
    """Steps over which the learning rate rises from 0."""
    final_learning_rate: Annotated[float, Limits(least=0)] = 0.0
    """Where the learning rate ends; it falls along half a cosine."""
    window_share: Positive = 1.0
    """The affine maps that make window parameters (eq 21) take this share of the learning rate.
    Their gradient is the noisiest: in a long run a fifth lowered the training bound at once."""
    clip_norm: Positive = 5.0
    """Longest gradient (L2 norm over all parameters); longer ones are scaled to it."""
    weight_decay: Annotated[float, Limits(least=0)] = 0.0
    """Share of each weight taken away per update, times the step size (AdamW's decoupled weight
    decay, against overfitting); biases and starting states are left alone."""
    ema_decay: Annotated[float, Limits(least=0, below=1)] = 0.999
    """Decay of the running average of the weights, which is evaluated and exported."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 rounds the operands of matrix products; weights, states and canvas stay fp32. auto takes
    bf16 where the processor multiplies it in hardware."""
    seed: Seed = 0
    """Decides the initial weights, the order of the images and all noise."""
    start_from: str | None = None
    """A model whose weights to start from: run folder, exported folder, a name from draw models, or
    owner/name on the Hub. The number of glimpses may differ, other sizes may not."""
    evaluate_every: Count = 1000
    """Steps between evaluations on validation images, each with a grid of samples."""
    evaluate_images: Count | None = None
    """Validation images for each of these evaluations, evenly from all; by default all."""
    log_every: Count = 20
    """Steps between lines of metrics.jsonl; each is the mean over the steps since the last."""
    checkpoint_minutes: Positive = 2.0
    """Minutes between checkpoints: the most that a crash can cost."""
    keep_checkpoints: Count = 2
    """Checkpoints kept for resuming; the best weights are kept besides."""

    def __post_init__(self) -> None:
        check_fields("train.", self)
        if self.final_learning_rate > self.learning_rate:
            refuse(
                "train.final_learning_rate",
                f"at most train.learning_rate ({self.learning_rate})",
                self.final_learning_rate,
            )


@dataclass(frozen=True)
class Config:
    """A whole run."""

    preset: str
    """The preset it started from, which names the run folder."""
    model: ModelConfig = field(default_factory=DRAWConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        check_fields("", self)

    def with_model_following_data(
        self, seen: Callable[[tuple[int, int, int]], tuple[int, int, int]] | None = None
    ) -> "Config":
        """The same run with the model's image shape taken from data.size and data.mode if given.

        Args:
            seen: the shape in which a model sees images of a stored shape (channels, rows,
                columns); by default the same.
        """
        changes: dict[str, Any] = {}
        if self.data.mode is not None:
            changes["channels"] = 1 if self.data.mode == "grey" else 3
        if self.data.rows_and_columns is not None:
            stored = (changes.get("channels", self.model.channels), *self.data.rows_and_columns)
            _, changes["rows"], changes["columns"] = seen(stored) if seen else stored
        return dataclasses.replace(self, model=dataclasses.replace(self.model, **changes))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> "Config":
        """The config that `to_dict` wrote.

        Raises:
            DrawError: if a field is unknown or has a value that does not fit.
        """
        given = names_and_values("config", values)
        sections = "model", "data", "train"
        unknown = sorted(set(given) - {"preset", *sections})
        if unknown or "preset" not in given:
            raise DrawError(
                f"expected a run's config with preset, {', '.join(sections)}; got {sorted(given)}"
            )
        return cls(
            preset=given["preset"],
            model=model_config(given.get("model", {})),
            data=from_plain(DataConfig, "data", given.get("data", {})),
            train=from_plain(TrainConfig, "train", given.get("train", {})),
        )
