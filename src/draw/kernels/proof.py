"""The proof that a compiled kernel computes what the code of a model's class does.

At the first use of a class with some options, a miniature with these options is computed by the
kernel and by its own code, outputs and gradients. Where they differ, one of them is not what it
was: an equation was edited, or a compiler or a library is broken.
"""

import threading
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor, nn

from draw.kernels.allow_list import code_of, expected_of, other_code
from draw.kernels.contract import Contract, Trial

TOLERANCE, TOLERANCE_SINGLE, TOLERANCE_BF16, TOLERANCE_BEYOND = 1e-11, 1e-4, 0.25, 1e-5
"""Largest difference as a share of a tensor's largest number, which counts for at least `FLOOR`:
in float64, float32, with products in bf16, and of windows beyond the limits, where rounding is
enlarged. Measured were 4e-15, 3e-6, 0.09 and 1e-7."""
FLOOR = 1e-3
BEYOND = 2e4, -2e4, 25.0, 23.0, -21.0
"""Controls of a window beyond every limit of `window_parameters`, each of which
has its effect on what is written."""

_Verdict = tuple[list[Any], str | None]
_verdicts: dict[tuple[Any, ...], _Verdict] = {}
_miniatures: dict[tuple[Contract, Hashable], Any] = {}
_lock = threading.Lock()


def difference(contract: Contract, model: nn.Module, *, bf16: bool) -> str | None:
    """Say how a kernel differs from the code of a model's class; None where the two are the same.

    Found out once for each class, its options, and each state of the package's code: functions that
    are replaced later are other code. Not seen are changes of torch itself after the first use.

    Args:
        contract: contract of the kernel.
        model: a model without an `allow_list.obstacle`; its class and options count, and whether it
            trains.
        bf16: whether matrix products round to bfloat16.
    """
    expected, kind = expected_of(contract, model), type(model)
    base, miniature = expected.root.kind, _miniature(contract, model)
    key = contract, kind, miniature, model.training, bf16
    code = code_of(kind, expected.kinds)
    with _lock:
        known = _verdicts.get(key)
        if known is None or known[0] != code:
            found = other_code(expected, contract, kind) or _in_a_thread(
                lambda: _compared(contract, _made(base, kind, miniature, model.training), bf16)
            )
            known = _verdicts[key] = code, found
    return known[1]


def _miniature(contract: Contract, model: nn.Module) -> Any:
    """A small config with a model's options."""
    config: Any = model.config
    key = contract, contract.key(config)
    if key not in _miniatures:
        _miniatures[key] = contract.miniature(config)
    return _miniatures[key]


def _in_a_thread(compare: Callable[[], str | None]) -> str | None:
    """What a comparison says, made where torch's modes have their defaults.

    Autocast, gradients on or off, default devices and all other modes belong to a thread.
    """
    said: list[str | None] = []

    def run() -> None:
        try:
            said.append(compare())
        except Exception as error:  # of code that may be anybody's
            said.append(f"a miniature of this model fails in it ({type(error).__name__}: {error})")

    thread = threading.Thread(target=run, name="draw-proof")
    thread.start()
    thread.join()
    return said[0]


def _made(
    base: type[nn.Module], kind: type[nn.Module], miniature: Any, training: bool
) -> nn.Module:
    """A miniature of a class with random numbers; torch's own random numbers go on undisturbed."""
    with torch.device("meta"):
        model = base(miniature)
    model.__class__ = kind  # a subclass may want more than a config
    return model.to_empty(device="cpu").double().train(training)


def _compared(contract: Contract, model: nn.Module, bf16: bool) -> str | None:
    """In double precision; in single, as it will be used; and with windows beyond all limits."""
    config: Any = model.config
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            drawn = torch.randn(parameter.shape, generator=random, dtype=torch.float64)
            parameter.copy_(0.4 * drawn)
    inputs = contract.inputs(config, random)
    expected = _numbers(contract, contract.reference, model, inputs)
    found = _numbers(contract, contract.kernel, model, inputs)
    said = _difference(expected, found, TOLERANCE)
    if said is None:
        single = [tensor.float() for tensor in inputs]
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            found = _numbers(contract, contract.kernel, model.float(), single)
            if bf16:  # not the same numbers, but of the same types
                expected = _numbers(contract, contract.reference, model, single)
            else:
                found = {name: value.double() for name, value in found.items()}
        said = _difference(expected, found, TOLERANCE_BF16 if bf16 else TOLERANCE_SINGLE)
    placing = [name for name in contract.parameters(config) if name.endswith("_window.bias")]
    if said is None and placing:
        model.double()
        with torch.no_grad():
            for name in placing:
                model.get_parameter(name).copy_(torch.tensor(BEYOND))
        expected = _numbers(contract, contract.reference, model, inputs)
        found = _numbers(contract, contract.kernel, model, inputs)
        said = _difference(expected, found, TOLERANCE_BEYOND)
    return said


def _difference(
    expected: dict[str, Tensor], found: dict[str, Tensor], tolerance: float
) -> str | None:
    for name, value in expected.items():
        other = found[name]
        if (value.shape, value.dtype) != (other.shape, other.dtype):
            return (
                f"this code computes {name} as {value.dtype} {list(value.shape)}, not as "
                f"{other.dtype} {list(other.shape)}"
            )
        error = float((other - value).abs().max()) / (float(value.abs().max()) + FLOOR)
        if not error <= tolerance:  # NaN is a difference too
            return f"this code computes another {name}: in a miniature it differs by {error:.1g}"
    return None


def _numbers(
    contract: Contract, compute: Callable[..., Trial], model: nn.Module, inputs: list[Tensor]
) -> dict[str, Tensor]:
    """Outputs, what is seen, and the gradients of a loss in which every output has its weights."""
    config: Any = model.config
    given = [tensor.detach().requires_grad_() for tensor in inputs]
    outputs, seen = compute(model, *given)
    random = torch.Generator().manual_seed(1)
    parts = [
        (torch.randn(output.shape, generator=random, dtype=torch.float64) * output).sum()
        for output in outputs.values()
    ]
    leaves = {f"input {n}": tensor for n, tensor in enumerate(given)}
    leaves |= {name: model.get_parameter(name) for name in contract.parameters(config)}
    slopes = torch.autograd.grad(
        torch.stack(parts).sum(), list(leaves.values()), materialize_grads=True
    )
    gradients = {f"gradient of {name}": g for name, g in zip(leaves, slopes, strict=True)}
    return {name: value.detach() for name, value in {**outputs, **seen, **gradients}.items()}
