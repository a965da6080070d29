"""Does every backend compute what the reference computes: outputs, gradients, drawings?

Errors are shares of the norm of what the reference computes in float64. A backend agrees where
they are within the tolerance of its precision, or within three times those of the reference in
that precision, which rounds as well.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache, partial

import torch
from torch import Tensor

from benchmarks.gpu.plan import Items, Plan, Result
from benchmarks.ways import Precision, Shape, inputs, products_in, starting_weights
from draw.config.model import DRAWConfig
from draw.kernels import BACKENDS, choose
from draw.model.draw import DRAW

TOLERANCE: dict[Precision, float] = {"fp32": 2e-5, "bf16": 2e-2, "fp16": 5e-3}
ODD = DRAWConfig(
    rows=5, columns=7, glimpses=5, hidden_size=20, latent_size=7, read_size=3, write_size=2
)
SMALL = replace(ODD, glimpses=2, hidden_size=8)


def cases(small: bool) -> dict[str, tuple[DRAWConfig, int]]:
    """Models and batch sizes, the most important first."""
    if small:
        return {"tiny": (SMALL, 3), "tiny, no attention": (replace(SMALL, attention="none"), 2)}
    row = Shape(glimpses=8).config
    parts = replace(row, prior="learned", condition="class")
    return {
        "MNIST row, T = 8": (row, 33),
        "no attention, T = 8": (Shape("mnist-no-attention", glimpses=8).config, 17),
        "learned prior and class, T = 8": (parts, 16),
        "MNIST row": (Shape().config, 128),
        "CIFAR-10 row, T = 4": (Shape("cifar", glimpses=4).config, 16),
        "odd sizes, one image": (ODD, 1),
        "SVHN row, T = 4": (Shape("svhn", glimpses=4).config, 8),
        "Cauchy filters, T = 4": (replace(row, attention="cauchy", glimpses=4), 16),
        "windows that turn, T = 4": (replace(row, attention="rotated", glimpses=4), 16),
    }


def items(plan: Plan) -> Items:
    """Each case in each precision by each backend but the reference; fp16 last."""
    groups: tuple[tuple[Precision, ...], ...] = (("bf16", "fp32"), ("fp16",))
    if plan.where.type == "cpu":
        groups = (("fp32",),)  # Triton's interpreter multiplies bfloat16 wrongly
    return {
        f"{case}; {backend} {precision}": partial(compare, backend, precision, *sizes, plan.where)
        for precisions in groups
        for case, sizes in cases(plan.small).items()
        for precision in precisions
        for backend in plan.ways
        if backend != "reference"
    }


def compare(
    backend: str, precision: Precision, config: DRAWConfig, batch: int, device: torch.device
) -> Result:
    """Errors of a backend, and of the reference in the same precision."""
    model = model_of(config, device, torch.float32)
    with products_in(precision, device):
        found = choose.obstacle(BACKENDS[backend], model, device, torch.float32)
    if found is not None:
        return {"obstacle": found}
    exact = computed("reference", "fp32", config, batch, device, torch.float64)
    plain = errors(computed("reference", precision, config, batch, device), exact)
    own = errors(computed(backend, precision, config, batch, device), exact)
    share = {part: own[part] / max(TOLERANCE[precision], 3 * plain[part]) for part in own}
    part = max(share, key=lambda name: share[name])
    return {
        "agrees": all(value <= 1 for value in share.values()),
        "error": own[part],
        "of": part,
        "limit": own[part] / share[part] if share[part] else TOLERANCE[precision],
        "error_of_reference": plain[part],
    }


def model_of(config: DRAWConfig, device: torch.device, dtype: torch.dtype) -> DRAW:
    """A model with no parameter left at its start."""
    chance = torch.Generator().manual_seed(0)
    weights = {
        name: value + 0.05 * torch.randn(value.shape, generator=chance)
        for name, value in starting_weights(config).items()
    }
    model = DRAW(config)
    model.load_state_dict(weights)
    return model.to(device, dtype)


@lru_cache(maxsize=8)
def computed(
    backend: str,
    precision: Precision,
    config: DRAWConfig,
    batch: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Tensor]:
    """Outputs, gradients of all parameters, and drawings; on the CPU in float64."""
    model = model_of(config, device, dtype)
    model.backend = backend
    images, noise = (each.to(dtype) for each in inputs(config, batch, device))
    labels = model.labels_for(batch)
    with products_in(precision, device):
        out = model(images, noise, labels)
    outputs = {name: getattr(out, name) for name in ("canvas", "kl", "log_weight", "bound")}
    slopes = list(_slopes(outputs.values()))
    names, parameters = zip(*model.named_parameters(), strict=True)
    gradients = torch.autograd.grad(
        list(outputs.values()), parameters, slopes, materialize_grads=True
    )
    with torch.no_grad(), products_in(precision, device):
        drawn = {
            "generated": model.generate(batch, noise=noise, labels=labels).canvases,
            "reconstructed": model.reconstruct(images, noise, labels=labels).canvases,
        }
    found = outputs | {f"d {n}": g for n, g in zip(names, gradients, strict=True)} | drawn
    return {name: value.detach().double().cpu() for name, value in found.items()}


def _slopes(outputs: Iterable[Tensor]) -> Iterator[Tensor]:
    """Gradients of a loss in which every output has weights of its own."""
    chance = torch.Generator().manual_seed(1)
    for part in outputs:
        yield torch.randn(part.shape, generator=chance, dtype=torch.float64).to(part)


def errors(found: dict[str, Tensor], exact: dict[str, Tensor]) -> dict[str, float]:
    """As shares of the norm; infinite where a number is none."""
    return {
        name: float((found[name] - value).norm() / (value.norm() + 1e-6))
        if bool(found[name].isfinite().all())
        else float("inf")
        for name, value in exact.items()
    }
