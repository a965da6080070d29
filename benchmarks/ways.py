"""What the benchmarks compare: rows of Table 3, and several ways of computing the same model."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.devices import as_graph
from benchmarks.eager import EagerDRAW
from draw.config.model import DRAWConfig
from draw.config.presets import cifar10, mnist, mnist_no_attention, mnist_small, svhn
from draw.config.run import Config
from draw.kernels import BACKENDS, choose
from draw.model.draw import DRAW
from draw.parts.state import DRAWOutput

OTHERS = "eager", "compile", "compile-loop"
"""Ways to compute a model besides draw's own backends: benchmarks/eager.py, and that with a single
glimpse or the whole loop under torch.compile."""
OTHER_STEPS = "jax", "floor"
"""Ways to make a training step besides: lax.scan in JAX, and its matrix products alone."""
Precision = Literal["fp32", "bf16", "fp16"]
RowName = Literal["mnist", "mnist-no-attention", "mnist-small", "svhn", "cifar"]

CPU = torch.device("cpu")
BOTH: tuple[Precision, ...] = ("fp32", "bf16")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Drawer = DRAW | EagerDRAW


def made_for(device: torch.device) -> tuple[str, ...]:
    """Names of the backends that are made for a device in particular, the preferred one first.

    On a CPU without those that have a doubt about every CPU; on a GPU doubts are what is measured.
    """
    model = DRAW(ROWS["mnist-small"].model)
    return tuple(
        name
        for name, backend in BACKENDS.items()
        if backend.devices is not None
        and device.type in backend.devices
        and (device.type != "cpu" or backend.doubt(model, device) is None)
    )


def usual_ways(config: DRAWConfig, device: torch.device) -> tuple[str, ...]:
    """The eager loop, the reference, and the backends made for a device that take a model.

    What stands in the way of the others is printed.
    """
    model, ways = DRAW(config).to(device), ["eager", "reference"]
    for name in made_for(device):
        found = choose.obstacle(BACKENDS[name], model, device, torch.float32)
        if found is None:
            ways.append(name)
        else:
            print(f"without {name}: {found}")
    return tuple(ways)


def model_of(preset: Config) -> DRAWConfig:
    """The model that a preset trains, which is a DRAW."""
    assert isinstance(preset.model, DRAWConfig)
    return preset.model


class Row(NamedTuple):
    """A model, and the number of rounds that measure it in a minute or so."""

    model: DRAWConfig
    rounds: int


ROWS: dict[RowName, Row] = {
    "mnist": Row(model_of(mnist()), rounds=7),
    "mnist-no-attention": Row(model_of(mnist_no_attention()), rounds=5),
    "mnist-small": Row(model_of(mnist_small()), rounds=7),
    "svhn": Row(model_of(svhn()), rounds=3),
    "cifar": Row(model_of(cifar10()), rounds=3),
}


@dataclass(frozen=True)
class Shape:
    """Which model, and how many images at a time."""

    row: RowName = "mnist"
    """A row of Table 3; mnist-no-attention is Table 2's, mnist-small the preset."""
    batch: int = 128
    """Images at a time."""
    glimpses: int | None = None
    """T, instead of the row's."""
    hidden_size: int | None = None
    """Units of each LSTM, instead of the row's."""
    read_size: int | None = None
    """Side of the read window, instead of the row's."""
    write_size: int | None = None
    """Side of the write window, instead of the row's."""

    @property
    def changes(self) -> dict[str, Any]:
        """The model's numbers that are not the row's."""
        names = ("glimpses", "hidden_size", "read_size", "write_size")
        given = {name: getattr(self, name) for name in names}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def config(self) -> DRAWConfig:
        """The model."""
        return replace(ROWS[self.row].model, **self.changes)

    @property
    def name(self) -> str:
        """The row and whatever differs from it, for the name of a result."""
        batch = {} if self.batch == Shape.batch else {"batch": self.batch}
        numbers = {**batch, **self.changes}.items()
        return "-".join([self.row, *(f"{name.replace('_', '-')}-{n}" for name, n in numbers)])

    @property
    def facts(self) -> dict[str, object]:
        """What a result says of it."""
        model = {key: value for key, value in asdict(self.config).items() if key != "kernel"}
        return {"row": self.row, "batch": self.batch, "model": model}


class Inputs(NamedTuple):
    """What a model is given."""

    images: Tensor
    noise: Tensor


def inputs(config: DRAWConfig, batch: int, device: torch.device = CPU) -> Inputs:
    """Images of black and white pixels, as many of them white as in MNIST, and noise."""
    chance = torch.Generator().manual_seed(0)
    x = torch.bernoulli(torch.full((batch, *config.image_shape), 0.13), generator=chance)
    noise = torch.randn(config.glimpses, batch, config.latent_size, generator=chance)
    return Inputs(x.to(device), noise.to(device))


def starting_weights(config: DRAWConfig) -> dict[str, Tensor]:
    """The weights that every way begins with: `DRAW`'s own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DRAW(config).state_dict()


def build(way: str, config: DRAWConfig, device: torch.device = CPU) -> Drawer:
    """A model of its own for a way, with the starting weights.

    Raises:
        SystemExit: if there is no such way.
    """
    if way in ("auto", *BACKENDS):
        model: Drawer = DRAW(config)
        model.backend = way
    elif way in OTHERS:
        model = EagerDRAW(config)
    else:
        ways = ", ".join(["auto", *BACKENDS, *OTHERS])
        raise SystemExit(f"expected a way to compute a model, one of {ways}, got {way!r}")
    model.load_state_dict(starting_weights(config))
    model.to(device)
    for name in ("step", "draw") if way == "compile" else ():
        setattr(model, name, torch.compile(getattr(model, name)))
    if way == "compile-loop":
        model.compile()
    return model


def products_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Autocast, which rounds the operands of matrix products; nothing for fp32."""
    return torch.autocast(device.type, DTYPES[precision], enabled=precision != "fp32")


def bound(model: Drawer, precision: Precision, x: Tensor, noise: Tensor) -> Tensor:
    """The bound of each image, in nats, by any of the ways."""
    given = (x, noise, model.labels_for(len(x))) if isinstance(model, DRAW) else (x, noise)
    with products_in(precision, x.device):
        result: Tensor | DRAWOutput = model(*given)
    return result if isinstance(result, Tensor) else result.bound


def generate(model: Drawer, precision: Precision, noise: Tensor) -> Tensor:
    """The canvases of new images after every step, by any of the ways."""
    with products_in(precision, noise.device):
        if isinstance(model, DRAW):
            return model.generate(noise.shape[1], noise=noise).canvases
        return model.generate(noise)


def optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """Adam, as in training."""
    return torch.optim.Adam(model.parameters(), 1e-4, fused=True)


def update(model: nn.Module, adam: torch.optim.Optimizer, losses: Tensor) -> None:
    """Gradient, clipping and Adam."""
    torch.autograd.backward(losses.mean())
    torch.nn.utils.clip_grad_norm_(model.parameters(), 100.0)
    adam.step()
    adam.zero_grad()


def training_step(model: Drawer, precision: Precision) -> Callable[[Tensor, Tensor], None]:
    """A function of images and noise that makes one update of a model."""
    adam = optimizer(model)
    return lambda x, noise: update(model, adam, bound(model, precision, x, noise))


def timed_step(
    way: str,
    precision: Precision,
    config: DRAWConfig,
    batch: int,
    device: torch.device = CPU,
) -> Callable[[], object]:
    """A training step of a given model and batch, ready to be timed."""
    if way == "floor":
        return as_graph(matrix_products(config, batch, precision, device), device)
    x, noise = inputs(config, batch, device)
    if way == "jax":
        from benchmarks.lax_scan import training_step as jax_step

        weights = {name: value.to(device) for name, value in starting_weights(config).items()}
        return jax_step(weights, config, precision, x, noise)
    return partial(training_step(build(way, config, device), precision), x, noise)


def matrix_products(
    config: DRAWConfig, batch: int, precision: Precision, device: torch.device = CPU
) -> Callable[[], None]:
    """The floor: the matrix products of one training step alone, whose results go nowhere.

    They are batched as well as the recurrence allows: for each matrix one product a glimpse
    forward and one backward, and its gradient once for the whole sequence. Without attention the
    image is the same at every glimpse, so that its share of the encoder is one product forward and
    one for the gradient; the error image's share is one a glimpse.
    """
    dtype = DTYPES[precision]
    h, z, channels = config.hidden_size, config.latent_size, config.channels
    pixels = channels * config.rows * config.columns
    if config.attention == "gaussian":
        seen, written = 2 * channels * config.read_size**2, channels * config.write_size**2 + 10
        once = []
    else:
        seen, written = pixels, pixels
        once = [(pixels, 4 * h)]
    shapes = [(seen + 2 * h, 4 * h), (h, 2 * z), (z + h, 4 * h), (h, written)]

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=dtype, device=device)

    def arguments_and_gradients(shapes: list[tuple[int, int]], n: int) -> list[tuple[Tensor, ...]]:
        return [(random(n, inputs), random(n, outputs)) for inputs, outputs in shapes]

    weights = [random(*shape) for shape in shapes]
    weights_once = [random(*shape) for shape in once]
    glimpse = arguments_and_gradients(shapes, batch)
    sequence = arguments_and_gradients(shapes, config.glimpses * batch)
    image = arguments_and_gradients(once, batch)

    def products() -> None:
        for (argument, _), weight in zip(image, weights_once, strict=True):
            argument @ weight
        for _ in range(config.glimpses):
            for (argument, _), weight in zip(glimpse, weights, strict=True):
                argument @ weight
        for _ in range(config.glimpses):
            for (_, gradient), weight in zip(glimpse, weights, strict=True):
                gradient @ weight.T
        for argument, gradient in sequence + image:
            argument.T @ gradient

    return products
