"""How fast the compiled kernel is beside a model's own code, measured where that is not known.

Where its products are torch's micro-kernels it is several times faster, on every processor that it
was measured on. Where plain loops stand in for them (other processors, other builds of torch) it
may be slower than a loop under autograd, whose products are those of torch's BLAS. Both are timed
then, once for each machine and set of sizes, and the ratio is kept beside the compiled kernel.
"""

import hashlib
import json
import logging
import math
import time
from typing import Any

import torch
from torch import nn

from draw.errors import DrawError, LibraryError
from draw.files import cache_folder
from draw.kernels.allow_list import expected_of
from draw.kernels.contract import Contract
from draw.kernels.cpp import libraries
from draw.kernels.cpp.build import load
from draw.kernels.proof import in_a_thread, trial_numbers

BATCH = 16
"""Images at a time; the sizes are the model's own."""
ROUNDS = 3
"""Times that each is measured, after once unmeasured; the fastest counts."""

log = logging.getLogger(__name__)
_known: dict[str, float] = {}


def ratio(contract: Contract, model: nn.Module, *, bf16: bool) -> float | None:
    """Say how many times as fast as a model's own code the kernel is on this machine.

    Outputs, gradients and drawings of a small batch are timed at the first use ever.

    Args:
        contract: contract of the kernel.
        model: a model that the kernel can run.
        bf16: whether matrix products round to bfloat16.

    Returns:
        The ratio; None where the products are torch's micro-kernels, and nothing is measured.
    """
    if ("bf16" if bf16 else "fp32") in load().fast:
        return None
    name = _name(model, bf16)
    if name not in _known:
        _known[name] = _kept(name) or _measure(name, contract, model, bf16)
    return _known[name]


def _name(model: nn.Module, bf16: bool) -> str:
    """The name of a measurement: the kernel, torch, its threads, the sizes and the numbers."""
    facts = (
        load().name, torch.__version__, torch.get_num_threads(), type(model).__qualname__,
        repr(model.config), bf16,
    )  # fmt: skip
    return f"speed-{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}.json"


def _kept(name: str) -> float | None:
    """What was measured before; None if nothing was, or it is not what was kept."""
    path = cache_folder() / "kernels" / name
    try:
        found = json.loads(libraries.read(path))["ratio"]
        return float(found) if math.isfinite(found) and found > 0 else None
    except FileNotFoundError:
        return None
    except (LibraryError, OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s; the backend cpp is measured anew", error)
        return None


def _measure(name: str, contract: Contract, model: nn.Module, bf16: bool) -> float:
    base, config = expected_of(contract, model).root.kind, model.config
    log.info("measuring the backend cpp beside the reference, once")
    kernel, reference = in_a_thread(lambda: _seconds(contract, base, config, bf16))
    found = reference / kernel
    try:
        content = json.dumps({"ratio": found, "cpp": kernel, "reference": reference})
        libraries.keep(cache_folder() / "kernels" / name, content.encode())
    except (DrawError, OSError) as error:
        log.warning("cannot keep how fast the backend cpp is: %s. It is measured again", error)
    return found


def _seconds(
    contract: Contract, base: type[nn.Module], config: Any, bf16: bool
) -> tuple[float, float]:
    """Seconds of the kernel and of the model's own code, in turns."""
    random = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        model = base(config)
    model.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=random))
    inputs = [tensor.float() for tensor in contract.inputs(config, random, BATCH)]
    best = [math.inf, math.inf]
    for turn in range(ROUNDS + 1):
        for which, compute in enumerate((contract.kernel, contract.reference)):
            began = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                trial_numbers(contract, compute, model, inputs)
            if turn:
                best[which] = min(best[which], time.perf_counter() - began)
    return best[0], best[1]
