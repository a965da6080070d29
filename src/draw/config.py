"""What a run is made of: model, data and training, as frozen dataclasses that check themselves.

`Config.to_dict` and `Config.from_dict` are the JSON form that a run folder keeps.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, cast


def _require(holds: bool, name: str, expected: str, got: object) -> None:
    if not holds:
        raise ValueError(f"expected {name} to be {expected}, got {got!r}")


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _require_whole(section: str, config: object, *names: str, least: int = 1) -> None:
    for name in names:
        value = getattr(config, name)
        expected = f"a whole number of at least {least}"
        _require(_is_whole(value, least), f"{section}.{name}", expected, value)


@dataclass(frozen=True)
class ImageConfig:
    """The shape of the images that a model is made for."""

    rows: int = 28
    """Height of the images in pixels, the paper's B; follows --data.size where that is given."""
    columns: int = 28
    """Width of the images in pixels, the paper's A; follows --data.size where that is given."""
    channels: int = 1
    """1 for grey, 3 for colour; follows --data.mode where that is given."""

    def __post_init__(self) -> None:
        _require_whole("model", self, "rows", "columns")
        _require(
            _is_whole(self.channels, 1) and self.channels in (1, 3),
            "model.channels", "1 (grey) or 3 (colour)", self.channels,
        )  # fmt: skip

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, rows, columns of one image."""
        return self.channels, self.rows, self.columns


Kernel = Literal["auto", "reference", "fused"]


def _require_kernel(kernel: object) -> None:
    _require(
        kernel in ("auto", "reference", "fused"),
        "model.kernel", "'auto', 'reference' or 'fused'", kernel,
    )  # fmt: skip


@dataclass(frozen=True)
class DRAWConfig(ImageConfig):
    """The shape of a DRAW model (Table 3 of the paper). Defaults are the paper's for MNIST."""

    glimpses: int = 64
    """Steps of reading and drawing, the paper's T. Time and memory grow in proportion."""
    hidden_size: int = 256
    """Units of each of the two LSTMs."""
    latent_size: int = 100
    """Latent variables per step, the size of z_t."""
    attention: Literal["gaussian", "none"] = "gaussian"
    """A movable Gaussian window (eqs 19-29), or the whole image at every step (eqs 17-18)."""
    read_size: int = 2
    """Side N of the read window in filters; unused without attention."""
    write_size: int = 5
    """Side N of the write window in filters; unused without attention."""
    likelihood: Literal["bernoulli", "logistic"] = "bernoulli"
    """'bernoulli' is the paper's, for pixels of 0 and 1; of grey values its nats are a
    cross-entropy. 'logistic', discretized, is a likelihood of 8-bit pixels: bits per dimension."""
    kernel: Kernel = "auto"
    """How the steps are computed: 'reference' is the readable loop, 'fused' the fast one, which
    must be able to run; 'auto' takes the fast one where it can and says so where it cannot."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_whole(
            "model", self, "glimpses", "hidden_size", "latent_size", "read_size", "write_size"
        )
        _require(
            self.attention in ("gaussian", "none"),
            "model.attention", "'gaussian' or 'none'", self.attention,
        )  # fmt: skip
        _require(
            self.likelihood in ("bernoulli", "logistic"),
            "model.likelihood", "'bernoulli' or 'logistic'", self.likelihood,
        )  # fmt: skip
        _require_kernel(self.kernel)

    @property
    def window_sizes(self) -> tuple[int | None, int | None]:
        """Sides of the read and the write window in filters; None without attention."""
        if self.attention == "none":
            return None, None
        return self.read_size, self.write_size


@dataclass(frozen=True)
class ClassifierConfig(ImageConfig):
    """The shape of a recurrent attention classifier. Defaults are section 4.1's for 100x100."""

    rows: int = 100
    columns: int = 100
    glimpses: int = 8
    """How often it looks before it answers."""
    hidden_size: int = 256
    """Units of the LSTM."""
    read_size: int = 12
    """Side N of the window in filters."""
    classes: int = 10
    """How many answers there are."""
    window_clip: float | None = None
    """Longest gradient (L2) of one image's loss with respect to one glimpse's five window controls;
    longer ones are scaled to it, for a loss that is a mean over the batch. None leaves them."""
    kernel: Kernel = "auto"
    """How the glimpses are computed, as in `DRAWConfig`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_whole("model", self, "glimpses", "hidden_size", "read_size")
        _require_whole("model", self, "classes", least=2)
        if self.window_clip is not None:
            holds = 0 < self.window_clip < float("inf")
            _require(holds, "model.window_clip", "a number above 0", self.window_clip)
        _require_kernel(self.kernel)


@dataclass(frozen=True)
class ConvnetConfig(ImageConfig):
    """The shape of a two-layer convolutional network, Table 1's first row.

    # ours: the paper gives no sizes; these are those of Mnih et al. (2014), whom it compares with.
    """

    rows: int = 100
    columns: int = 100
    filters: int = 8
    """Filters of the convolution."""
    filter_size: int = 10
    """Side of a filter in pixels."""
    stride: int = 5
    """Pixels from one place of the filters to the next."""
    hidden_size: int = 256
    """Units of the fully connected layer."""
    classes: int = 10
    """How many answers there are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_whole("model", self, "filters", "filter_size", "stride", "hidden_size")
        _require_whole("model", self, "classes", least=2)
        _require(
            self.filter_size <= min(self.rows, self.columns),
            "model.filter_size", f"at most the images' {min(self.rows, self.columns)} pixels",
            self.filter_size,
        )  # fmt: skip


ModelConfig = DRAWConfig | ClassifierConfig | ConvnetConfig


def model_config(values: dict[str, Any]) -> ModelConfig:
    """A model's config from plain values; its kind is the one that has most of their names.

    Raises:
        ValueError: if a field is unknown or has a value that does not fit.
    """
    kinds = DRAWConfig, ClassifierConfig, ConvnetConfig
    kind = max(
        kinds,
        key=lambda kind: len({field.name for field in dataclasses.fields(kind)} & set(values)),
    )
    return cast(ModelConfig, from_dict(kind, values))


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how they are made to fit the model."""

    name: str = "mnist"
    """A data set that `draw data list` names, or 'images' for your own."""
    path: str | None = None
    """A local folder (pictures, or parquet as on the Hub) or a Hub name; by default name's own."""
    size: tuple[int, ...] | None = None
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
        if self.size is not None:
            sides = isinstance(self.size, tuple) and all(_is_whole(side, 1) for side in self.size)
            _require(
                sides and len(self.size) in (1, 2),
                "data.size", "one or two whole numbers of at least 1 (rows, columns)", self.size,
            )  # fmt: skip
        _require(
            self.mode in (None, "grey", "colour"), "data.mode", "'grey' or 'colour'", self.mode
        )
        _require(
            self.fit in (None, "crop", "pad", "stretch"),
            "data.fit", "'crop', 'pad' or 'stretch'", self.fit,
        )  # fmt: skip
        _require(
            self.binarize in ("none", "dynamic"),
            "data.binarize", "'none' or 'dynamic'", self.binarize,
        )  # fmt: skip
        _require(
            self.bad_boxes in ("refuse", "skip"),
            "data.bad_boxes", "'refuse' or 'skip'", self.bad_boxes,
        )  # fmt: skip

    @property
    def rows_and_columns(self) -> tuple[int, int] | None:
        """The size asked for, as (rows, columns)."""
        return None if self.size is None else (self.size[0], self.size[-1])


@dataclass(frozen=True)
class TrainConfig:
    """How to train. The paper gives only Adam: every number here is ours."""

    steps: int = 10_000
    """Updates of the weights."""
    batch_size: int = 128
    """Images per update, over all processes together."""
    learning_rate: float = 1e-3
    """Adam's step size after the warm-up."""
    warmup_steps: int = 500
    """Steps over which the learning rate rises from 0."""
    final_learning_rate: float = 0.0
    """Where the learning rate ends; it falls along half a cosine."""
    window_share: float = 1.0
    """The affine maps that make window parameters (eq 21) take this share of the learning rate.
    Their gradient is the noisiest: in a long run a fifth lowered the training bound at once."""
    clip_norm: float = 5.0
    """Longest gradient (L2 norm over all parameters); longer ones are scaled to it."""
    weight_decay: float = 0.0
    """Share of each weight taken away per update, times the step size (AdamW's decoupled weight
    decay, against overfitting); biases and starting states are left alone."""
    ema_decay: float = 0.999
    """Decay of the running average of the weights, which is evaluated and exported."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 rounds the operands of matrix products; weights, states and canvas stay fp32. auto takes
    bf16 where the processor multiplies it in hardware."""
    seed: int = 0
    """Decides the initial weights, the order of the images and all noise."""
    start_from: str | None = None
    """A model whose weights to start from: run folder, exported folder, a name from draw models, or
    owner/name on the Hub. The number of glimpses may differ, other sizes may not."""
    evaluate_every: int = 1000
    """Steps between evaluations on validation images, each with a grid of samples."""
    evaluate_images: int | None = None
    """Validation images for each of these evaluations, evenly from all; by default all."""
    log_every: int = 20
    """Steps between lines of metrics.jsonl; each is the mean over the steps since the last."""
    checkpoint_minutes: float = 2.0
    """Minutes between checkpoints: the most that a crash can cost."""
    keep_checkpoints: int = 2
    """Checkpoints kept for resuming; the best weights are kept besides."""

    def __post_init__(self) -> None:
        _require_whole(
            "train", self, "steps", "batch_size", "evaluate_every", "log_every", "keep_checkpoints"
        )
        if self.evaluate_images is not None:
            _require_whole("train", self, "evaluate_images")
        _require_whole("train", self, "warmup_steps", "seed", least=0)
        for name in ("learning_rate", "window_share", "clip_norm", "checkpoint_minutes"):
            value = getattr(self, name)
            _require(0 < value < float("inf"), f"train.{name}", "a number above 0", value)
        _require(
            0 <= self.final_learning_rate <= self.learning_rate,
            "train.final_learning_rate",
            f"between 0 and train.learning_rate ({self.learning_rate})",
            self.final_learning_rate,
        )
        _require(
            self.start_from is None or (isinstance(self.start_from, str) and self.start_from != ""),
            "train.start_from", "None or the name of a model", self.start_from,
        )  # fmt: skip
        _require(
            0 <= self.weight_decay < float("inf"),
            "train.weight_decay", "a number of at least 0", self.weight_decay,
        )  # fmt: skip
        _require(
            0 <= self.ema_decay < 1, "train.ema_decay", "at least 0 and below 1", self.ema_decay
        )
        _require(
            self.precision in ("auto", "fp32", "bf16"),
            "train.precision", "'auto', 'fp32' or 'bf16'", self.precision,
        )  # fmt: skip


@dataclass(frozen=True)
class Config:
    """A whole run."""

    preset: str
    """The preset it started from, which names the run folder."""
    model: ModelConfig = field(default_factory=DRAWConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

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
    def from_dict(cls, values: dict[str, Any]) -> "Config":
        """The config that `to_dict` wrote.

        Raises:
            ValueError: if a field is unknown or has a value that does not fit.
        """
        sections = "model", "data", "train"
        unknown = sorted(set(values) - {"preset", *sections})
        if unknown or "preset" not in values:
            raise ValueError(
                f"expected a run's config with preset, {', '.join(sections)}; got {sorted(values)}"
            )
        return cls(
            preset=values["preset"],
            model=model_config(values.get("model", {})),
            data=from_dict(DataConfig, values.get("data", {})),
            train=from_dict(TrainConfig, values.get("train", {})),
        )


def from_dict(kind: type[Any], values: dict[str, Any]) -> Any:
    """A dataclass of this module from plain values; JSON's lists become tuples.

    Raises:
        ValueError: if a field is unknown or has a value that does not fit.
    """
    known = [field.name for field in dataclasses.fields(kind)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(
            f"unknown {kind.__name__} field {', '.join(unknown)}; the known ones are "
            f"{', '.join(known)}. It may come from a newer version of draw"
        )
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
