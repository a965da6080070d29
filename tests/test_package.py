"""The package's public names."""

import re
from pathlib import Path

import pytest

import draw


@pytest.mark.parametrize("name", draw.__all__)
def test_public_names_are_there(name: str) -> None:
    assert getattr(draw, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'draw' has no attribute 'DRAM'"):
        draw.DRAM  # noqa: B018


def test_the_readmes_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[1] / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["result"].kl.shape == (4, 16)
    assert names["drawing"].write_windows.g_x.shape == (16, 9)
    assert (tmp_path / "my-model" / "config.json").exists()
