"""Provenance of a result: the command, the version of the code, the machine."""

import platform
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGES = "draw", "torch", "numpy", "accelerate"


def provenance(device: torch.device) -> dict[str, Any]:
    """Collect what to write down beside a result: command, commit, hardware, versions."""
    return {
        "command": command_line(),
        "commit": commit(),
        "hardware": hardware(device),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
            "torch": str(torch.__version__),  # with its build, which PyPI's metadata leave out
        },
    }


def command_line() -> str:
    """The command of this process, as it can be typed again."""
    program, *arguments = sys.argv
    name = "draw" if Path(program).name in ("draw", "__main__.py") else Path(program).name
    return shlex.join([name, *arguments])


def commit() -> str | None:
    """Commit of the running code, marked if the tree differs; None for an installed copy."""
    source = Path(__file__).parent
    try:
        tracked = _git(source, "ls-files", "--error-unmatch", Path(__file__).name)
        return _git(source, "describe", "--always", "--dirty") if tracked else None
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def hardware(device: torch.device) -> str:
    """Name of the GPU, or of the CPU with the number of threads that compute."""
    if device.type != "cpu":
        return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    threads = torch.get_num_threads()
    return f"{processor()}, {threads} thread{'s' if threads > 1 else ''}"


def processor() -> str:
    """Name of the CPU."""
    name: Any = torch.cpu.get_capabilities().get("cpu_name")
    return str(name or platform.processor() or platform.machine())
