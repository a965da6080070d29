"""The studio as people meet it: the real server in a process of its own, and a browser."""

import fcntl
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

SCREENSHOTS = Path(__file__).parents[1] / "build" / "screenshots"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def chromium() -> str:
    """A browser: one that is here, or Debian's, installed where that is allowed; else a skip."""
    found = _here()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        with open(Path(tempfile.gettempdir()) / "draw-tests-apt.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another test process may be at it
            install = "apt-get install -qq -y chromium"
            if _here() is None and subprocess.run(install.split(), timeout=280).returncode != 0:
                subprocess.run(["apt-get", "update", "-qq"], timeout=100)
                subprocess.run(install.split(), timeout=280)
        found = _here()
    if found is None:
        pytest.skip("needs Chromium, which is not here and could not be installed with apt-get")
    return found


def _here() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def launched() -> Iterator[Browser]:
    """The browser."""
    executable = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def served(runs: Path, *options: str) -> Iterator[str]:
    """The address of a studio that shows a folder of runs; its process ends with the block.

    It leaves none of the files behind that were sent to it.
    """
    command = [sys.executable, "-m", "draw", "studio", "--runs", str(runs), "--port", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    log, temporary = runs.parent / "server.log", runs.parent / "temporary"
    temporary.mkdir()
    environment["TMPDIR"] = str(temporary)
    with open(log, "w") as out:
        process = subprocess.Popen(
            [*command, "--no-open", *options], stdout=out, stderr=subprocess.STDOUT, env=environment
        )
    try:
        deadline = time.monotonic() + 300  # the kernel may have to be compiled first
        while not (found := re.search(r"http://[\d.]+:\d+", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield found[0]
        assert process.poll() is None, f"the server ended: {log.read_text()}"
        assert "Traceback" not in log.read_text(), log.read_text()
    finally:
        process.terminate()
        process.wait(20)
    left = [path for path in temporary.rglob("*") if path.is_file() or "draw" in path.name]
    assert left == [], "uploads are left behind"


def open_tab(page: Page, name: str) -> None:
    """Go to a tab, which may be in the menu of those for which there is no room."""
    page.get_by_role("tab").locator("visible=true").first.wait_for()  # they are laid out
    tab = page.get_by_role("tab", name=name, exact=True)
    if not tab.first.is_visible():
        page.locator(".overflow-menu > button").first.click()
        page.locator(".overflow-dropdown button", has_text=name).click()
        return
    tab.first.click()


def message(page: Page) -> str:
    """What the page tells, once it tells something; then it is closed."""
    toast = page.locator(".toast-body").last
    toast.wait_for(timeout=15_000)
    words = toast.inner_text()
    page.locator(".toast-close").evaluate_all("(all) => all.forEach((close) => close.click())")
    page.locator(".toast-body").first.wait_for(state="detached")
    return words


def light(canvas: Locator) -> float:
    """The mean of all pixels of a canvas, from 0 to 255."""
    found: float = canvas.evaluate(
        """(canvas) => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          let sum = 0;
          for (let k = 0; k < data.length; k += 4) sum += data[k + 1];
          return (4 * sum) / data.length;
        }"""
    )
    return found


STILL = """async (one) => {
  const place = () => `${scrollY} ${one.getBoundingClientRect().top}`;
  for (let still = 0, last = ""; still < 20; ) {
    await new Promise(requestAnimationFrame);
    const now = place();
    still = now === last ? still + 1 : 0;
    last = now;
    if (still !== 10) continue;
    one.scrollIntoView({ block: "center", behavior: "instant" });
    if (place() !== now) still = 0;
    last = place();
  }
}"""
"""Bring an element to the middle of the screen, once nothing above it grows and no swipe rolls on:
a browser lets nobody hold a page that still rolls."""


def box_of(found: Locator) -> tuple[float, float, float, float]:
    """Left, top, width and height of an element that is brought to the middle of the screen."""
    found.evaluate(STILL)
    expect(found).to_be_in_viewport()
    box = found.bounding_box()
    assert box is not None
    return box["x"], box["y"], box["width"], box["height"]


def draw_a_line(page: Page, pad: str) -> None:
    """With the mouse, on a page to draw on."""
    left, top, width, height = box_of(page.locator(f"{pad} canvas"))
    places = [(0.3, 0.2), (0.7, 0.2), (0.45, 0.8)]
    at = [(left + x * width, top + y * height) for x, y in places]
    page.mouse.move(*at[0])
    page.mouse.down()
    for x, y in at[1:]:
        page.mouse.move(x, y, steps=5)
    page.mouse.up()


def swipe(page: Page, *places: tuple[float, float]) -> None:
    """With a finger from place to place: the browser itself decides whether that scrolls."""
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *at: tuple[float, float]) -> None:
        points = [{"x": x, "y": y} for x, y in at]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", places[0])
    for (x, y), (to_x, to_y) in itertools.pairwise(places):
        for share in (0.25, 0.5, 0.75, 1):
            touch("touchMove", (x + share * (to_x - x), y + share * (to_y - y)))
    touch("touchEnd")
    session.detach()
