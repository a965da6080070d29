"""Compiles the fast unroll for this processor, once, and keeps it in the cache."""

import ctypes
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import cache
from importlib import resources
from pathlib import Path

import torch

from draw.kernels.errors import KernelUnavailableError

FLAGS = (
    "-std=gnu++17", "-O3", "-march=native", "-mprefer-vector-width=512", "-fopenmp", "-fPIC",
    "-shared",
)  # fmt: skip
COMPILERS = ("g++", "clang++", "c++")
_CPUBLAS = "_ZN2at6native7cpublas"
_BUILDING = threading.Lock()

log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Where compiled kernels are kept: $XDG_CACHE_HOME/draw/kernels, or ~/.cache/draw/kernels."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "draw" / "kernels"


def library() -> ctypes.CDLL:
    """The compiled fast unroll; compiles it where it is not in the cache yet.

    Raises:
        KernelUnavailableError: if there is no compiler, or it fails, or the result does not load.
    """
    with _BUILDING:
        return _library()


@cache
def _library() -> ctypes.CDLL:
    path = _compiled()
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise KernelUnavailableError(f"{path} does not load ({error}); remove it") from error
    _hand_over_products(loaded)
    return loaded


def _compiled() -> Path:
    native = resources.files("draw.kernels") / "native"
    sources = {part.name: part.read_bytes() for part in native.iterdir() if part.is_file()}
    compilers = [path for name in COMPILERS if (path := shutil.which(name))]
    if not compilers:
        raise KernelUnavailableError(
            f"no C++ compiler ({', '.join(COMPILERS)}) on the PATH; install one, such as Debian's "
            "package g++"
        )
    failures = []
    for compiler in compilers:
        try:
            return _compile(compiler, sources)
        except (subprocess.SubprocessError, OSError) as error:
            failures.append(f"{compiler}: {_first_error(error)}")
    raise KernelUnavailableError("; ".join(failures))


def _compile(compiler: str, sources: dict[str, bytes]) -> Path:
    """The library made by one compiler, from the cache where it is there."""
    target = cache_folder() / f"unroll-{_fingerprint(compiler, sources)}.so"
    if target.is_file():
        return target
    message = f"draw: compiling the fast kernel with {compiler}, once (about half a minute)"
    print(message, file=sys.stderr, flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        for name, text in sources.items():
            (Path(folder) / name).write_bytes(text)
        made = Path(folder) / target.name
        command = [compiler, *FLAGS, "unroll.cpp", "-o", str(made)]
        subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        made.replace(target)  # at once, also if several processes compile
    return target


def _fingerprint(compiler: str, sources: dict[str, bytes]) -> str:
    """What the result depends on: sources, flags, the compiler, and the processor's features."""
    command = [compiler, "-march=native", "-dM", "-E", "-x", "c++", os.devnull]
    macros = subprocess.run(command, capture_output=True, check=True).stdout
    digest = hashlib.sha256(repr((FLAGS, sorted(sources.items()))).encode())
    digest.update(macros)
    return digest.hexdigest()[:16]


def _first_error(error: Exception) -> str:
    text = getattr(error, "stderr", None) or str(error)
    lines = [line for line in str(text).splitlines() if "error" in line.lower()]
    return (lines or str(text).splitlines() or ["failed"])[0][:300]


def _hand_over_products(loaded: ctypes.CDLL) -> None:
    """Give the library torch's own matrix products, which choose AMX or AVX-512 at run time.

    They are oneDNN's micro-kernels behind functions that torch's generated code calls; where a
    build of torch has none, or the processor does not multiply bf16, plain loops stand in.
    """
    suffix = {"darwin": "dylib", "win32": "dll"}.get(sys.platform, "so")
    of_torch = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / f"libtorch_cpu.{suffix}"))
    capable = torch.cpu.get_capabilities()
    bf16 = bool(capable.get("avx512_bf16") or capable.get("amx_bf16"))

    def address(symbol: str, usable: bool = True) -> ctypes.c_void_p:
        try:
            function = of_torch[_CPUBLAS + symbol]
        except AttributeError:
            return ctypes.c_void_p(None)
        return ctypes.cast(function, ctypes.c_void_p) if usable else ctypes.c_void_p(None)

    floats = address("6brgemmEllllllbPKfS3_Pfb")
    halves = address("6brgemmEllllllbPKN3c108BFloat16ES5_Pfb", usable=bf16)
    release = address("14brgemm_releaseEb")
    if not floats or not halves:
        log.info("torch's products for fp32: %s, bf16: %s", bool(floats), bool(halves))
    loaded.draw_products(floats, halves, release)
