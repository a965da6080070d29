"""draw export and models: models to give away, and those that come with the package."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from draw.cli.options import at_least, words_apart_from, write_result


def export(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    to: Path,
    name: str | None = None,
    precision: Literal["fp32", "fp16", "bf16"] = "fp32",
    importance_samples: int = 0,
    onnx: bool = False,
    path: Annotated[str | None, arg(name="data.path")] = None,
    json: Annotated[str | None, arg(metavar="FILE")] = None,
) -> None:
    """Write the best model of a run into a folder, as the Hub keeps models.

    config.json, model.safetensors, pictures, and a model card (README.md) with data, command,
    hardware, time and figures. These are measured on the weights that are written, validation and
    test images each. The folder works wherever a MODEL is asked for.

    Args:
        run: the run folder.
        to: a new folder.
        name: what the model is called on its card; by default as the folder.
        precision: of the stored weights; 16 bits halve the file. draw computes as before.
        importance_samples: K of the importance-weighted estimate on the test images.
        onnx: also write the generator as ONNX, whole and step by step, and compare ONNX Runtime's
            drawings with PyTorch's; needs onnx, onnxscript and onnxruntime.
        path: where the run's images are, if not where they were.
        json: also write the figures as JSON to this file (- for standard output).
    """
    import dataclasses

    from draw.checkpoint import read_run_file
    from draw.data import load_splits
    from draw.export import export as write
    from draw.train import make_accelerator

    at_least(("--importance-samples", importance_samples, 0))
    config = read_run_file(run).data
    splits = load_splits(dataclasses.replace(config, path=path or config.path))
    figures = write(
        run,
        splits,
        to,
        make_accelerator("fp32"),
        name=name or to.resolve().name,
        precision=precision,
        importance_samples=importance_samples,
        onnx=onnx,
    )
    with words_apart_from(json):
        print(to / "README.md")
        if onnx:
            print(f"ONNX: {figures['onnx']['difference']:.1e} from PyTorch at most")
    write_result(json, figures)


def models(json: Annotated[str | None, arg(metavar="FILE")] = None) -> None:
    """List the models that come with the package: name, what they are, and their test figure.

    Args:
        json: also write the list as JSON to this file (- for standard output).
    """
    from draw.export import listed
    from draw.tables import print_models

    found = listed()
    with words_apart_from(json):
        print_models(found)
    write_result(json, found)
