"""The proof that a compiled kernel computes what the code of a model's class does.

At the first use of a class with some options, a miniature with these options is computed by the
kernel and by its own code, outputs and gradients. Where they differ, one of them is not what it
was: an equation was edited, or a compiler or a library is broken.
"""

import threading
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from draw.kernels.allow_list import expected_of, other_code
from draw.kernels.contract import Contract, Trial
from draw.kernels.package_code import code_from_elsewhere, code_of, same_code

CPU = torch.device("cpu")

TOLERANCE, TOLERANCE_BEYOND, FLOOR = 1e-11, 1e-5, 1e-3
"""Largest difference as a share of a tensor's largest number, which counts for at least `FLOOR`, in
float64; and of windows beyond the limits, where rounding is enlarged. Measured were 4e-15, 1e-7."""
TOLERANCES = {torch.float32: 1e-4, torch.float16: 0.05, torch.bfloat16: 0.25}
"""Largest difference of a kernel in float32, by the type of the operands of products. Measured were
3e-6, 0.007 and 0.09."""
TOLERANCE_TF32 = 0.02
"""Largest difference where float32 is multiplied as TF32, whose operands have the bits of
float16."""
GRADIENT = "gradient of "
"""What the names of gradients begin with."""
BEYOND = 2e4, -2e4, 25.0, 23.0, -21.0, 3e4
"""Controls of a window beyond every limit of `window_parameters` and of its angle, if it has one;
each of them has its effect on what is written."""
BEYOND_SINGLE = 2e4, -2e4, 25.0, -25.0, -21.0
"""Controls of such a window without a stride that leaves nothing of float32's digits."""

NOT_OF_THE_CODE = "can't start new thread", "can't allocate memory", "out of memory"
"""What Python and torch say, as plain RuntimeErrors, where a thread or memory is missing now."""


class Round(NamedTuple):
    """One comparison of a kernel with the code: in what numbers, and how far apart they may be."""

    dtype: torch.dtype
    """Type of all that the kernel is given."""
    tolerance: float
    device: torch.device = CPU
    autocast: torch.dtype | None = None
    """Type with which the code runs beside the kernel, in the same numbers; else in float64 on the
    CPU."""
    controls: tuple[float, ...] | None = None
    """Controls of every window; None for random ones."""


def in_double(*, bf16: bool) -> tuple[Round, ...]:
    """Rounds of a kernel on the CPU: in float64; in float32, as it is used; windows far off.

    Args:
        bf16: whether matrix products round to bfloat16.
    """
    kind = torch.bfloat16 if bf16 else torch.float32
    return (
        Round(torch.float64, TOLERANCE),
        Round(torch.float32, TOLERANCES[kind], autocast=kind if bf16 else None),
        Round(torch.float64, TOLERANCE_BEYOND, controls=BEYOND),
    )


def in_single(device: torch.device, operands: torch.dtype, *, tf32: bool) -> tuple[Round, ...]:
    """Rounds of a kernel that has no float64: in float32; as it is used; windows far off.

    Args:
        device: where the kernel runs.
        operands: type of the operands of products.
        tf32: whether float32 is multiplied as TF32.
    """
    tolerance = TOLERANCE_TF32 if tf32 else TOLERANCES[torch.float32]
    rounded = operands != torch.float32
    used = (Round(torch.float32, TOLERANCES[operands], device, operands),) if rounded else ()
    return (
        Round(torch.float32, tolerance, device),
        *used,
        Round(torch.float32, tolerance, device, controls=BEYOND_SINGLE),
    )


_Verdict = tuple[list[Any], str | None]
_verdicts: dict[tuple[Any, ...], _Verdict] = {}
_miniatures: dict[tuple[Contract, Hashable], Any] = {}
_lock = threading.Lock()


def difference(contract: Contract, model: nn.Module, rounds: tuple[Round, ...]) -> str | None:
    """Say how a kernel differs from the code of a model's class; None where the two are the same.

    Found out once for each class, its options, and each state of the package's code: functions that
    are replaced later, or changed within, are other code. A function of somebody else in the place
    of one of the package's is a difference, whatever it computes now: what it goes by may change.
    Not seen are changes of torch itself after the first use. A failure for want of memory or
    threads is found out again at the next call.

    Args:
        contract: contract of the kernel.
        model: a model without an `allow_list.obstacle`; its class and options count, and whether it
            trains.
        rounds: comparisons that it has to pass.
    """
    expected, kind = expected_of(contract, model), type(model)
    base, miniature = expected.root.kind, _miniature(contract, model)
    key = contract, kind, miniature, model.training, rounds
    code = code_of(kind, expected.kinds, contract.modules)
    with _lock:
        known = _verdicts.get(key)
        if known is None or not same_code(known[0], code):
            found, passes = other_code(expected, contract, kind), False
            if found is None:
                found, passes = _in_a_thread(
                    lambda: _compared(
                        contract, _made(base, kind, miniature, model.training), rounds
                    )
                )
            if passes:
                return found
            if found is None:
                found = code_from_elsewhere(kind, expected.kinds, contract.modules, contract.free)
            known = _verdicts[key] = code, found
    return known[1]


def _miniature(contract: Contract, model: nn.Module) -> Any:
    """A small config with a model's options."""
    config: Any = model.config
    key = contract, contract.key(config)
    if key not in _miniatures:
        _miniatures[key] = contract.miniature(config)
    return _miniatures[key]


def _in_a_thread(compare: Callable[[], str | None]) -> tuple[str | None, bool]:
    """What a comparison says, or that it fails, as anybody's code may; whether that may pass."""
    try:
        return in_a_thread(compare), False
    except Exception as error:
        said = f"a miniature of this model fails in it ({type(error).__name__}: {error})"
        return said, _passes(error)


def _passes(error: Exception) -> bool:
    """Whether a failure says nothing of the code: of memory, files or threads there are not now."""
    cause = error.__cause__ or error
    return isinstance(cause, torch.OutOfMemoryError | MemoryError | OSError) or (
        isinstance(cause, RuntimeError) and any(said in str(cause) for said in NOT_OF_THE_CODE)
    )


Outcome = TypeVar("Outcome")


def in_a_thread(work: Callable[[], Outcome]) -> Outcome:
    """Run some work where torch's modes have their defaults, and return its result.

    Autocast, gradients on or off, default devices and all other modes belong to a thread.

    Args:
        work: function without arguments; what it raises is raised here.
    """
    found: list[Outcome] = []
    raised: list[Exception] = []

    def run() -> None:
        try:
            found.append(work())
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="draw-proof")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return found[0]


def _made(
    base: type[nn.Module], kind: type[nn.Module], miniature: Any, training: bool
) -> nn.Module:
    """A miniature of a class with random numbers; torch's own random numbers go on undisturbed."""
    with torch.device("meta"):
        model = base(miniature)
    model.__class__ = kind  # a subclass may want more than a config
    return model.to_empty(device="cpu").double().train(training)


def _compared(contract: Contract, model: nn.Module, rounds: tuple[Round, ...]) -> str | None:
    config: Any = model.config
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            drawn = torch.randn(parameter.shape, generator=random, dtype=torch.float64)
            parameter.copy_(0.4 * drawn)
    inputs = contract.inputs(config, random)
    placing = [name for name in contract.parameters(config) if name.endswith("_window.bias")]
    exact: dict[str, Tensor] | None = None
    for trial in rounds:
        if trial.controls is not None:
            if not placing:
                continue
            with torch.no_grad():
                for name in placing:
                    bias, each = model.get_parameter(name), contract.placing(config)
                    bias.view(-1, each).copy_(torch.tensor(trial.controls[:each]))
            exact = None
        if exact is None:
            exact = trial_numbers(
                contract, contract.reference, model.to(CPU, torch.float64), inputs
            )
        expected, found = _side_by_side(contract, model, inputs, trial, exact)
        if trial.autocast is not None and contract.has_kinks(config):
            expected = {name: v for name, v in expected.items() if not name.startswith(GRADIENT)}
        said = _difference(expected, found, trial.tolerance)
        if said is not None:
            return said
    return None


def _side_by_side(
    contract: Contract,
    model: nn.Module,
    inputs: list[Tensor],
    trial: Round,
    exact: dict[str, Tensor],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What is expected of a kernel in a round, and what it computes."""
    model.to(trial.device, trial.dtype)
    given = [tensor.to(trial.device, trial.dtype) for tensor in inputs]
    if trial.autocast is None:
        found = trial_numbers(contract, contract.kernel, model, given)
        return exact, {name: value.to(CPU, torch.float64) for name, value in found.items()}
    with torch.autocast(trial.device.type, trial.autocast):
        return (  # not the numbers of float64, but of the same types
            trial_numbers(contract, contract.reference, model, given),
            trial_numbers(contract, contract.kernel, model, given),
        )


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


def trial_numbers(
    contract: Contract, compute: Callable[..., Trial], model: nn.Module, inputs: list[Tensor]
) -> dict[str, Tensor]:
    """Compute outputs, observations, and the gradients of a loss with weights for every output."""
    config: Any = model.config
    given = [tensor.detach().requires_grad_() for tensor in inputs]
    outputs, seen = compute(model, *given)
    random = torch.Generator().manual_seed(1)
    parts = [
        (
            torch.randn(output.shape, generator=random, dtype=torch.float64).to(output.device)
            * output
        ).sum()
        for output in outputs.values()
    ]
    leaves = {f"input {n}": tensor for n, tensor in enumerate(given)}
    leaves |= {name: model.get_parameter(name) for name in contract.parameters(config)}
    slopes = torch.autograd.grad(
        torch.stack(parts).sum(), list(leaves.values()), materialize_grads=True
    )
    gradients = {f"{GRADIENT}{name}": g for name, g in zip(leaves, slopes, strict=True)}
    return {name: value.detach() for name, value in {**outputs, **seen, **gradients}.items()}
