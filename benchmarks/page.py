"""Is the page of draw page quick: how long to the first drawing, how smooth under the hand?

    python -m benchmarks.page                    # a minute; needs Chromium

Opens the page from the disk, as one file, in Chromium without a GPU, several times: milliseconds
from the start of the navigation to the first step of a drawing on the screen, and of each frame
while the window of section 2 is dragged by its centre, and while section 4 thinks as well.
"""

import shutil
import statistics
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.table import Table

from benchmarks.command import run
from benchmarks.measure import write_result
from draw.cli.page import page as write_page
from draw.page.document import SCRIPT, STYLE

FIRST_DRAWING = """
(function look() {
  const canvas = document.querySelector("#watch .stage canvas");
  if (canvas && canvas.width > 300) {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    if (data.some((value, k) => k % 4 === 0 && value > 0))
      return requestAnimationFrame((time) => { window.firstDrawing = time; });
  }
  return requestAnimationFrame(look);
})();
"""
FRAMES = """
window.frames_ = [];
(function note(time) { window.frames_.push(time); requestAnimationFrame(note); })(0);
"""


def main(rounds: int = 5, moves: int = 240) -> None:
    """Measure the page.

    Args:
        rounds: how often the page is opened.
        moves: steps of each drag.
    """
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "draw.html"
        write_page(file, single=True)
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
        )
        firsts = [_first_drawing(browser, file.as_uri()) for _ in range(rounds)]
        drags = _drag(browser, file.as_uri(), moves, "#lang=en")
        busy = _drag(browser, file.as_uri(), moves, "#lang=en", thinks=True)
        size = file.stat().st_size
        browser.close()
    code = SCRIPT.stat().st_size + STYLE.stat().st_size
    table = Table("what", "median", "95 of 100 within", "most")
    facts: dict[str, Any] = {"code_bytes": code, "file_bytes": size}
    for name, values in {
        "first drawing, ms": firsts,
        "frame while dragging, ms": drags,
        "frame while dragging and thinking, ms": busy,
    }.items():
        row = [statistics.median(values), sorted(values)[int(0.95 * len(values))], max(values)]
        table.add_row(name, *(f"{value:.1f}" for value in row))
        facts[name] = row
    Console().print(table)
    print(f"code {code / 1000:.0f} KB, one file {size / 1e6:.1f} MB")
    write_result("page", torch.device("cpu"), **facts)


def _first_drawing(browser: Browser, address: str) -> float:
    page = browser.new_page()
    page.add_init_script(FIRST_DRAWING)
    page.goto(address)
    while not (found := page.evaluate("window.firstDrawing")):
        page.wait_for_timeout(50)
    page.close()
    return float(found)


def _drag(
    browser: Browser, address: str, moves: int, link: str, thinks: bool = False
) -> Sequence[float]:
    """Milliseconds between frames while the window is moved in a circle."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page.goto(address + link)
    page.locator("#watch .earlier button").nth(11).wait_for()  # nothing else is being computed
    if thinks:
        page.locator("#continue").scroll_into_view_if_needed()
        page.get_by_text("Thinking of answer 1").wait_for()
    hand = page.locator("#hold .hands")
    hand.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    box = page.locator("#hold [data-part=centre]").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(FRAMES)
    for k in range(moves):
        page.mouse.move(x + 60 * ((k % 40) / 40 - 0.5), y + 50 * ((k % 60) / 60 - 0.5))
    times = page.evaluate("window.frames_")
    page.mouse.up()
    page.close()
    return [later - time for time, later in pairwise(times[1:])]


if __name__ == "__main__":
    run(main)
