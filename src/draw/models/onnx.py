"""The generator as ONNX, to draw where there is no PyTorch: in a browser, in another language.

Three files, in single precision, for any number of images at once:

    generator.onnx        z [glimpses, batch, latent] -> canvases, images, windows of all steps
    generator-start.onnx  how many images [1] -> canvas, h_dec, c_dec before the first step
    generator-step.onnx   z [batch, latent] and what the step before left -> one step

z is standard normal noise, of which the model's prior makes the code (eq 13): for the paper's prior
it is the noise itself. A model that is told the class of what it draws has `labels` [batch], int64,
as one more input of drawing and step.

PyTorch's exporter traces one `DRAW.generate_step`; the whole drawing is an ONNX Scan over that very
graph, so that its size does not grow with the number of steps.
"""

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from draw.attention.abstract import AbstractWindow
from draw.config.model import DRAWConfig
from draw.errors import DrawError
from draw.files import write_atomically
from draw.model.draw import DRAW
from draw.model.pretrained import Model
from draw.models.kinds import kind_of
from draw.parts.state import State

if TYPE_CHECKING:
    import onnx

DRAWING_FILE = "generator.onnx"
START_FILE = "generator-start.onnx"
STEP_FILE = "generator-step.onnx"

OPSET = 18
"""Version of ONNX's operators that PyTorch's exporter writes without a conversion; every runtime
since 2023 reads it."""
TOLERANCE = 1e-4
"""Greatest difference of ONNX Runtime from PyTorch: of images, and of all else as a fraction of the
largest number of a drawing where that is above 1. Canvases, in logits, reach hundreds; rounding
makes as much."""
PACKAGES = "onnx", "onnxscript", "onnxruntime"

_STATE = "canvas", "h_dec", "c_dec"


@dataclass(frozen=True)
class Generator:
    """The generator as ONNX files that were run and compared, not yet on disk."""

    files: dict[str, bytes]
    """Contents of the files, by name."""
    difference: float
    """Largest difference between ONNX Runtime and PyTorch, as in `TOLERANCE`."""

    def write(self, folder: Path) -> None:
        """Write the files into a folder, which is made if need be."""
        for name, content in self.files.items():
            with write_atomically(folder / name) as temporary:
                temporary.write_bytes(content)


def check_exportable(model: Model) -> DRAW:
    """Return a model that can be exported here, or refuse it.

    Raises:
        DrawError: if the model does not draw, or a package is missing.
    """
    if not kind_of(model.config).draws:
        raise DrawError(
            f"expected a model that draws for --onnx, got a {type(model).__name__}; export it "
            "without --onnx"
        )
    _check_packages()
    return cast(DRAW, model)


def _check_packages() -> None:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise DrawError(
            f"expected the packages {', '.join(PACKAGES)} for --onnx, found no "
            f"{' and no '.join(missing)}; pip install {' '.join(missing)}, or draw with its extra "
            "'onnx'"
        )


def make_generator(model: DRAW) -> Generator:
    """Make the generator of a model as ONNX files, which ONNX Runtime has run like PyTorch.

    Args:
        model: the model, on any device; the files compute in float32.

    Raises:
        DrawError: if a package is missing, or ONNX Runtime draws something else.
    """
    _check_packages()
    model = copy.deepcopy(model).cpu().float().requires_grad_(False)
    numbers = _numbers(_window(model))
    step = _traced_step(model, [*numbers])
    graphs = {
        DRAWING_FILE: (_drawing(model, step, numbers), "The whole drawing (eqs 13-16)"),
        START_FILE: (_start(model), "The state before the first step"),
        STEP_FILE: (step, "One step of a drawing (eqs 14-15)"),
    }
    files = {
        name: _model(graph, f"{what}, by a DRAW model (Gregor et al. 2015)", model.config)
        for name, (graph, what) in graphs.items()
    }
    return Generator(files, _compared(model, files))


class _Step(nn.Module):
    """`DRAW.generate_step` with tensors for arguments and results."""

    def __init__(self, model: DRAW) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, canvas: Tensor, h_dec: Tensor, c_dec: Tensor, z: Tensor, labels: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """The three of the state, the image, and the window's numbers where there is one."""
        told = self.model.addends(labels)
        unused = self.model.initial_state(z.shape[0])
        before = unused._replace(canvas=canvas, h_dec=h_dec, c_dec=c_dec)
        state, window = self.model.generate_step(z, before, told)
        return (*_generator_state(state), state.canvas.sigmoid(), *_numbers(window).values())


def _generator_state(state: State) -> tuple[Tensor, Tensor, Tensor]:
    return state.canvas, state.h_dec, state.c_dec


@torch.no_grad()
def _window(model: DRAW) -> AbstractWindow | None:
    """Where a model that has drawn nothing yet would write, once; None without attention."""
    _, window = model.attention.write(model.h_dec_0[None])
    return window


def _labels(model: DRAW) -> tuple[str, ...]:
    """The input for what a model is told, if it is told anything."""
    return ("labels",) if model.condition.takes_labels else ()


def _numbers(window: AbstractWindow | None) -> dict[str, Tensor]:
    """What a step gives beside its state and its image, by name."""
    return {} if window is None else window.numbers


def _traced_step(model: DRAW, numbers: Sequence[str]) -> "onnx.GraphProto":
    batch = torch.export.Dim("batch")
    state = [part.clone() for part in _generator_state(model.initial_state(2))]
    inputs = [*state, torch.zeros(2, model.config.latent_size)]
    names = [*(f"{name}_before" for name in _STATE), "z", *_labels(model)]
    if _labels(model):
        inputs.append(torch.zeros(2, dtype=torch.int64))
    with _without_chatter():
        program = torch.onnx.export(
            _Step(model).eval(),
            tuple(inputs),
            input_names=names,
            output_names=[*_STATE, "image", *numbers],
            dynamic_shapes=[{0: batch}] * len(inputs),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # with dynamo=True it is none
    graph = program.model_proto.graph
    graph.name = "step"
    # The exporter notes the lines of code, with the paths of this computer.
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.ClearField("value_info")
    return graph


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Leave out what the exporter says about itself and about packages that are not used."""
    registry = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registry.level
    registry.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            warnings.filterwarnings("ignore", "# The axis name: batch", UserWarning)
            yield
    finally:
        registry.setLevel(level)


def _expanded(
    model: DRAW, ending: str = ""
) -> "tuple[list[onnx.NodeProto], list[onnx.TensorProto]]":
    """Nodes and weights that make the three of the state for `batch` images, with this ending."""
    from onnx import helper, numpy_helper

    nodes, weights = [], []
    for name, part in zip(_STATE, _generator_state(model.initial_state(1)), strict=True):
        shape = np.array(part.shape[1:], np.int64)
        weights.append(numpy_helper.from_array(part.numpy(), f"{name}_0"))
        weights.append(numpy_helper.from_array(shape, f"{name}_shape"))
        nodes.append(
            helper.make_node("Concat", ["batch", f"{name}_shape"], [f"{name}_size"], axis=0)
        )
        nodes.append(helper.make_node("Expand", [f"{name}_0", f"{name}_size"], [f"{name}{ending}"]))
    return nodes, weights


def _start(model: DRAW) -> "onnx.GraphProto":
    from onnx import TensorProto, helper

    nodes, weights = _expanded(model)
    state = _generator_state(model.initial_state(1))
    outputs = [
        _value(name, "batch", *part.shape[1:]) for name, part in zip(_STATE, state, strict=True)
    ]
    batch = helper.make_tensor_value_info("batch", TensorProto.INT64, [1])
    return helper.make_graph(nodes, "start", [batch], outputs, weights)


def _drawing(
    model: DRAW, step: "onnx.GraphProto", numbers: Mapping[str, Tensor]
) -> "onnx.GraphProto":
    from onnx import TensorProto, compose, helper

    config = model.config
    # What Scan keeps of all steps must be other outputs than what it hands on.
    body = compose.add_prefix_graph(step, "step/")
    body.node.append(helper.make_node("Identity", ["step/canvas"], ["step/canvas_kept"]))
    for name in _labels(model):  # of the whole drawing, the same at every step
        del body.input[len(_STATE) + 1 :]
        body.node.insert(0, helper.make_node("Identity", [name], [f"step/{name}"]))
    body.output.insert(len(_STATE), _value("step/canvas_kept", "batch", *config.image_shape))
    nodes, weights = _expanded(model, "_start")
    shapes = {"canvases": config.image_shape, "images": config.image_shape}
    kept = shapes | {name: tuple(value.shape[1:]) for name, value in numbers.items()}
    graph_nodes = [
        helper.make_node("Shape", ["z"], ["batch"], start=1, end=2),
        *nodes,
        helper.make_node(
            "Scan",
            [*(f"{name}_start" for name in _STATE), "z"],
            [*(f"{name}_T" for name in _STATE), *kept],
            body=body,
            num_scan_inputs=1,
        ),
    ]
    z = _value("z", config.glimpses, "batch", config.latent_size)
    outputs = [_value(name, config.glimpses, "batch", *shape) for name, shape in kept.items()]
    labels = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch"]) for name in _labels(model)
    ]
    return helper.make_graph(graph_nodes, "drawing", [z, *labels], outputs, weights)


def _value(name: str, *shape: int | str) -> "onnx.ValueInfoProto":
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(graph: "onnx.GraphProto", what: str, config: DRAWConfig) -> bytes:
    from onnx import checker, helper

    model = helper.make_model_gen_version(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="draw",
        doc_string=what,
    )
    facts = {name: str(value) for name, value in asdict(config).items()}
    helper.set_model_props(model, {"what": what, **facts})
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _compared(model: DRAW, files: dict[str, bytes]) -> float:
    """Draw three images with both, whole and step by step; the trace was of two.

    Returns:
        The largest difference of any canvas, image or window, as in `TOLERANCE`.

    Raises:
        DrawError: if it is above `TOLERANCE`.
    """
    noise, labels = model.noise_for(3, seed=0), model.labels_for(3)
    drawing = model.generate(3, noise=noise, labels=labels)
    told = {} if labels is None else {"labels": labels.numpy()}
    expected = [drawing.canvases, drawing.images, *_numbers(drawing.write_windows).values()]
    try:
        found = {
            DRAWING_FILE: _run(files[DRAWING_FILE], {"z": noise.numpy(), **told}),
            STEP_FILE: _steps(files, noise.numpy(), told),
        }
    except Exception as error:  # ONNX Runtime's own, one class for each of its states
        raise DrawError(
            "expected ONNX Runtime to draw with what was exported, got an error; nothing was "
            "written. A part of the model that counts its batch with len() fixes it in the graph: "
            f"let shapes come from tensors. It said: {error}"
        ) from error
    differences = {
        name: _largest([_difference(a.numpy(), b) for a, b in zip(expected, they, strict=True)])
        for name, they in found.items()
    }
    for name, difference in differences.items():
        if not difference <= TOLERANCE:
            raise DrawError(
                f"expected ONNX Runtime to draw with {name} what PyTorch draws, to within "
                f"{TOLERANCE:g}, got a difference of {difference:.2g}; nothing was written. Check "
                "whether the weights are finite; other versions of onnxruntime or torch may help"
            )
    return _largest([*differences.values()])


def _difference(ours: NDArray[Any], its: NDArray[Any]) -> float:
    """As in `TOLERANCE`, of [glimpses, batch, ...]."""
    assert ours.shape == its.shape
    one_drawing = tuple(axis for axis in range(ours.ndim) if axis != 1)
    with np.errstate(invalid="ignore"):  # infinity less infinity: the result says so
        share = np.abs(ours - its) / np.maximum(1, np.abs(ours).max(one_drawing, keepdims=True))
    return float(np.max(share))


def _largest(differences: list[float]) -> float:
    """Not a number if one of them is none, which Python's `max` might pass over."""
    return float(np.max(differences))


def _run(content: bytes, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    return list(_session(content).run(None, inputs))


def _session(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _steps(
    files: dict[str, bytes], noise: NDArray[Any], told: dict[str, NDArray[Any]]
) -> list[NDArray[Any]]:
    """The drawing by one step after another, as `DRAWING_FILE` gives it."""
    session = _session(files[STEP_FILE])
    state: Sequence[NDArray[Any]] = _run(files[START_FILE], {"batch": np.array([noise.shape[1]])})
    kept = []
    for z in noise:
        before = {f"{name}_before": part for name, part in zip(_STATE, state, strict=True)}
        results = session.run(None, {**before, "z": z, **told})
        state = results[: len(_STATE)]
        kept.append([results[0], *results[len(_STATE) :]])
    return [np.stack(parts) for parts in zip(*kept, strict=True)]


def how_to_run(generator: Generator, model: DRAW) -> str:
    """Section of a model card on how to run the generator."""
    config, window = model.config, _window(model)
    labels, feed, ones = "", "", ""
    if model.condition.takes_labels:
        labels = (
            f"\nlabels = np.arange(9) % {config.classes}  # classes from 0 to {config.classes - 1}"
        )
        if config.label_dropout:
            labels += ", or -1 for none"
        feed, ones = ', "labels": labels', ", and the `labels`"
    fields = ""
    if window is not None:
        names = ", ".join(f"`{name}`" for name in window.numbers)
        meaning = f", that is {window.meaning}" if window.meaning else ""
        fields = f"\n{fill(f'- {names}: where it writes{meaning}.', 100, subsequent_indent='  ')}"
    return f"""## ONNX

The generator draws without PyTorch too (opset {OPSET}). ONNX Runtime's images were within
{generator.difference:.0e} of PyTorch's from the same noise.

```python
import numpy as np
import onnxruntime

draw = onnxruntime.InferenceSession("{DRAWING_FILE}")
shape = {config.glimpses}, 9, {config.latent_size}  # steps, images, latent variables
z = np.random.default_rng(0).standard_normal(shape, dtype=np.float32){labels}
names = [output.name for output in draw.get_outputs()]
drawing = dict(zip(names, draw.run(None, {{"z": z{feed}}})))
images = drawing["images"][-1]  # [9, {", ".join(map(str, config.image_shape))}] in [0, 1]
```

Of every step it gives

- `images`, in [0, 1], and `canvases`, the same in logits.{fields}

To draw step by step, `{START_FILE}` makes `canvas`, `h_dec` and `c_dec` for as many images
as `batch`, an int64 array of one number, says. `{STEP_FILE}` takes them as
`canvas_before`, `h_dec_before` and `c_dec_before`, with the step's `z`{ones}, and gives the next
ones, with the `image`{" and its window" if window else ""}.
"""
