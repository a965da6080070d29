"""Which versions of other packages are allowed, and which are tested."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
FIXED = {
    "filelock": ("3.20.3", "CVE-2026-22701"),
    "fonttools": ("4.60.2", "CVE-2025-66034"),
    "gradio": ("6.16.0", "GHSA-j36p-7w88-g82j"),
    "h11": ("0.16.0", "CVE-2025-43859"),
    "jinja2": ("3.1.6", "CVE-2025-27516"),
    "onnx": ("1.21.0", "CVE-2026-27489"),
    "pillow": ("12.3.0", "CVE-2026-59199"),
    "protobuf": ("6.33.5", "CVE-2026-0994"),
    "pytest": ("9.0.3", "CVE-2025-71176"),
    "python-multipart": ("0.0.30", "CVE-2026-53538"),
    "scikit-learn": ("1.5.0", "CVE-2024-5206"),
    "setuptools": ("78.1.1", "CVE-2025-47273"),
    "starlette": ("0.49.1", "CVE-2025-62727"),
    "torch": ("2.6.0", "CVE-2025-32434"),
    "tqdm": ("4.66.3", "CVE-2024-34062"),
    "werkzeug": ("3.1.5", "CVE-2026-21860"),
}
"""The first version without the last hole that is known of, and that hole."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
REQUIRED = [
    Requirement(text)
    for texts in (
        PROJECT["build-system"]["requires"],
        PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"].values(),
    )
    for text in texts
    if not text.startswith("draw[")
]
PINNED = {
    str(canonicalize_name(name)): Version(version)
    for name, _, version in (
        line.partition("==") for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    )
}  # fmt: skip


@pytest.mark.parametrize("required", REQUIRED, ids=str)
def test_what_is_tested_is_allowed(required: Requirement) -> None:
    name = canonicalize_name(required.name)
    if name != "setuptools":  # builds, and is not installed beside the package
        assert required.specifier.contains(PINNED[name]), f"constraints.txt has {PINNED[name]}"


@pytest.mark.parametrize("required", REQUIRED, ids=str)
def test_each_has_a_lower_bound(required: Requirement) -> None:
    assert not required.specifier.contains("0.0.0.1"), "expected name>=version"


@pytest.mark.parametrize("name", FIXED)
def test_no_version_with_a_known_hole_is_allowed(name: str) -> None:
    """Neither by the pins nor by the bounds: the last version before the mended one is refused."""
    fixed = Version(FIXED[name][0])
    bounds = [each.specifier for each in REQUIRED if canonicalize_name(each.name) == name]
    assert bounds, f"pyproject.toml has no bound for {name}: {FIXED[name][1]}"
    lowest = [Version(one.version) for each in bounds for one in each if one.operator == ">="]
    assert min(lowest) >= fixed, FIXED[name][1]
    assert PINNED.get(name, fixed) >= fixed, FIXED[name][1]
