"""The package's public names."""

import pytest

import draw


@pytest.mark.parametrize("name", draw.__all__)
def test_public_names_are_there(name: str) -> None:
    assert getattr(draw, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'draw' has no attribute 'DRAM'"):
        draw.DRAM  # noqa: B018
