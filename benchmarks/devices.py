"""The processor that a benchmark runs on, what it is, and how a clock is read there."""

import os
import time
from collections.abc import Callable

import torch

from draw.runs import provenance


def device_of(name: str) -> torch.device:
    """The device of a name: auto (the GPU if there is one), cpu, cuda, cuda:1, mps.

    Raises:
        SystemExit: if there is none of that name here.
    """
    gpu = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        return gpu or torch.device("cpu")
    here = ["cpu", *(f"{gpu.type}:{n}" for n in range(torch.accelerator.device_count()) if gpu)]
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SystemExit(f"expected --device auto or one of {here}, got {name!r}") from error
    if f"{device.type}:{device.index or 0}" not in (*here, "cpu:0"):
        raise SystemExit(f"expected --device auto or one of {here}, got {name!r}; it is not here")
    if device.type != "cpu":
        torch.accelerator.set_device_index(device.index or 0)
    return device


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def seconds_of(
    call: Callable[[], object],
    device: torch.device,
    calls: int = 1,
    clock: Callable[[], float] | None = None,
) -> float:
    """Seconds that a call takes, from an idle device to an idle device.

    On a CUDA device by events in its stream, elsewhere by the clock.

    Args:
        call: what is timed.
        device: where it does its work.
        calls: how often it is called, without a wait in between; the mean counts.
        clock: seconds by now, where they are not the device's; by default the wall clock's.
    """
    synchronize(device)
    if device.type == "cuda":
        began, ended = (torch.Event(device, enable_timing=True) for _ in range(2))
        began.record()
        for _ in range(calls):
            call()
        ended.record()
        synchronize(device)
        return began.elapsed_time(ended) / 1000 / calls
    clock = clock or time.perf_counter
    start = clock()
    for _ in range(calls):
        call()
    synchronize(device)
    return (clock() - start) / calls


def description(device: torch.device) -> dict[str, object]:
    """What a result says of a device."""
    facts: dict[str, object] = {
        "device": device.type,
        "hardware": provenance.hardware(device),
        "processor": provenance.processor(),
        "load": round(os.getloadavg()[0], 1),  # processes that want a core; ours is one of them
    }
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        facts |= {
            "capability": f"{card.major}.{card.minor}",
            "multiprocessors": card.multi_processor_count,
            "memory_gib": round(card.total_memory / 2**30, 1),
            "cuda": torch.version.cuda,
        }
    return facts


def as_graph(call: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """A call as one CUDA graph, without a launch for each of its kernels; elsewhere as it is."""
    if device.type != "cuda":
        return call
    beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(beside):
        call()
    torch.cuda.current_stream(device).wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay
