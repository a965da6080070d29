"""The page under a finger, on a telephone: what is taken moves, all else scrolls the page."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from browser import box_of, launched, swipe
from draw.page.document import write_file
from page_models import CLUTTERED, MNIST, small_model

pytestmark = pytest.mark.live

expect.set_options(timeout=20_000)  # a busy computer is slow, not wrong


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("page")
    models = [
        small_model(name, folder, config)
        for name, config in (("mnist", MNIST), ("cluttered", CLUTTERED))
    ]
    write_file(folder / "draw.html", models)
    with launched() as browser:
        context = browser.new_context(
            viewport={"width": 390, "height": 844}, reduced_motion="reduce", has_touch=True,
            is_mobile=True, device_scale_factor=2,
        )  # fmt: skip
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.goto((folder / "draw.html").as_uri() + "#lang=en")
        expect(page.locator("#watch .earlier button")).to_have_count(12)
        yield page
        context.close()


def scroll_of(page: Page) -> float:
    return float(page.evaluate("scrollY"))


def assert_scrolls(page: Page, x: float, y: float, *, by: float = 220) -> None:
    """A finger that goes up from there moves the page."""
    before = scroll_of(page)
    swipe(page, (x, y), (x, y - by))
    page.wait_for_function("(before) => scrollY > before + 40", arg=before)


def assert_under_the_finger(found: Locator, y: float) -> None:
    """See that an element is where it was: the page has not been scrolled."""
    box = found.bounding_box()
    assert box is not None
    assert box["y"] == pytest.approx(y, abs=1)


def reach(page: Page, section: str) -> Locator:
    """A section, which begins when it comes near."""
    found = page.locator(f"#{section}")
    box_of(found.locator("canvas").first)
    expect(found).to_have_attribute("aria-busy", "false")
    return found


def middle_of(found: Locator) -> tuple[float, float]:
    x, y, width, height = box_of(found)
    return x + width / 2, y + height / 2


def test_the_first_drawing_is_in_sight_before_anything_is_touched(page):
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    expect(page.locator("#watch .stage canvas")).to_be_in_viewport(ratio=1)


def test_the_windows_parts_follow_a_finger_and_the_rest_scrolls(page):
    section = reach(page, "hold")
    said = section.locator("output")
    for part, slider in (("centre", 0), ("stride", 2), ("blur", 3)):
        x, y = middle_of(section.locator(f"[data-part={part}]"))
        number, before = said.nth(slider).inner_text(), scroll_of(page)
        swipe(page, (x, y), (x - 20, y - 20))
        expect(said.nth(slider)).not_to_have_text(number)
        assert scroll_of(page) == before, part
    x, y, width, height = box_of(section.locator(".hands"))
    numbers = said.all_inner_texts()
    assert_scrolls(page, x + width - 8, y + height - 8)
    assert said.all_inner_texts() == numbers


def test_bars_are_swept(page):
    section = reach(page, "steps")
    expect(section.locator("rect")).to_have_count(64)
    x, y, width, height = box_of(section.locator(".bars svg"))
    swipe(page, (x + width / 8, y + height / 2), (x + width * 0.71, y + height / 2))
    expect(section.locator(".said")).to_have_text("step 46 of 64")
    assert_under_the_finger(section.locator(".bars svg"), y)
    assert_scrolls(page, x + width / 2, y + height / 2)


def test_a_stroke_is_drawn_where_there_is_paper_and_the_rest_scrolls(page):
    section = reach(page, "continue")
    told = section.locator(".told")
    expect(told).to_contain_text(re.compile("Thinking|5 ends"))
    section.get_by_role("button", name="Clear").tap()
    expect(told).to_contain_text("draw something")
    x, y, width, height = box_of(section.locator(".pad"))
    assert_scrolls(page, x + width * 0.8, y + height * 0.9)
    x, y, width, height = box_of(section.locator(".pad"))
    expect(told).to_contain_text("draw something")
    swipe(page, (x + width * 0.2, y + height * 0.2), (x + width * 0.4, y + height * 0.7))
    expect(told).to_contain_text(re.compile("Thinking|5 ends"))
    assert_under_the_finger(section.locator(".pad"), y)


def test_the_pen_is_moved(page):
    section = reach(page, "interfere")
    expect(section.locator(".said")).to_have_text("step 22 of 64")
    x, y = middle_of(section.locator("[data-part=centre]"))
    before = scroll_of(page)
    swipe(page, (x, y), (x + 40, y + 20))
    expect(section.locator(".told")).to_contain_text("Your hand came in at step 22")
    assert scroll_of(page) == before


def test_a_digit_is_put_elsewhere(page):
    section = reach(page, "search")
    expect(section.locator(".told")).to_contain_text("% sure")
    section.get_by_label("Scraps").fill("0")
    for name in ("Digit, across", "Digit, down"):
        section.get_by_label(name).fill("20")
    x, y, width, height = box_of(section.locator(".table"))
    before = scroll_of(page)
    swipe(page, (x + width * 0.34, y + height * 0.34), (x + width * 0.64, y + height * 0.54))
    expect(section.get_by_label("Digit, across")).to_have_value("50")
    expect(section.get_by_label("Digit, down")).to_have_value("40")
    assert scroll_of(page) == before
    assert_scrolls(page, x + width * 0.1, y + height * 0.9)
