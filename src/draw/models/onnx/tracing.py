"""ONNX graphs of a generator: PyTorch's trace of one step, its start, and a Scan over the steps."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from draw.attention.abstract import AbstractWindow
from draw.config.model import DRAWConfig
from draw.model.draw import DRAW
from draw.parts.state import State

if TYPE_CHECKING:
    import onnx

DRAWING_FILE = "generator.onnx"
START_FILE = "generator-start.onnx"
STEP_FILE = "generator-step.onnx"

OPSET = 18
"""Version of ONNX's operators that PyTorch's exporter writes without a conversion; every runtime
since 2023 reads it."""
STATE = "canvas", "h_dec", "c_dec"
"""Names of what one step of a drawing hands to the next."""


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
        return (*generator_state(state), state.canvas.sigmoid(), *window_numbers(window).values())


def generator_state(state: State) -> tuple[Tensor, Tensor, Tensor]:
    """The parts of a state that a step without an encoder needs, in the order of `STATE`."""
    return state.canvas, state.h_dec, state.c_dec


@torch.no_grad()
def first_window(model: DRAW) -> AbstractWindow | None:
    """Write window of a model that has drawn nothing yet, [1]; None without attention."""
    _, window = model.attention.write(model.h_dec_0[None])
    return window


def label_inputs(model: DRAW) -> tuple[str, ...]:
    """Names of the inputs besides state and noise: labels, for a class-conditional model."""
    return ("labels",) if model.condition.takes_labels else ()


def window_numbers(window: AbstractWindow | None) -> dict[str, Tensor]:
    """Numbers of a window by name, which a step gives beside its state and its image."""
    return {} if window is None else window.numbers


def step_graph(model: DRAW, numbers: Sequence[str]) -> "onnx.GraphProto":
    """Trace one step of a drawing.

    Args:
        model: the model, on the CPU in float32.
        numbers: names of the numbers of its write window.
    """
    state = [part.clone() for part in generator_state(model.initial_state(2))]
    inputs = [*state, torch.zeros(2, model.config.latent_size)]
    names = [*(f"{name}_before" for name in STATE), "z", *label_inputs(model)]
    if label_inputs(model):
        inputs.append(torch.zeros(2, dtype=torch.int64))
    return trace(_Step(model), inputs, names, [*STATE, "image", *numbers])


def trace(
    module: nn.Module, inputs: Sequence[Tensor], names: Sequence[str], results: Sequence[str]
) -> "onnx.GraphProto":
    """Trace a step by PyTorch's exporter, for any number of images.

    Args:
        module: the step, with tensors for arguments and results.
        inputs: tensors to trace it with, the batch first.
        names: names of the inputs.
        results: names of the results.
    """
    batch = torch.export.Dim("batch")
    with _without_chatter():
        program = torch.onnx.export(
            module.eval(),
            tuple(inputs),
            input_names=names,
            output_names=results,
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


def expand(
    state: Mapping[str, Tensor], ending: str = ""
) -> "tuple[list[onnx.NodeProto], list[onnx.TensorProto]]":
    """Make nodes and weights that give the parts of a state for `batch` images.

    Args:
        state: parts of the state of one image, by name.
        ending: ending of the names that the nodes give them.
    """
    from onnx import helper, numpy_helper

    nodes, weights = [], []
    for name, part in state.items():
        shape = np.array(part.shape[1:], np.int64)
        weights.append(numpy_helper.from_array(part.numpy(), f"{name}_0"))
        weights.append(numpy_helper.from_array(shape, f"{name}_shape"))
        nodes.append(
            helper.make_node("Concat", ["batch", f"{name}_shape"], [f"{name}_size"], axis=0)
        )
        nodes.append(helper.make_node("Expand", [f"{name}_0", f"{name}_size"], [f"{name}{ending}"]))
    return nodes, weights


def start_graph(model: DRAW) -> "onnx.GraphProto":
    """Make the graph of the learned state before the first step, for any number of images."""
    from onnx import TensorProto, helper

    state = dict(zip(STATE, generator_state(model.initial_state(1)), strict=True))
    nodes, weights = expand(state)
    outputs = [value(name, "batch", *part.shape[1:]) for name, part in state.items()]
    batch = helper.make_tensor_value_info("batch", TensorProto.INT64, [1])
    return helper.make_graph(nodes, "start", [batch], outputs, weights)


def drawing_graph(
    model: DRAW, step: "onnx.GraphProto", numbers: Mapping[str, Tensor]
) -> "onnx.GraphProto":
    """Make the graph of the whole drawing: a Scan over the graph of one step.

    Args:
        model: the model, on the CPU in float32.
        step: result of `step_graph`.
        numbers: numbers of the model's write window, by name.
    """
    from onnx import helper

    shape = model.config.image_shape
    # What Scan keeps of all steps must be other outputs than what it hands on.
    canvas = helper.make_node("Identity", ["step/canvas"], ["step/canvas_kept"])
    state = dict(zip(STATE, generator_state(model.initial_state(1)), strict=True))
    kept: dict[str, tuple[int, ...]] = {"canvases": shape, "images": shape}
    kept |= {name: tuple(number.shape[1:]) for name, number in numbers.items()}
    return scan_graph(model, "drawing", step, state, "z", kept, {}, canvas)


def scan_graph(
    model: DRAW,
    name: str,
    step: "onnx.GraphProto",
    state: Mapping[str, Tensor],
    noise: str,
    kept: Mapping[str, tuple[int, ...]],
    given: "Mapping[str, onnx.ValueInfoProto]",
    canvas: "onnx.NodeProto | None" = None,
) -> "onnx.GraphProto":
    """Make the graph of all steps: a Scan over the graph of one.

    Args:
        model: the model, on the CPU in float32.
        name: name of the graph.
        step: graph of one step: what it hands on, then the noise, then what is the same at every
            step.
        state: parts of the state before the first step of one image, by name.
        noise: name of the noise, [glimpses, batch, latent].
        kept: shapes of what is kept of every step for each image, by name.
        given: further inputs that are the same at every step, by name.
        canvas: node in a step that copies its canvas, to be kept first; None for none.
    """
    from onnx import TensorProto, compose, helper

    config = model.config
    body = compose.add_prefix_graph(step, "step/")
    labels = {
        label: helper.make_tensor_value_info(label, TensorProto.INT64, ["batch"])
        for label in label_inputs(model)
    }
    same = {**given, **labels}
    del body.input[len(state) + 1 :]
    for outer in same:
        body.node.insert(0, helper.make_node("Identity", [outer], [f"step/{outer}"]))
    if canvas is not None:
        body.node.append(canvas)
        body.output.insert(len(state), value(canvas.output[0], "batch", *config.image_shape))
    nodes, weights = expand(state, "_start")
    graph_nodes = [
        helper.make_node("Shape", [noise], ["batch"], start=1, end=2),
        *nodes,
        helper.make_node(
            "Scan",
            [*(f"{part}_start" for part in state), noise],
            [*(f"{part}_T" for part in state), *kept],
            body=body,
            num_scan_inputs=1,
        ),
    ]
    steps = value(noise, config.glimpses, "batch", config.latent_size)
    outputs = [value(part, config.glimpses, "batch", *shape) for part, shape in kept.items()]
    inputs = [*given.values(), steps, *labels.values()]
    return helper.make_graph(graph_nodes, name, inputs, outputs, weights)


def value(name: str, *shape: int | str) -> "onnx.ValueInfoProto":
    """Describe an input or output of 32-bit floats by its name and shape."""
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def serialize(graph: "onnx.GraphProto", what: str, config: DRAWConfig) -> bytes:
    """Make the content of an ONNX file, checked.

    Args:
        graph: graph of the file.
        what: what the graph computes, in words.
        config: config of the model, which is noted in the file.
    """
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
