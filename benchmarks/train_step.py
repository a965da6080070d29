"""How fast is a training step, and how far from its matrix products alone?

    python -m benchmarks.train_step                  # Table 3's MNIST row, batch 128
    python -m benchmarks.train_step --glimpses 16 --compile

A step is the bound, its gradient, clipping and Adam. The floor is the step's matrix products alone,
batched as well as the recurrence allows: one product a step forward and one backward for each
matrix, and each weight gradient once for the whole sequence.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
import tyro
from torch import Tensor

from benchmarks.eager import EagerDRAW
from benchmarks.measure import report, seconds_each
from draw.config import DRAWConfig
from draw.model import DRAW
from draw.presets import mnist


def training_step(
    bound: Callable[..., Tensor], model: torch.nn.Module, bf16: bool, *inputs: Tensor
) -> Callable[[], None]:
    """A function that makes one update of a model."""
    adam = torch.optim.Adam(model.parameters(), 1e-4, fused=True)

    def step() -> None:
        with torch.autocast(inputs[0].device.type, torch.bfloat16, enabled=bf16):
            loss = bound(*inputs).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 100.0)
        adam.step()
        adam.zero_grad()

    return step


def matrix_products(config: DRAWConfig, batch: int, dtype: torch.dtype) -> Callable[[], None]:
    """The products of one step with attention, whose results go nowhere."""
    h, z, channels = config.hidden_size, config.latent_size, config.channels
    seen = 2 * channels * config.read_size**2 + 2 * h
    content = channels * config.write_size**2 + 10
    shapes = [(seen, 4 * h), (h, 2 * z), (z + h, 4 * h), (h, content)]
    weights = [torch.randn(inputs, outputs, dtype=dtype) for inputs, outputs in shapes]
    arguments = [torch.randn(batch, inputs, dtype=dtype) for inputs, _ in shapes]
    gradients = [torch.randn(batch, outputs, dtype=dtype) for _, outputs in shapes]
    steps = config.glimpses * batch
    all_arguments = [torch.randn(steps, inputs, dtype=dtype) for inputs, _ in shapes]
    all_gradients = [torch.randn(steps, outputs, dtype=dtype) for _, outputs in shapes]

    def products() -> None:
        for _ in range(config.glimpses):
            for argument, weight in zip(arguments, weights, strict=True):
                argument @ weight
        for _ in range(config.glimpses):
            for gradient, weight in zip(gradients, weights, strict=True):
                gradient @ weight.T
        for argument, gradient in zip(all_arguments, all_gradients, strict=True):
            argument.T @ gradient

    return products


def main(
    batch: int = 128,
    glimpses: int | None = None,
    read_size: int | None = None,
    write_size: int | None = None,
    compile: bool = False,  # noqa: A002
    rounds: int = 7,
) -> None:
    """Compare the reference with an eager loop and with the floor.

    Args:
        batch: images per step.
        glimpses: T; by default Table 3's 64.
        read_size: by default Table 3's 2.
        write_size: by default Table 3's 5.
        compile: also torch.compile the eager loop, which takes minutes to compile.
        rounds: times that each is measured; the median counts.
    """
    changes = {"glimpses": glimpses, "read_size": read_size, "write_size": write_size}
    config = replace(mnist().model, **{k: v for k, v in changes.items() if v is not None})
    torch.manual_seed(0)
    x = torch.bernoulli(torch.full((batch, *config.image_shape), 0.13))
    noise = torch.randn(config.glimpses, batch, config.latent_size)
    ways: dict[str, Callable[[], object]] = {}
    for name, bf16 in (("fp32", False), ("bf16", True)):
        eager, reference = EagerDRAW(config), DRAW(config)
        ways[f"eager {name}"] = training_step(eager, eager, bf16, x, noise)
        ways[f"reference {name}"] = training_step(
            lambda *inputs, model=reference: model(*inputs).bound, reference, bf16, x, noise
        )
        if compile:
            compiled = EagerDRAW(config)
            ways[f"torch.compile {name}"] = training_step(
                torch.compile(compiled), compiled, bf16, x, noise
            )
        dtype = torch.bfloat16 if bf16 else torch.float32
        ways[f"matrix products {name}"] = matrix_products(config, batch, dtype)
    times = seconds_each(ways, rounds)
    facts = {"batch": batch, "glimpses": config.glimpses, "hidden_size": config.hidden_size}
    report("train_step", times, batch, "eager fp32", **facts)


if __name__ == "__main__":
    tyro.cli(main)
