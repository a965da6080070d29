"""Packages that only a part of draw needs, by extra, and the error that names a missing one.

Without any extra there are `draw.attention` and models that draw: `draw.DRAW`.
"""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec
from pathlib import Path

from draw.errors import DrawError

EXTRAS: dict[str, tuple[str, ...]] = {
    "train": (
        "PIL",
        "accelerate",
        "datasets",
        "matplotlib",
        "pyarrow",
        "rich",
        "scipy",
        "sklearn",
        "tensorboard",
        "tyro",
    ),
    "video": ("av",),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "hdf5": ("h5py",),
    "studio": ("fastapi", "gradio", "starlette", "uvicorn"),
}
"""Modules by the extra that brings them; every other extra brings train as well."""
PACKAGE_OF = {"PIL": "pillow", "pyarrow": "datasets", "sklearn": "scikit-learn"}
"""Names of packages that are not called like their module, or that bring it."""
SOURCE = Path(__file__).parents[2]


class MissingPackageError(DrawError):
    """A package of an extra is not installed; the message says how to install it."""


@contextmanager
def explain_missing() -> Iterator[None]:
    """Say which extra a package belongs to where importing it in this block fails.

    Raises:
        MissingPackageError: if a module of an extra is not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        found = [extra for extra, modules in EXTRAS.items() if module in modules]
        if not found:
            raise
        raise MissingPackageError(advice(found[0])) from error


def check_extra(extra: str) -> None:
    """Refuse to begin what needs an extra that is not whole.

    Args:
        extra: one of the keys of `EXTRAS`.

    Raises:
        MissingPackageError: if a module of the extra is not there.
    """
    if _missing(extra):
        raise MissingPackageError(advice(extra))


def advice(extra: str) -> str:
    """Say what of an extra is missing, and how to install it from where this package came.

    A checkout installs itself with the versions that were tested. An installed package has no name
    in a registry to go by, so what it lacks is asked for by its own name.
    """
    missing = _missing(extra) or EXTRAS[extra]
    names = sorted({PACKAGE_OF.get(module, module) for module in missing})
    if (SOURCE / "pyproject.toml").is_file():
        options = f"-c constraints.txt -e '.[{extra}]'"
        command = f"in {shlex.quote(str(SOURCE))}: pip install {options}"
    else:
        bounds = _bounds()
        command = f"pip install {' '.join(shlex.quote(bounds.get(name, name)) for name in names)}"
    return f"expected the packages of the extra {extra!r}, found no {', '.join(names)}; {command}"


def _missing(extra: str) -> list[str]:
    return [module for module in EXTRAS[extra] if find_spec(module) is None]


def _bounds() -> dict[str, str]:
    """The requirements of the installed package, with their versions, by name."""
    try:
        lines = requires("draw") or []
    except PackageNotFoundError:
        return {}
    found = (re.match(r"([\w.-]+)[^;\s]*", line) for line in lines)
    return {match[1]: match[0] for match in found if match}
