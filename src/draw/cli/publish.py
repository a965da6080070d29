"""The verbs export and models: exported models, and those that come with the package."""

import logging
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from draw.cli.options import Json, words_apart_from, write_result
from draw.config.compute import PLAIN, ComputeConfig, StoredType
from draw.errors import DrawError
from draw.fields import Count, Natural
from draw.terminal import say

logger = logging.getLogger("draw")


def export(
    model: Annotated[Positional[str], arg(metavar="MODEL")],
    to: Path,
    name: str | None = None,
    dtype: StoredType | None = None,
    importance_samples: Natural = 0,
    glimpses: Annotated[Count | None, arg(name="model.glimpses")] = None,
    onnx: bool = False,
    path: Annotated[str | None, arg(name="data.path")] = None,
    cache_dir: Annotated[str | None, arg(name="data.cache-dir")] = None,
    json: Json = None,
    compute: Annotated[ComputeConfig, arg(name="")] = PLAIN,
) -> None:
    """Write a model into a folder, as the Hub keeps models.

    Of a run, its best: config.json, model.safetensors, pictures, and a model card (README.md) with
    data, command, hardware, time and figures. These are measured on the weights that are written,
    validation and test images each. The folder works wherever a MODEL is asked for. A model that is
    no run comes with the card that it has; add --onnx.

    Args:
        model: run folder, exported folder, a name from draw models, or owner/name on the Hub.
        to: a new folder.
        name: what the model is called on its card; by default as the folder.
        dtype: type of the stored weights, fp32 by default; 16 bits halve the file. draw computes as
            before.
        importance_samples: K of the importance-weighted estimate on the test images.
        glimpses: number T of glimpses to store the model for, if not the run's; the figures are of
            that many. Trained for six with --model.early-loss 1, a classifier is better after four
            than trained for four.
        onnx: also write the generator as ONNX, whole and step by step, and compare ONNX Runtime's
            drawings with PyTorch's; needs onnx, onnxscript and onnxruntime.
        path: where the run's images are, if not where they were.
        cache_dir: folder of decoded images; by default the run's, or ~/.cache/draw.
        json: also write the figures as JSON to this file (- for standard output).
        compute: how to measure; in fp32 or tf32, so that figures of cards can be compared.
    """
    import dataclasses

    from draw.data import load_splits
    from draw.model.machine import settle
    from draw.models.export import copy_export
    from draw.models.export import export as write
    from draw.models.kinds import run_config
    from draw.runs.fingerprints import fingerprints_of
    from draw.runs.paths import RUN_FILE
    from draw.training.accelerator import make_accelerator

    if compute.precision not in ("fp32", "tf32"):
        raise DrawError(
            f"expected --precision fp32 or tf32, in which the figures of cards are measured, got "
            f"{compute.precision}; the numbers that are stored are those of --dtype"
        )
    if (Path(model) / RUN_FILE).exists():
        settled = settle(compute)
        config = run_config(Path(model)).data
        fingerprints = fingerprints_of(Path(model))
        splits = load_splits(
            dataclasses.replace(
                config, path=path or config.path, cache_dir=cache_dir or config.cache_dir
            )
        )
        for images in vars(splits).values():
            changed = images.change_since(fingerprints, model)
            if changed and path is None:
                raise DrawError(changed)
            if changed:
                logger.warning("%s", changed)
                break
        figures = write(
            Path(model),
            splits,
            to,
            make_accelerator(settled),
            name=name or to.resolve().name,
            dtype=dtype or "fp32",
            compute=settled,
            importance_samples=importance_samples,
            onnx=onnx,
            glimpses=glimpses,
        )
    elif name or dtype or importance_samples or glimpses or path or cache_dir or compute != PLAIN:
        raise DrawError(
            "expected a run folder for --name, --dtype, --importance-samples, --model.glimpses, "
            "--device, --backend, --precision, --data.path and --data.cache-dir, got "
            f"{model}; leave them out, and it is copied with the card it has"
        )
    else:
        figures = copy_export(model, to, onnx=onnx)
    with words_apart_from(json):
        say(to)
        if onnx:
            say(f"ONNX: {figures['onnx']['difference']:.1e} from PyTorch at most")
    write_result(json, figures)


def models(json: Json = None) -> None:
    """List the models that come with the package.

    Name, what they are, and their test figure.

    Args:
        json: also write the list as JSON to this file (- for standard output).
    """
    from draw.measure.tables import print_models
    from draw.models.card import list_models

    found = list_models()
    with words_apart_from(json):
        print_models(found)
    write_result(json, found)
