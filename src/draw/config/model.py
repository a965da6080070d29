"""Configs of the models: their shapes and their parts."""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from draw.errors import DrawError
from draw.fields import (
    TABLE,
    Count,
    Limits,
    Positive,
    check,
    check_fields,
    from_plain,
    names_and_values,
    part_of,
    refuse,
)

FORMAT = 1
"""Version of a model's config.json; files of a newer version are refused."""


@dataclass(frozen=True)
class ModelConfig:
    """Base of the config of every kind of model: the shape of the images it is made for."""

    kind = ""
    """Name of the kind of model in `draw.models.kinds.KINDS`."""

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
        """Shape of one image: channels, rows, columns."""
        return self.channels, self.rows, self.columns

    @property
    def activations(self) -> tuple[int, int]:
        """Number of glimpses, and numbers that each keeps for the backward pass, at least.

        The memory of a batch is estimated by these two before any of it is allocated.
        """
        return 1, 0

    @property
    def without_effect(self) -> Mapping[str, str]:
        """Fields that change nothing in such a model, and what it would have to have."""
        return {}


def refuse_without_effect(config: ModelConfig, given: Collection[str]) -> None:
    """Refuse fields that somebody gave and that change nothing.

    Args:
        config: a model's config.
        given: names of all fields that were given, those of a model as "model.NAME". A preset's own
            values are none of these: `draw train mnist --model.attention none` keeps its sizes of
            windows.

    Raises:
        DrawError: if one of them has no effect.
    """
    for name, needed in config.without_effect.items():
        if f"model.{name}" in given:
            raise DrawError(
                f"expected no model.{name} for a model without {needed}, got "
                f"{getattr(config, name)}, which would have no effect; leave it out"
            )


Window = Annotated[Literal["gaussian", "cauchy", "laplace", "lattice", "rotated", "affine"], TABLE]
Attention = Annotated[
    Literal["gaussian", "cauchy", "laplace", "lattice", "rotated", "affine", "none"], TABLE
]
Prior = Annotated[Literal["standard", "learned"], TABLE]
Condition = Annotated[Literal["none", "class", "known"], TABLE]
Likelihood = Annotated[Literal["bernoulli", "logistic"], TABLE]
Heads = Annotated[int, Limits(least=1, most=1024)]
Classes = Annotated[int, Limits(least=2, most=2**31 - 1)]


@dataclass(frozen=True)
class DRAWConfig(ModelConfig):
    """Config of a DRAW model (Table 3 of the paper); the defaults are the paper's for MNIST."""

    kind = "draw"

    glimpses: Count = 64
    """Steps of reading and drawing, the paper's T. Time and memory grow in proportion."""
    hidden_size: Count = 256
    """Units of each of the two LSTMs."""
    latent_size: Count = 100
    """Latent variables per step, the size of z_t."""
    attention: Attention = "gaussian"
    """Where it reads and writes: through a movable window of Gaussian filters (eqs 19-29), or of
    Cauchy or Laplace filters; through filters whose places are learned (lattice); through a window
    that turns (rotated) or has any affine form (affine, bilinear); or the whole image at every step
    (none: eqs 17-18)."""
    read_size: Count = 2
    """Side N of the read window in filters; not for a model without attention."""
    write_size: Count = 5
    """Side N of the write window in filters; not for a model without attention."""
    read_heads: Heads = 1
    """Windows that it reads through at every step, the paper's 1; they share one kind and size."""
    write_heads: Heads = 1
    """Windows that it writes through at every step, the paper's 1."""
    likelihood: Likelihood = "bernoulli"
    """'bernoulli' is the paper's, for pixels of 0 and 1; of grey values its nats are a
    cross-entropy. 'logistic', discretized, is a likelihood of 8-bit pixels: bits per dimension."""
    prior: Prior = "standard"
    """Prior over z_t: the paper's N(0, 1), or one learned from what is drawn so far."""
    condition: Condition = "none"
    """Conditioning of a drawing: none; its class, by the images' labels; or the pixels of it that
    are known (draw complete), by random masks in training."""
    classes: Classes = 10
    """Number of classes, of a model of condition class; by default as many as the images have."""
    label_dropout: Annotated[float, Limits(least=0, below=1)] = 0.0
    """Fraction of labels that training leaves out (0.1 is usual): the model then also draws, and
    measures, images of no given class, and how clearly a class shows can be chosen (--guidance)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label_dropout and self.condition in ("none", "known"):
            words = f"0 for a model of condition {self.condition}, which is told no class"
            refuse("model.label_dropout", words, self.label_dropout)

    @property
    def activations(self) -> tuple[int, int]:
        """Number of glimpses, and latent variables of each."""
        return self.glimpses, self.latent_size

    @property
    def without_effect(self) -> Mapping[str, str]:
        """Sizes of windows without windows, and the number of classes where none is told."""
        windows = dict.fromkeys(("read_size", "write_size"), "windows (model.attention none)")
        classes = {"classes": f"a class to be told (model.condition {self.condition})"}
        return {
            **(windows if self.attention == "none" else {}),
            **(classes if self.condition in ("none", "known") else {}),
        }


@dataclass(frozen=True)
class ConvDRAWConfig(DRAWConfig):
    """Config of a convolutional DRAW (Gregor et al. 2016); all sizes are ours.

    Its vectors are stacks of maps with a number for every place, one place for stride x stride
    pixels: their lengths are multiples of the number of places, 7 x 7 by default.
    """

    kind = "conv"

    glimpses: Count = 16
    """Steps of reading and drawing, T."""
    hidden_size: Count = 16 * 49
    """Units of each of the two LSTMs, in all maps: a multiple of the number of places."""
    latent_size: Count = 2 * 49
    """Latent variables per step, in all maps: a multiple of the number of places."""
    attention: Literal["none"] = "none"
    """No windows: convolutions read and write the whole image at every step."""
    prior: Prior = "learned"
    """Prior over z_t: learned from what is drawn so far, or N(0, 1)."""
    stride: Count = 4
    """Pixels from one place to the next; divides the images' rows and columns."""
    kernel_size: Count = 3
    """Side of the kernels of LSTMs, posterior and prior in places; odd."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in dataclasses.fields(self):
            if field.name in UNUSED_WITHOUT_WINDOWS:
                value = getattr(self, field.name)
                if value != field.default:
                    refuse(
                        f"model.{field.name}", f"{field.default} for a model without windows", value
                    )
        for name in ("rows", "columns"):
            if getattr(self, name) % self.stride:
                expected = f"a multiple of model.stride, {self.stride}"
                refuse(f"model.{name}", expected, getattr(self, name))
        if self.kernel_size % 2 == 0:
            refuse("model.kernel_size", "an odd number", self.kernel_size)
        rows, columns = self.places
        for name in ("hidden_size", "latent_size"):
            value, places = getattr(self, name), rows * columns
            if value % places:
                near = max(1, round(value / places)) * places
                expected = f"a multiple of the {rows} x {columns} places of a map, such as {near}"
                refuse(f"model.{name}", expected, value)

    @property
    def places(self) -> tuple[int, int]:
        """Rows and columns of a map."""
        return self.rows // self.stride, self.columns // self.stride

    @property
    def hidden_maps(self) -> int:
        """Maps of each LSTM."""
        return self.hidden_size // (self.places[0] * self.places[1])

    @property
    def latent_maps(self) -> int:
        """Maps of latent variables of each step."""
        return self.latent_size // (self.places[0] * self.places[1])

    @property
    def layer_sizes(self) -> tuple[tuple[int, int], int]:
        """Rows and columns of a map, and side of the kernels, as the layers take them."""
        return self.places, self.kernel_size


UNUSED_WITHOUT_WINDOWS = "read_size", "write_size", "read_heads", "write_heads"
"""Fields of `DRAWConfig` that say nothing of a model that has no windows."""


@dataclass(frozen=True)
class ClassifierConfig(ModelConfig):
    """Config of a recurrent attention classifier; the defaults are section 4.1's for 100x100."""

    kind = "classifier"

    rows: Count = 100
    columns: Count = 100
    glimpses: Count = 8
    """Number of glimpses before the answer."""
    attention: Window = "gaussian"
    """Through what it looks, as in `DRAWConfig`; the paper's windows have Gaussian filters."""
    read_heads: Heads = 1
    """Windows that it looks through at every glimpse, the paper's 1."""
    hidden_size: Count = 256
    """Units of the LSTM."""
    read_size: Count = 12
    """Side N of the window in filters."""
    classes: Classes = 10
    """Number of classes; by default as many as the images have."""
    window_clip: Positive | None = None
    """Longest gradient (L2) of one image's loss with respect to one glimpse's window controls;
    longer ones are scaled to it, for a loss that is a mean over the batch. None leaves them."""
    early_loss: Annotated[float, Limits(least=0)] = 0.0
    """Weight in training of the answers before the last one: the loss is the weighted mean of the
    cross-entropies of all T answers, where answer t < T counts early_loss t / T and the last 1."""

    @property
    def activations(self) -> tuple[int, int]:
        """Number of glimpses, and the LSTM's units and logits after each."""
        return self.glimpses, self.hidden_size + self.classes


@dataclass(frozen=True)
class ConvnetConfig(ModelConfig):
    """Config of a two-layer convolutional network, Table 1's first row.

    # ours: the paper gives no sizes; these are those of Mnih et al. (2014), whom it compares with.
    """

    kind = "convnet"

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
    """Number of classes; by default as many as the images have."""

    def __post_init__(self) -> None:
        super().__post_init__()
        most = min(self.rows, self.columns)
        if self.filter_size > most:
            refuse("model.filter_size", f"at most the images' {most} pixels", self.filter_size)

    @property
    def activations(self) -> tuple[int, int]:
        """One look, and the units of the fully connected layer."""
        return 1, self.hidden_size


BACKEND_OF_KERNEL = {"auto": "auto", "reference": "reference", "fused": "auto"}
"""The backend in the place of each kernel, which model configs named before there were backends."""


def without_kernel(values: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """A model's config without the field `kernel`, which it had when it also said how to run.

    Returns:
        All other values; the backend in the place of the kernel, None where there was none.

    Raises:
        DrawError: if it is no such kernel.
    """
    left = dict(values)
    if "kernel" not in left:
        return left, None
    kernel = left.pop("kernel")
    check("model.kernel", Literal["auto", "reference", "fused"], kernel)
    return left, BACKEND_OF_KERNEL[kernel]


KINDS_BEFORE_NAMES = DRAWConfig, ClassifierConfig, ConvnetConfig
"""Config classes of the first format, whose files do not name their kind."""


def to_plain(config: ModelConfig) -> dict[str, Any]:
    """Convert a model's config to plain values, the name of its kind first."""
    return {"kind": config.kind, **dataclasses.asdict(config)}


def to_file(config: ModelConfig) -> dict[str, Any]:
    """Convert a model's config to the values of config.json: `to_plain`, with the format."""
    return {"format": FORMAT, **to_plain(config)}


def read_model_config(values: object, kinds: Mapping[str, type[ModelConfig]]) -> ModelConfig:
    """Restore a model's config from the values that `to_plain` or `to_file` made.

    Where no kind is named, as in files of before the first format, the config is of the kind in
    `KINDS_BEFORE_NAMES` that has most of the names. A field `kernel`, as in files of before the
    backends, is passed over: a model does not say how it is run, whoever runs it does.

    Args:
        values: plain values of JSON.
        kinds: the config class of each kind.

    Raises:
        DrawError: if the kind is unknown or the format newer than `FORMAT`, or a field is unknown
            or has a value that does not fit.
    """
    given, _ = without_kernel(names_and_values("model", values))
    form, name = given.pop("format", None), given.pop("kind", None)
    if form is not None:
        check("format", Count, form)
        if form > FORMAT:
            raise DrawError(
                f"expected a config of format {FORMAT} at most, got {form}; it comes from a newer "
                "version of draw: install that"
            )
    if name is not None or form is not None:
        check("model.kind", str, name)
        return cast(ModelConfig, from_plain(part_of(kinds, "kind", name), "model", given))
    kind = max(
        KINDS_BEFORE_NAMES,
        key=lambda kind: len({field.name for field in dataclasses.fields(kind)} & set(given)),
    )
    return cast(ModelConfig, from_plain(kind, "model", given))


Steps = Annotated[int, Limits(least=1, most=99_999_999)]
"""Steps of training: their checkpoints are named, and so ordered, by eight digits."""
