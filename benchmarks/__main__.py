"""Every benchmark of speed and memory, each in a process of its own: some ten minutes on two cores.

    python -m benchmarks
    python -m benchmarks --only train_step memory

For other models and sizes run one by itself: python -m benchmarks.train_step --help. JAX takes part
where it is installed. Use a machine that does nothing else. benchmarks.starts and
benchmarks.variants, which train, are not among them.
"""

import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks.command import run

JAX = " --ways eager reference auto floor jax" if find_spec("jax") else ""
SECTIONS = {
    "Matrix products at best": "peak",
    "Training step, MNIST": f"train_step{JAX}",
    "Training step, MNIST without attention": "train_step --row mnist-no-attention",
    "Training step, SVHN": "train_step --row svhn",
    "Training step, CIFAR-10": "train_step --row cifar",
    "Training step with a learned prior, a class, other windows, MNIST": "parts",
    "Training step with numbers near zero, and without": "denormals",
    "Drawing new images, MNIST": "generate",
    "Bound without gradient, MNIST": "evaluate",
    "Classifying, 100x100": "classify",
    "Making batches": "data",
    "Training loop, MNIST": "train_loop",
    "Growth of the training step": "growth",
    "Memory of the training step, MNIST": "memory",
    "First training step, MNIST": "first_step",
}


def main(only: tuple[str, ...] = ()) -> None:
    """Run the benchmarks.

    Args:
        only: Names of files in benchmarks/ to run, instead of all.
    """
    names = dict.fromkeys(command.split()[0] for command in SECTIONS.values())
    unknown = [name for name in only if name not in names]
    if unknown:
        raise SystemExit(f"expected benchmarks of {', '.join(names)}, got {', '.join(unknown)}")
    began, failed = time.monotonic(), []
    for title, command in SECTIONS.items():
        name, *arguments = command.split()
        if only and name not in only:
            continue
        print(f"\n== {title}: python -m benchmarks.{command}", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", *arguments], cwd=Path(__file__).parents[1]
        )
        if done.returncode != 0:
            failed.append(title)
    print(f"\n{time.monotonic() - began:.0f} seconds in all")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    run(main)
