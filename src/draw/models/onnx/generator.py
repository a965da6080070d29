"""The generator of a model as ONNX files: traced, run and compared before any is written."""

import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from draw.errors import DrawError
from draw.extras import check_extra
from draw.files import write_atomically
from draw.model.draw import DRAW
from draw.model.pretrained import Model
from draw.models.kinds import kind_of
from draw.models.onnx.encoder import ENCODER_FILE, encoder_graph
from draw.models.onnx.runtime import compare
from draw.models.onnx.tracing import (
    DRAWING_FILE,
    START_FILE,
    STEP_FILE,
    drawing_graph,
    first_window,
    serialize,
    start_graph,
    step_graph,
    window_numbers,
)


@dataclass(frozen=True)
class Generator:
    """The generator as ONNX files that were run and compared, not yet on disk."""

    files: dict[str, bytes]
    """Contents of the files, by name."""
    difference: float
    """Largest difference between ONNX Runtime and PyTorch, as in `draw.models.onnx.runtime`."""

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Write the files into a folder, which is made if need be."""
        for name, content in self.files.items():
            with write_atomically(Path(folder) / name) as temporary:
                temporary.write_bytes(content)


def check_exportable(model: Model) -> DRAW:
    """Return a model that can be exported here, or refuse it.

    Raises:
        DrawError: if the model does not draw, or a package is missing.
    """
    if not kind_of(model.config).draws:
        raise DrawError(
            f"expected a model that draws for ONNX (--onnx), got a {type(model).__name__}; export "
            "it without"
        )
    check_extra("onnx")
    return cast(DRAW, model)


def make_generator(model: DRAW) -> Generator:
    """Make the generator of a model, and its encoder, as ONNX files that ONNX Runtime has run.

    Args:
        model: the model, on any device; the files compute in float32.

    Raises:
        DrawError: if the model does not draw, a package is missing, or ONNX Runtime draws
            something else.
    """
    model = copy.deepcopy(check_exportable(model)).cpu().float().requires_grad_(False)
    numbers = window_numbers(first_window(model))
    step = step_graph(model, [*numbers])
    graphs = {
        DRAWING_FILE: (drawing_graph(model, step, numbers), "The whole drawing (eqs 13-16)"),
        START_FILE: (start_graph(model), "The state before the first step"),
        STEP_FILE: (step, "One step of a drawing (eqs 14-15)"),
    }
    graphs[ENCODER_FILE] = encoder_graph(model), "The codes of images (eqs 1-8, 10)"
    files = {
        name: serialize(graph, f"{what}, by a DRAW model (Gregor et al. 2015)", model.config)
        for name, (graph, what) in graphs.items()
    }
    return Generator(files, compare(model, files))
