"""How fast is a training step, and how far from its matrix products alone?

    python -m benchmarks.train_step                  # Table 3's MNIST row, batch 128
    python -m benchmarks.train_step --row svhn       # another row; also cifar, mnist-no-attention
    python -m benchmarks.train_step --glimpses 16 --ways eager cpp
    python -m benchmarks.train_step --ways eager cpp compile jax   # what else one could use

A step is the bound, its gradient, clipping and Adam, from the same weights in every way:

    eager         the loop that most people would write, benchmarks/eager.py
    reference     draw's readable loop
    cpp, ...      draw's other backends, by their names in draw.kernels.BACKENDS; auto: as chosen
    floor         the step's matrix products alone, batched as well as the recurrence allows
    compile       eager with one glimpse under torch.compile; a minute to compile
    compile-loop  eager with the whole loop under torch.compile; many minutes to compile
    jax           lax.scan under jit, benchmarks/lax_scan.py; needs pip install jax, and takes every
                  core, whatever OMP_NUM_THREADS says

The ways take turns, and the medians of the rounds are compared. The share of the floor is the
floor's time over a way's.
"""

from benchmarks.command import run
from benchmarks.devices import device_of
from benchmarks.measure import report, seconds_each
from benchmarks.ways import BOTH, ROWS, Precision, Shape, timed_step, usual_ways


def main(
    shape: Shape,
    ways: tuple[str, ...] = (),
    precisions: tuple[Precision, ...] = BOTH,
    device: str = "auto",
    rounds: int | None = None,
) -> None:
    """Time a training step.

    Args:
        shape: The model.
        ways: Which to compare, by default eager, the reference, the backends made for the device,
            and the floor; the ratios are to eager fp32, or else to the first.
        precisions: Of the matrix products.
        device: Where: auto (the GPU if there is one), cpu, cuda, cuda:1, mps.
        rounds: Times that each is measured; by default what the row can do in a minute or so.
    """
    timed, floors, where = {}, {}, device_of(device)
    ways = ways or (*usual_ways(shape.config, where), "floor")
    for precision in precisions:
        for way in ways:
            name = f"{way} {precision}"
            timed[name] = timed_step(way, precision, shape.config, shape.batch, where)
            floors[name] = f"floor {precision}"
    times = seconds_each(timed, rounds or ROWS[shape.row].rounds, warm_up=1, device=where)
    name = f"train_step-{shape.name}"
    report(name, times, shape.batch, device=where, floors=floors, facts=shape.facts)


if __name__ == "__main__":
    run(main)
