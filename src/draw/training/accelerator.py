"""Accelerate on the device and in the precision of a `Compute`."""

import importlib
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs

from draw.errors import DrawError
from draw.launch import launched_processes
from draw.model.machine import DTYPES, Compute
from draw.training.rendezvous import init_method


def make_accelerator(compute: Compute, tensorboard: Path | None = None) -> Accelerator:
    """Make Accelerate's accelerator on a device; each of several processes takes its own.

    Args:
        compute: device and precision.
        tensorboard: folder for TensorBoard, if curves are to be written.

    Raises:
        DrawError: if Accelerate did not join the processes that a launcher started.
    """
    launched = launched_processes()
    # or a second run in this process could not have a precision and a device of its own
    AcceleratorState._reset_state(reset_partial_state=launched == 1)
    if launched > 1:
        # Its defaults are the process group there is when it is first imported (torch 2.13, where
        # DistributedDataParallel imports it): a group kept for good, whose threads may abort the
        # process at its end.
        importlib.import_module("torch.distributed.nn")
    if compute.device.type == "cuda" and compute.device.index is not None:
        torch.cuda.set_device(compute.device)
    accelerator = Accelerator(
        cpu=compute.device.type == "cpu",
        mixed_precision=compute.precision if compute.precision in DTYPES else "no",
        log_with="tensorboard" if tensorboard else None,
        project_dir=tensorboard,
        kwargs_handlers=[InitProcessGroupKwargs(init_method=init_method())]
        if launched > 1
        else None,
    )
    if accelerator.num_processes != launched:
        raise DrawError(
            f"expected {launched} processes (WORLD_SIZE), Accelerate joined "
            f"{accelerator.num_processes}; start with torchrun or accelerate launch"
        )
    return accelerator
