"""ONNX Runtime draws with the files of a generator, beside PyTorch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from draw.errors import DrawError
from draw.model.draw import DRAW
from draw.models.onnx.encoder import ENCODER_FILE, encoder_trial
from draw.models.onnx.tracing import DRAWING_FILE, START_FILE, STATE, STEP_FILE, window_numbers

TOLERANCE = 1e-4
"""Greatest difference of ONNX Runtime from PyTorch: of images, and of all else as a fraction of the
largest number of a drawing where that is above 1. Canvases, in logits, reach hundreds; rounding
makes as much."""


def compare(model: DRAW, files: dict[str, bytes]) -> float:
    """Compare three drawings of both, whole and step by step; the trace was of two.

    Args:
        model: the model, on the CPU in float32.
        files: contents of the ONNX files, by name.

    Returns:
        The largest difference of any canvas, image or window, as in `TOLERANCE`.

    Raises:
        DrawError: if the difference is above `TOLERANCE`, or ONNX Runtime cannot draw.
    """
    noise, labels = model.noise_for(3, seed=0), model.labels_for(3)
    drawing = model.generate(3, noise=noise, labels=labels)
    told = {} if labels is None else {"labels": labels.numpy()}
    expected = [drawing.canvases, drawing.images, *window_numbers(drawing.write_windows).values()]
    try:
        found = {
            DRAWING_FILE: _run(files[DRAWING_FILE], {"z": noise.numpy(), **told}),
            STEP_FILE: _steps(files, noise.numpy(), told),
        }
        inputs, codes = encoder_trial(model)
        found[ENCODER_FILE] = _run(files[ENCODER_FILE], inputs)[: len(codes)]
    except Exception as error:  # ONNX Runtime's own, one class for each of its states
        raise DrawError(
            "expected ONNX Runtime to draw with what was exported, got an error; nothing was "
            "written. A part of the model that counts its batch with len() fixes it in the graph: "
            f"let shapes come from tensors. It said: {error}"
        ) from error
    differences = {
        name: _largest([_difference(a.numpy(), b) for a, b in zip(ours, they, strict=True)])
        for name, they in found.items()
        for ours in [codes if name == ENCODER_FILE else expected]
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
        before = {f"{name}_before": part for name, part in zip(STATE, state, strict=True)}
        results = session.run(None, {**before, "z": z, **told})
        state = results[: len(STATE)]
        kept.append([results[0], *results[len(STATE) :]])
    return [np.stack(parts) for parts in zip(*kept, strict=True)]
