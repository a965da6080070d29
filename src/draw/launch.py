"""The environment of a launcher of several processes (torchrun, accelerate launch)."""

import hashlib
import os
from pathlib import Path

from draw.fields import Limits, refuse

LEAST = {
    "WORLD_SIZE": 1,
    "RANK": 0,
    "LOCAL_RANK": 0,
    "LOCAL_WORLD_SIZE": 1,
    "TORCHELASTIC_RESTART_COUNT": 0,
    "SLURM_RESTART_COUNT": 0,
}
"""Environment variables that launchers set, and the least value of each."""


def launched_processes() -> int:
    """Number of processes that work together: WORLD_SIZE, or 1 without a launcher.

    Raises:
        DrawError: if that variable, or another one of launchers, is no such number.
    """
    for name, least in LEAST.items():
        text = os.environ.get(name, str(least))
        if not (text.isascii() and text.isdigit() and least <= int(text[:10])):
            expected = Limits(least=least).describe("a whole number")
            refuse(f"{name} (environment)", expected, text)
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this process is the one that writes files and speaks: RANK 0, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def launches() -> dict[str, str]:
    """What names the present launch, by launcher; the same when that starts it again.

    torchrun's is the --rdzv-id, which is to be another for every job; without one it is the folder
    that torchrun makes for each launch. SLURM's is the number of the job.
    """
    names = {}
    if (number := os.environ.get("SLURM_JOB_ID")) is not None:
        names["slurm"] = number
    rendezvous = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    if rendezvous != "none":
        names["torchrun"] = rendezvous
    elif file := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        names["torchrun"] = str(Path(file).parents[2])  # attempt_0/0/error.json lies in it
    return names


def restarts() -> dict[str, str]:
    """Launches that are not the first, such as torchrun's --max-restarts or a requeued job."""
    counts = {"torchrun": "TORCHELASTIC_RESTART_COUNT", "slurm": "SLURM_RESTART_COUNT"}
    return {
        launcher: name
        for launcher, name in launches().items()
        if int(os.environ.get(counts[launcher], "0")) > 0
    }


def is_to_tell(message: str) -> bool:
    """Whether no other process of this node has told a message since the last (re)start.

    It takes note that this one does. Processes that torchrun did not start cannot know.
    """
    if (folder := _attempt()) is None:
        return True
    digest = hashlib.sha256(message.encode()).hexdigest()[:16]
    try:
        (folder / f"{_TOLD}{digest}").touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:  # better twice than not at all
        return True
    return True


def has_told() -> bool:
    """Whether `is_to_tell` sent one of this node's processes to say what is wrong."""
    folder = _attempt()
    return folder is not None and any(folder.glob(f"{_TOLD}*"))


_TOLD = "told-"


def _attempt() -> Path | None:
    """The folder that torchrun makes for each start of the processes of a node."""
    file = os.environ.get("TORCHELASTIC_ERROR_FILE")
    return Path(file).parents[1] if file else None  # attempt_0/0/error.json


def lost_process(error: BaseException) -> bool:
    """Whether an error says no more than that another process of this launch has ended."""
    from torch.distributed import DistError

    if launched_processes() == 1 or not isinstance(error, RuntimeError):
        return False
    return isinstance(error, DistError) or "gloo" in str(error)
