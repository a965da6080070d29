"""draw evaluate and info: numbers from a model."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from draw.cli.options import (
    DataOptions,
    ModelOptions,
    at_least,
    images_for,
    load,
    words_apart_from,
    write_result,
)
from draw.errors import DrawError

if TYPE_CHECKING:
    from accelerate import Accelerator

    from draw.classifier import Classifier
    from draw.convnet import Convnet
    from draw.data.images import ImageSet
    from draw.model import DRAW


def evaluate(
    options: Annotated[ModelOptions, arg(name="")],
    data: Annotated[DataOptions, arg(name="")],
    importance_samples: int = 0,
    batch_size: int = 250,
    precision: Literal["auto", "fp32", "bf16"] = "fp32",
) -> None:
    """Measure a model on every image of a split, each exactly once.

    A model that draws: the bound in nats, and with the logistic likelihood of 8-bit pixels also in
    bits per dimension. A classifier: the wrong answers in %, with a 95 % confidence interval.

    Args:
        options: which model.
        data: which images.
        importance_samples: K of the importance-weighted estimate; takes K times as long.
        batch_size: images at a time; changes speed and memory, not the result.
        precision: of the matrix products.
    """
    from draw.model import DRAW
    from draw.train import make_accelerator

    at_least(("--importance-samples", importance_samples, 0), ("--batch-size", batch_size, 1))
    accelerator = make_accelerator(precision)
    loaded = load(options)
    model = loaded.model.to(accelerator.device)
    images, dynamic = images_for(loaded, data)
    title = f"{loaded.source}\n{data.split} images of {images.source}"
    if isinstance(model, DRAW):
        measured, show = _bound(
            model,
            images,
            accelerator,
            title,
            dynamic=dynamic,
            batch_size=batch_size,
            importance_samples=importance_samples,
            seed=options.seed,
        )
    elif importance_samples:
        raise DrawError(
            "expected no --importance-samples for a classifier, which has no latent variables; "
            "leave it out"
        )
    else:
        measured, show = _accuracy(model, images, accelerator, title, batch_size)
    accelerator.end_training()
    if accelerator.is_main_process:
        with words_apart_from(options.json):
            show()
        values = {
            "model": loaded.source,
            "weights": loaded.state,
            "data": images.source,
            "split": data.split,
            "precision": precision,
        }
        write_result(options.json, values | measured)


Measured = tuple[dict[str, Any], Callable[[], None]]
"""Plain values for --json, and what shows them to people."""


def _bound(
    model: "DRAW",
    images: "ImageSet",
    accelerator: "Accelerator",
    title: str,
    *,
    dynamic: bool,
    batch_size: int,
    importance_samples: int,
    seed: int,
) -> Measured:
    from draw.evaluate import evaluate as measure_bound
    from draw.likelihood import meaning
    from draw.report import with_progress
    from draw.tables import print_evaluation

    bound = with_progress(
        images,
        accelerator,
        lambda seen, update: measure_bound(
            model,
            seen.images,
            dynamic=dynamic,
            batch_size=batch_size,
            importance_samples=importance_samples,
            seed=seed,
            accelerator=accelerator,
            on_progress=update,
        ),
    )
    values = {
        "likelihood": model.config.likelihood,
        "binarization": "static" if images.binary else "dynamic" if dynamic else "none",
        "seed": seed,
        **bound.to_dict(),
    }
    nats = meaning(model.config, binary=images.binary, dynamic=dynamic)
    return values, partial(print_evaluation, f"{title}\n{nats}", bound)


def _accuracy(
    model: "Classifier | Convnet",
    images: "ImageSet",
    accelerator: "Accelerator",
    title: str,
    batch_size: int,
) -> Measured:
    from draw.accuracy import measure_accuracy
    from draw.report import with_progress
    from draw.tables import print_accuracy

    accuracy = with_progress(
        images,
        accelerator,
        lambda seen, update: measure_accuracy(
            model, seen, batch_size=batch_size, accelerator=accelerator, on_progress=update
        ),
    )
    return accuracy.to_dict(), partial(print_accuracy, title, accuracy)


def info(options: Annotated[ModelOptions, arg(name="")]) -> None:
    """Say what a model is: shape, parameters, data, training, and how far it got.

    Args:
        options: which model.
    """
    from draw.config import ConvnetConfig, DRAWConfig
    from draw.likelihood import in_bits
    from draw.tables import print_values

    loaded = load(options)
    model, config = loaded.model, loaded.model.config
    losses, bits = "error in %, cross-entropy in nats per image", None
    if isinstance(config, DRAWConfig):
        bits = in_bits(config, loaded.state.get("validation_bound"))
        losses = "nats per image"
        losses += ", and bits per dimension" if config.likelihood == "logistic" else ""
    values: dict[str, Any] = {
        "source": loaded.source,
        "is": type(model).__name__,
        "parameters": sum(p.numel() for p in model.parameters()),
        "device": str(next(model.parameters()).device),
        **({} if isinstance(config, ConvnetConfig) else {"kernel": str(model.kernel)}),
        "losses": losses,
        **{name: v for name, v in loaded.state.items() if isinstance(v, int | float)},
        **({} if bits is None else {"validation_bits_per_dimension": bits}),
        "model": dataclasses.asdict(config),
    }
    if loaded.data is not None:
        values["data"] = dataclasses.asdict(loaded.data)
    if loaded.config is not None:
        values["train"] = dataclasses.asdict(loaded.config.train)
    with words_apart_from(options.json):
        print_values(values)
    write_result(options.json, values)
