"""The page in Debian's Firefox, from a disk: all sections, by mouse and finger, wide and narrow."""

from collections.abc import Iterator

import pytest

from browser import SCREENSHOTS, STILL
from firefox import Firefox, executable, firefox
from running import draw_command

pytestmark = [
    pytest.mark.slow,
    pytest.mark.live,
    pytest.mark.skipif(executable() is None, reason="needs Firefox (apt-get install firefox-esr)"),
]
WIDE, NARROW = (1280, 900), (450, 844)
"""Sizes of the page; 450 is the least that Firefox gives a window."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    folder = tmp_path_factory.mktemp("firefox")
    draw_command("page", "--to", "draw.html", "--single", cwd=folder)
    with firefox(folder) as browser:
        browser.size(*WIDE)
        browser.go((folder / "draw.html").as_uri() + "#lang=en")
        yield browser


FOLLOW = """
const [link] = arguments;
return new Promise((followed) => {
  addEventListener("hashchange", () => followed(true), { once: true });
  history.replaceState(null, "", "#");
  location.hash = link;
});
"""


@pytest.fixture(scope="module", params=[WIDE, NARROW], ids=["wide", "narrow"])
def page(request: pytest.FixtureRequest, browser: Firefox) -> Firefox:
    """The page as it is when a link to it is opened, with less motion and in dark colours."""
    browser.size(*request.param)
    browser.run(FOLLOW, "#lang=en")
    said(browser, "watch", ".said", "step 64 of 64")
    return browser


def said(page: Firefox, section: str, part: str, words: str) -> None:
    """Wait for words in a part of a section."""
    found = "(document.querySelector(`#${arguments[0]} ${arguments[1]}`)?.textContent ?? '')"
    page.wait(f"{found}.includes(arguments[2])", section, part, words, seconds=120)


def box_of(page: Firefox, selector: str) -> tuple[float, float, float, float]:
    """Left, top, width and height of an element that is brought to the middle of the screen."""
    script = f"""
      const one = document.querySelector(arguments[0]);
      return ({STILL})(one).then(() => {{
        const {{ left, top, width, height }} = one.getBoundingClientRect();
        return [left, top, width, height];
      }});
    """
    left, top, width, height = page.run(script, selector)
    return left, top, width, height


def begun(page: Firefox, section: str) -> None:
    """Wait until a section, which begins when it comes near, has done so."""
    box_of(page, f"#{section} canvas")
    page.wait(
        "document.getElementById(arguments[0]).getAttribute('aria-busy') === 'false'",
        section,
        seconds=120,
    )


def shown(page: Firefox, section: str) -> None:
    """A picture of a section for people."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    width = page.run("return innerWidth")
    page.picture(SCREENSHOTS / f"firefox-{width}-{section}.png")


def test_the_first_drawing_is_there(page):
    drawn = page.run("""
      const canvas = document.querySelector("#watch .stage canvas");
      const { bottom } = canvas.getBoundingClientRect();
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return [bottom <= innerHeight, data.some((value, k) => k % 4 === 1 && value > 200)];
    """)
    page.run("scrollTo({ top: 0, behavior: 'instant' })")
    assert drawn[1]
    wide = page.run("return document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    shown(page, "watch")


@pytest.mark.parametrize("finger", [False, True], ids=["mouse", "finger"])
def test_the_windows_parts_are_dragged(page, finger):
    values = "[...document.querySelectorAll('#hold output')].map((one) => one.textContent)"
    begun(page, "hold")
    page.wait("document.querySelectorAll('#hold .dots circle').length === 144")
    for part, number in (("centre", 0), ("stride", 2), ("blur", 3)):
        x, y, width, height = box_of(page, f"#hold [data-part={part}]")
        before = page.run(f"return {values}")
        x, y = x + width / 2, y + height / 2
        page.pull((x, y), (x - 15, y - 12), finger=finger)
        page.wait(f"{values}[arguments[0]] !== arguments[1]", number, before[number])
    shown(page, "hold")


def test_steps_and_bars(page):
    begun(page, "steps")
    page.wait("document.querySelectorAll('#steps rect').length === 64")
    x, y, width, height = box_of(page, "#steps .bars svg")
    page.pull((x + width / 2, y + height / 2), (x + width * 0.71, y + height / 2))
    said(page, "steps", ".said", "step 46 of 64")
    page.run("document.querySelector('#steps [data-node=c]').focus()")
    said(page, "steps", ".explained", "(8)")
    shown(page, "steps")


def test_a_digit_is_begun_and_goes_on(page):
    begun(page, "continue")
    said(page, "continue", ".told", "answer")
    page.run("""
      const all = [...document.querySelectorAll("#continue button")];
      all.find((one) => one.textContent === "Clear").click();
    """)
    said(page, "continue", ".told", "draw something")
    x, y, width, height = box_of(page, "#continue .pad canvas")
    at = [(x + a * width, y + b * height) for a, b in ((0.25, 0.2), (0.4, 0.2), (0.3, 0.75))]
    page.pull(*at, finger=True)
    told = "document.querySelector('#continue .told').textContent"
    page.wait(f"/answer [2-5] of 5|5 ends/.test({told})", seconds=120)
    shown(page, "continue")


def test_the_pen_is_moved(page):
    begun(page, "interfere")
    said(page, "interfere", ".said", "step 22 of 64")
    x, y, width, height = box_of(page, "#interfere [data-part=centre]")
    x, y = x + width / 2, y + height / 2
    page.pull((x, y), (x + 30, y + 20), finger=True)
    said(page, "interfere", ".told", "Your hand came in at step 22")
    shown(page, "interfere")


def test_with_and_without_attention(page):
    begun(page, "compare")
    said(page, "compare", ".said", "step 64 of 64")
    page.run("""
      const stop = document.querySelector("#compare .row input");
      stop.value = 1;
      stop.dispatchEvent(new Event("input"));
    """)
    said(page, "compare", ".said", "step 4 of 4")
    shown(page, "compare")


def test_the_eye_hunts(page):
    begun(page, "search")
    said(page, "search", ".told", "% sure")
    before = page.run("return document.querySelectorAll('#search .row output')[0].textContent")
    at = "document.querySelectorAll('#search .row input')"
    column, row = page.run(f"return [{at}[0].value, {at}[1].value].map(Number)")
    x, y, width, height = box_of(page, "#search .table")
    start = x + width * (column + 14) / 100, y + height * (row + 14) / 100
    way = -40 if column > 36 else 40
    page.pull(start, (start[0] + way, start[1]), finger=True)
    page.wait(f"{at}[0].value !== arguments[0]", before)
    said(page, "search", ".told", "% sure")
    shown(page, "search")
