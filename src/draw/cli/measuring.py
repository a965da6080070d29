"""draw evaluate and info: numbers from a model."""

import dataclasses
from typing import Annotated, Any, Literal

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


def evaluate(
    options: Annotated[ModelOptions, arg(name="")],
    data: Annotated[DataOptions, arg(name="")],
    importance_samples: int = 0,
    batch_size: int = 250,
    precision: Literal["auto", "fp32", "bf16"] = "fp32",
) -> None:
    """Measure the bound in nats on every image of a split, each exactly once.

    For a model with the logistic likelihood of 8-bit pixels also in bits per dimension.

    Args:
        options: which model.
        data: which images.
        importance_samples: K of the importance-weighted estimate; takes K times as long.
        batch_size: images at a time; changes speed and memory, not the result.
        precision: of the matrix products.
    """
    from draw.likelihood import meaning
    from draw.report import evaluate_with_progress
    from draw.tables import print_evaluation
    from draw.train import make_accelerator

    at_least(("--importance-samples", importance_samples, 0), ("--batch-size", batch_size, 1))
    accelerator = make_accelerator(precision)
    loaded = load(options)
    images, dynamic = images_for(loaded, data)
    result = evaluate_with_progress(
        loaded.model.to(accelerator.device),
        images,
        accelerator,
        dynamic=dynamic,
        batch_size=batch_size,
        importance_samples=importance_samples,
        seed=options.seed,
    )
    if not accelerator.is_main_process:
        return
    values = {
        "model": loaded.source,
        "weights": loaded.state,
        "data": images.source,
        "split": data.split,
        "likelihood": loaded.model.config.likelihood,
        "binarization": "static" if images.binary else "dynamic" if dynamic else "none",
        "precision": precision,
        "seed": options.seed,
        **result.to_dict(),
    }
    nats = meaning(loaded.model.config, binary=images.binary, dynamic=dynamic)
    with words_apart_from(options.json):
        print_evaluation(f"{loaded.source}\n{data.split} images of {images.source}\n{nats}", result)
    write_result(options.json, values)


def info(options: Annotated[ModelOptions, arg(name="")]) -> None:
    """Say what a model is: shape, parameters, data, training, and how far it got.

    Args:
        options: which model.
    """
    from draw.likelihood import in_bits
    from draw.tables import print_values

    loaded = load(options)
    config = loaded.model.config
    bits = in_bits(config, loaded.state.get("validation_bound"))
    values: dict[str, Any] = {
        "source": loaded.source,
        "parameters": sum(p.numel() for p in loaded.model.parameters()),
        "device": str(loaded.model.canvas_0.device),
        "kernel": str(loaded.model.kernel),
        "losses": "nats per image"
        + (", and bits per dimension" if config.likelihood == "logistic" else ""),
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
