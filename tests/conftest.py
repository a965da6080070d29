"""How tests are run; what they share is in `shared_fixtures`."""

import math
import time

import pytest

STARTED = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--minutes", type=float, default=math.inf, help="begin no test after so many minutes"
    )


def pytest_configure(config: pytest.Config) -> None:
    """A process that leaves all tests to others (-n) needs nothing of what tests need."""
    if config.getoption("dist", "no") == "no" or config.option.collectonly:
        config.pluginmanager.import_plugin("shared_fixtures")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of live processes have a second go, and the summary names those that took it.

    A drawing that comes a second late on a busy computer is not wrong; what is wrong fails twice.
    """
    for item in items:
        if item.get_closest_marker("live") or item.get_closest_marker("launcher"):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_runtest_setup(item: pytest.Item) -> None:
    minutes = item.config.getoption("--minutes")
    if time.monotonic() - STARTED > 60 * minutes:
        pytest.skip(f"the {minutes:g} minutes for tests were over")
