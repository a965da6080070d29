"""What a launcher of several processes (torchrun, accelerate launch) says."""

import os


def launched_processes() -> int:
    """How many processes do this together: WORLD_SIZE, or 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this is the process that writes files and speaks: RANK 0, or the only one."""
    return os.environ.get("RANK", "0") == "0"
