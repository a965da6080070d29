"""What would several processes make of a training step? A model, not a measurement.

    python -m benchmarks.scaling --milliseconds 11.8 --batch 1024       # the step of one process
    python -m benchmarks.scaling --milliseconds 139 --batch 128 --networks ethernet-10

Every process makes its own step, then the gradients are averaged in a ring: each of n processes
sends and receives 2 (n - 1) / n of them, in 2 (n - 1) messages. Nothing is assumed to overlap:

    seconds of n processes = step + 2 (n - 1) / n * bytes / bandwidth + 2 (n - 1) * latency
    efficiency = step / seconds of n processes

Bandwidths and latencies are assumptions, by their names in NETWORKS.
"""

from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.command import run
from benchmarks.ways import ROWS, RowName
from draw.model.draw import DRAW


class Network(NamedTuple):
    """What a link between two neighbours of the ring is assumed to do."""

    bytes_per_second: float
    latency: float
    """Seconds of a message, however short."""


NETWORKS = {
    "nvlink": Network(300e9, 5e-6),
    "pcie-4": Network(20e9, 10e-6),
    "infiniband-400": Network(40e9, 10e-6),
    "ethernet-100": Network(10e9, 30e-6),
    "ethernet-10": Network(1e9, 50e-6),
}


def gradient_bytes(row: RowName) -> int:
    """Of all gradients of a row's model, in fp32."""
    return 4 * sum(parameter.numel() for parameter in DRAW(ROWS[row].model).parameters())


def seconds_of(step: float, processes: int, gradients: int, network: Network) -> float:
    """Seconds of a step of several processes.

    Args:
        step: seconds of one process's own step.
        processes: how many there are.
        gradients: their size in bytes.
        network: between them.
    """
    messages = 2 * (processes - 1)
    sent = messages / processes * gradients / network.bytes_per_second
    return step + sent + messages * network.latency


def main(
    milliseconds: float,
    batch: int,
    row: RowName = "mnist",
    processes: tuple[int, ...] = (2, 4, 8, 16, 64),
    networks: tuple[str, ...] = tuple(NETWORKS),
) -> None:
    """Print images per second and efficiency.

    Args:
        milliseconds: Of the training step of one process, as measured.
        batch: Images of one process in a step.
        row: The model.
        processes: How many.
        networks: Between them.
    """
    unknown = [name for name in networks if name not in NETWORKS]
    if unknown:
        raise SystemExit(f"expected networks of {', '.join(NETWORKS)}, got {', '.join(unknown)}")
    gradients = gradient_bytes(row)
    title = f"modelled images/s (efficiency); {gradients / 1e6:.2f} MB of gradients"
    table = Table("processes", *networks, title=title)
    for count in processes:
        seconds = [
            seconds_of(milliseconds / 1000, count, gradients, NETWORKS[name]) for name in networks
        ]
        cells = [
            f"{count * batch / each:,.0f} ({milliseconds / 1000 / each:.0%})" for each in seconds
        ]
        table.add_row(str(count), *cells)
    Console().print(table)


if __name__ == "__main__":
    run(main)
