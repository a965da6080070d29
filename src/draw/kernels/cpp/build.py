"""Compilation of the kernel for this processor, once, and its place in the cache."""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import torch

from draw.errors import DrawError, KernelUnavailableError, LibraryError
from draw.files import cache_folder
from draw.kernels.cpp import libraries
from draw.kernels.cpp.form import check_form
from draw.terminal import say

FLAGS = (
    "-std=gnu++17", "-O3", "-march=native", "-fopenmp", "-fPIC", "-shared",
    *(
        ["-mprefer-vector-width=512", "-mtune=skylake-avx512"]
        if platform.machine() in ("x86_64", "AMD64") else []
    ),
)  # fmt: skip
"""-mtune: tuned for AMD's processors, GCC 12 loads a factor again for each of its products."""
COMPILERS = ("g++", "clang++", "c++")
COMPILING_SECONDS = 900.0
"""Seconds after which a compiler is stopped; it takes half a minute."""
LARGEST_ERROR = 1e-3
"""Largest error of a product of up to 516 numbers in [-1, 1], in fp32: rounding stays a hundred
times below."""
_CPUBLAS = "_ZN2at6native7cpublas"
_BUILDING = threading.Lock()

log = logging.getLogger(__name__)


class CompiledKernel(NamedTuple):
    """The compiled kernel of this process."""

    library: ctypes.CDLL
    name: str
    """Name of its file, which says what it was made of and for."""
    fast: frozenset[str]
    """Precisions (fp32, bf16) of the products that are torch's; those of others are plain loops."""


def library() -> ctypes.CDLL:
    """Load the compiled kernel; see `built`."""
    return load().library


def load() -> CompiledKernel:
    """Load the compiled kernel; compile it where it is not in the cache yet.

    Raises:
        KernelUnavailableError: if there is no compiler, or it fails, or the library does not load.
    """
    with _BUILDING:
        outcome = _outcome()
    if isinstance(outcome, KernelUnavailableError):
        raise KernelUnavailableError(str(outcome))
    return outcome


@cache
def _outcome() -> CompiledKernel | KernelUnavailableError:
    """What came of compiling and loading; neither is tried a second time in a process."""
    try:
        path = compile_library(sources())
    except DrawError as error:
        return KernelUnavailableError(str(error))
    try:
        loaded = libraries.load(path)
    except (LibraryError, OSError) as error:
        return KernelUnavailableError(f"{path} does not load ({error}); remove it")
    try:
        check_form(loaded)
    except KernelUnavailableError as error:
        return error
    return CompiledKernel(loaded, path.stem, hand_over_products(loaded))


def is_settled() -> bool:
    """Whether `library` would compile nothing: it is in the cache, or it has failed here before."""
    if _outcome.cache_info().currsize or not (found := _compilers()):
        return True
    folder = cache_folder() / "kernels"
    if not any(folder.glob("unroll-*.so")):
        return False
    try:
        return (folder / _file_name(found[0], sources())).exists()
    except (subprocess.SubprocessError, OSError):
        return False


def sources() -> dict[str, bytes]:
    """Contents of the C++ files, by name."""
    native = resources.files("draw.kernels.cpp") / "src"
    return {part.name: part.read_bytes() for part in native.iterdir() if part.is_file()}


def compile_library(files: dict[str, bytes]) -> Path:
    """Compile files into a shared library by the first compiler that can.

    Args:
        files: C++ files by name; the one to compile is unroll.cpp.

    Raises:
        KernelUnavailableError: if there is no compiler, or none succeeds.
    """
    compilers = _compilers()
    if not compilers:
        raise KernelUnavailableError(
            f"no C++ compiler ({', '.join(COMPILERS)}) on the PATH; install one, such as Debian's "
            "package g++"
        )
    failures = []
    for compiler in compilers:
        try:
            return _compiled_by(compiler, files)
        except (subprocess.SubprocessError, OSError) as error:
            failures.append(f"{compiler}: {_first_error(error)}")
    raise KernelUnavailableError("; ".join(failures))


def _compilers() -> list[str]:
    return [path for name in COMPILERS if (path := shutil.which(name))]


def _file_name(compiler: str, files: dict[str, bytes]) -> str:
    return f"unroll-{_fingerprint(compiler, files)}.so"


def _compiled_by(compiler: str, files: dict[str, bytes]) -> Path:
    """The library made by one compiler, from the cache where it is there as it was made."""
    name = _file_name(compiler, files)
    library = cache_folder() / "kernels" / name
    try:
        libraries.check(library)
        return library
    except FileNotFoundError:
        pass
    except (LibraryError, OSError) as error:
        log.warning("%s; the fast kernel is compiled anew", error)
    say(f"draw: compiling the fast kernel with {compiler}, once (about half a minute)", error=True)
    content = _compile(compiler, files)
    try:
        libraries.keep(library, content)
        return library
    except (DrawError, OSError) as error:
        log.warning(
            "cannot keep the compiled kernel in %s: %s. It will be compiled again next time",
            library.parent,
            error,
        )
    private = Path(_private_folder().name) / name
    try:
        libraries.keep(private, content)
    except (DrawError, OSError) as error:
        raise KernelUnavailableError(
            f"no folder can hold the compiled kernel: {error}. Set XDG_CACHE_HOME or TMPDIR to "
            "one of yours from which programs may run"
        ) from error
    return private


def _compile(compiler: str, files: dict[str, bytes]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="draw-kernels-") as scratch:
        for file, text in files.items():
            (Path(scratch) / file).write_bytes(text)
        _run([compiler, *FLAGS, "unroll.cpp", "-o", "unroll.so"], scratch)
        return (Path(scratch) / "unroll.so").read_bytes()


def _run(command: list[str], folder: str | None = None) -> str:
    """What a compiler prints; with all that it starts it is stopped after `COMPILING_SECONDS`.

    Raises:
        subprocess.SubprocessError: if it fails, or takes longer.
    """
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            printed, errors = process.communicate(timeout=COMPILING_SECONDS)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, printed, errors)
    return printed


@cache
def _private_folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder of this process, for machines where the cache cannot be written."""
    return tempfile.TemporaryDirectory(prefix="draw-kernels-")


def _fingerprint(compiler: str, files: dict[str, bytes]) -> str:
    """What the result depends on: sources, flags, the compiler, and the processor's features."""
    command = [compiler, "-march=native", "-dM", "-E", "-x", "c++", os.devnull]
    macros = _run(command).encode()
    digest = hashlib.sha256(repr((FLAGS, sorted(files.items()))).encode())
    digest.update(macros)
    return digest.hexdigest()[:16]


def _first_error(error: Exception) -> str:
    text = str(getattr(error, "stderr", None) or error)
    lines = [line for line in text.splitlines() if "error" in line.lower()]
    return (lines or text.splitlines() or ["failed"])[0][:300]


def hand_over_products(loaded: ctypes.CDLL) -> frozenset[str]:
    """Give the library torch's own matrix products, which choose AMX or AVX-512 at run time.

    They are oneDNN's micro-kernels behind functions that torch's generated code calls; where a
    build of torch has none, or the processor does not multiply bf16, plain loops stand in.

    Args:
        loaded: compiled kernel.

    Returns:
        Precisions whose products are torch's.
    """
    suffix = {"darwin": "dylib", "win32": "dll"}.get(sys.platform, "so")
    of_torch = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / f"libtorch_cpu.{suffix}"))
    capable = torch.cpu.get_capabilities()
    multiplies_bf16 = bool(capable.get("avx512_bf16") or capable.get("amx_bf16"))

    def address(symbol: str) -> ctypes.c_void_p:
        try:
            return ctypes.cast(of_torch[_CPUBLAS + symbol], ctypes.c_void_p)
        except AttributeError:
            log.warning("this build of torch has no %s; the fast kernel will be slow", symbol)
            return ctypes.c_void_p(None)

    floats = address("6brgemmEllllllbPKfS3_Pfb")
    bf16 = address("6brgemmEllllllbPKN3c108BFloat16ES5_Pfb") if multiplies_bf16 else None
    release = address("14brgemm_releaseEb")
    loaded.draw_products(floats, bf16, release)
    loaded.draw_products_error.restype = ctypes.c_double
    errors = [loaded.draw_products_error(kind) for kind in (0, 1)]
    if not all(error < LARGEST_ERROR for error in errors):  # NaN is an error too
        log.warning("torch's matrix products are wrong by %s here; plain loops stand in", errors)
        loaded.draw_products(None, None, None)
        return frozenset()
    found = {"fp32": floats.value, "bf16": bf16 and bf16.value}
    return frozenset(name for name, function in found.items() if function)
