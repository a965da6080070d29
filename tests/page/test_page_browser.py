"""The page in a browser, opened from a disk: each section, both widths, both schemes."""

import dataclasses
import importlib.resources
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from browser import SCREENSHOTS, draw_a_line, launched
from draw.config.model import DRAWConfig
from draw.model.draw import DRAW
from draw.page.document import write_file
from draw.page.portable import portable
from running import draw_command

expect.set_options(timeout=20_000)  # a busy computer is slow, not wrong
SECTIONS = ("watch", "hold", "steps", "continue", "interfere", "compare", "search")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page as one file on the disk."""
    folder = tmp_path_factory.mktemp("page")
    draw_command("page", "--to", "draw.html", "--single", cwd=folder)
    return (folder / "draw.html").as_uri()


@pytest.fixture
def opened(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens the page; at the end nothing was asked for and no script failed."""
    contexts, wrong = [], []

    def open_page(
        link: str = "#lang=en", width: int = 1280, scheme: str = "light", motion: str = "reduce"
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion=motion
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on(
            "request",
            lambda sent: None if sent.url.startswith(address) else wrong.append(sent.url),
        )
        page.goto(address + link)
        page.locator("#watch .player").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def light(canvas: Locator) -> float:
    """The mean of all pixels of a canvas, from 0 to 255."""
    return canvas.evaluate(
        """(canvas) => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          let sum = 0;
          for (let k = 0; k < data.length; k += 4) sum += data[k + 1];
          return (4 * sum) / data.length;
        }"""
    )


def go_to(page: Page, section: str) -> Locator:
    found = page.locator(f"#{section}")
    found.scroll_into_view_if_needed()
    return found


def drag(page: Page, part: Locator, x: float, y: float) -> None:
    """Take a part in the middle and let it go so many pixels away."""
    box = part.bounding_box()
    assert box is not None
    start = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + x, start[1] + y, steps=4)


class TestWatch:
    def test_it_draws_before_anybody_clicks_and_goes_on(self, opened):
        page = opened(motion="no-preference")
        said = page.locator("#watch .said")
        expect(said).to_contain_text(re.compile(r"step ([2-9]|\d\d) of 64"))
        expect(page.locator("#watch-seed")).to_have_value("2")  # the next one
        expect(page.locator("#watch .earlier button")).to_have_count(12)

    def test_less_motion_shows_the_finished_drawing(self, opened):
        page = opened()
        said = page.locator("#watch .said")
        expect(said).to_have_text("step 64 of 64")
        picture = page.locator("#watch .stage canvas")
        finished = light(picture)
        assert finished > 5
        page.locator("#watch .player").get_by_role("button", name="One step back").press("Home")
        expect(said).to_have_text("step 1 of 64")
        assert light(picture) != finished
        page.locator("#watch .player button").first.press("ArrowRight")
        expect(said).to_have_text("step 2 of 64")

    def test_a_link_restores_the_view(self, opened):
        page = opened("#lang=en&seed=9&step=20")
        expect(page.locator("#watch-seed")).to_have_value("9")
        expect(page.locator("#watch .said")).to_have_text("step 20 of 64")
        page.locator("#watch").get_by_label("Step of the drawing").fill("31")
        expect(page).to_have_url(re.compile(r"\bstep=31\b"))
        assert "seed=9" in page.url

    def test_another_model_and_seed(self, opened):
        page = opened()
        expect(page.locator("#watch .earlier button")).to_have_count(12)
        page.get_by_label("Model").select_option("two-digits")
        expect(page.locator("#watch .said")).to_have_text("step 24 of 24")
        page.get_by_role("button", name="Draw another").click()
        expect(page.locator("#watch-seed")).to_have_value("2")
        page.locator("#watch .earlier button").last.click()
        expect(page.locator("#watch-seed")).not_to_have_value("2")

    def test_a_digit_that_is_asked_for_is_drawn_by_the_model_that_is_told_one(
        self, browser, tmp_path
    ):
        """Of a model whose classes are far apart: every 1 of it is lighter than every 0."""
        config = DRAWConfig(
            rows=28, columns=28, glimpses=4, hidden_size=8, latent_size=4, condition="class",
        )  # fmt: skip
        torch.manual_seed(1)
        model = DRAW(config).requires_grad_(False)
        model.attention.write_content.weight.fill_(1.0)
        model.condition.dec.weight[0].fill_(-9.0)
        model.condition.dec.weight[1].fill_(9.0)
        model.save_pretrained(tmp_path / "told")
        told = dataclasses.replace(portable(str(tmp_path / "told")), name="mnist-class")
        write_file(tmp_path / "x.html", [portable("mnist"), told])
        context = browser.new_context(reduced_motion="reduce")
        page = context.new_page()
        page.goto((tmp_path / "x.html").as_uri() + "#lang=en")
        section, picture = page.locator("#watch"), page.locator("#watch .stage canvas")
        expect(section.locator(".said")).to_have_text("step 64 of 64")
        section.get_by_label("Draw a").select_option("1")
        expect(section.locator(".said")).to_have_text("step 4 of 4")
        expect(section.get_by_label("Model")).to_have_value("mnist-class")
        bright = light(picture)
        section.get_by_label("Draw a").select_option("0")
        assert light(picture) < bright
        expect(page).to_have_url(re.compile("label=0"))
        context.close()


@pytest.mark.slow
class TestHold:
    def test_the_windows_parts_are_dragged(self, opened):
        page = opened()
        section = go_to(page, "hold")
        read = section.get_by_label("What it reads")
        for part, field in (("centre", "g_x"), ("stride", "delta"), ("blur", "sigma")):
            before, there = light(read), page.url
            drag(page, section.locator(f"[data-part={part}]"), -14, -9)
            expect(section.locator(f"[data-term={field}].lit").first).to_be_visible()
            page.mouse.up()
            expect(section.locator(".lit")).to_have_count(0)
            assert light(read) != before
            expect(page).not_to_have_url(there)

    def test_sliders_do_the_same_and_a_link_restores_it(self, opened):
        page = opened("#lang=en&window=10,12,2,1,1&size=5")
        section = go_to(page, "hold")
        expect(section.locator("output").first).to_have_text("10.00")
        section.get_by_label("strength γ").focus()
        expect(section.locator("[data-term=gamma].lit")).to_have_count(3)
        section.get_by_label("points along a side").fill("3")
        expect(section.locator(".dots circle")).to_have_count(9)
        expect(page).to_have_url(re.compile(r"\bsize=3\b"))


class TestSteps:
    def test_the_bars_lead_to_their_step_and_boxes_say_what_they_are(self, opened):
        page = opened()
        section = go_to(page, "steps")
        expect(section.locator("rect")).to_have_count(64)
        box = section.locator(".bars svg").bounding_box()
        assert box is not None
        section.locator(".bars svg").click(position={"x": box["width"] * 2.5 / 64, "y": 60})
        expect(section.locator(".said")).to_have_text("step 3 of 64")
        expect(section.locator(".bar-said")).to_contain_text("step 3 tells")
        section.locator("[data-node=z]").hover()
        expect(section.locator(".explained")).to_contain_text("(6)")
        section.locator("[data-node=c]").focus()
        expect(section.locator(".explained")).to_contain_text("(8)")
        canvas = section.locator("[data-node=c] canvas")
        early = light(canvas)
        section.get_by_label("Step of the drawing").fill("64")
        assert light(canvas) > early


@pytest.mark.slow
class TestContinue:
    def test_half_a_digit_goes_on(self, opened):
        page = opened()
        section = go_to(page, "continue")
        first = section.locator(".answers canvas").first
        expect(section.locator(".told")).to_contain_text("Thinking of answer 1 of 5")
        begun = light(first)
        expect(section.locator(".told")).to_contain_text("answer 2 of 5", timeout=60_000)
        assert light(first) > begun
        section.get_by_role("button", name="Clear").click()
        expect(section.locator(".told")).to_contain_text("draw something")

    def test_a_whole_one_is_read_and_drawn_anew(self, opened):
        page = opened()
        section = go_to(page, "continue")
        section.get_by_role("button", name="Clear").click()
        section.get_by_label("What you draw").select_option("whole")
        draw_a_line(page, "#continue .pad")
        expect(section.locator(".told")).to_contain_text("for the messages")
        found = re.search(r"At most ([\d.]+) nats: ([\d.]+) .* ([\d.]+) for the pixels",
                          section.locator(".told").inner_text())  # fmt: skip
        assert found is not None
        whole, codes, pixels = map(float, found.groups())
        assert whole == pytest.approx(codes + pixels, abs=0.11)
        expect(section.locator("rect")).to_have_count(64)
        assert light(section.get_by_label("Drawn anew, in red").first) > 1


@pytest.mark.slow
class TestInterfere:
    def test_a_moved_pen_changes_the_end(self, opened):
        page = opened()
        section = go_to(page, "interfere")
        told = section.locator(".told")
        expect(told).to_contain_text("Drag the dot")
        expect(section.locator(".said")).to_have_text("step 22 of 64")
        section.get_by_label("Step of the drawing").fill("12")
        drag(page, section.locator(".hands [data-part=centre]"), 60, 20)
        page.mouse.up()
        expect(told).to_contain_text("Your hand came in at step 12")
        assert "At the end 0 %" not in told.inner_text()
        section.get_by_role("button", name="Take my hand away").click()
        expect(told).to_contain_text("Drag the dot")

    def test_another_message_and_a_picture_to_look_at(self, opened):
        page = opened()
        section = go_to(page, "interfere")
        expect(section.locator(".told")).to_contain_text("Drag the dot")
        section.get_by_label("It draws").select_option("looks")
        expect(section.locator(".said")).to_have_text("step 22 of 64")
        own, other = (
            section.get_by_label("Left alone"),
            section.get_by_label("With your hand in it"),
        )
        same = light(own) == light(other)
        section.get_by_label("Turn z of this step").fill("90")
        assert same
        assert light(own) != light(other)
        for stop in section.locator(".stops canvas").all():
            expect(stop).to_be_visible()


class TestCompare:
    def test_the_same_seed_with_and_without_attention(self, opened):
        page = opened()
        section = go_to(page, "compare")
        expect(section.locator(".said")).to_have_text("step 64 of 64")
        pictures = [section.get_by_label("With attention"), section.get_by_label("Without")]
        finished = [light(picture) for picture in pictures]
        section.get_by_label("Stop after").fill("1")
        expect(section.locator(".said")).to_have_text("step 4 of 4")
        early = [light(picture) for picture in pictures]
        assert all(one != other for one, other in zip(early, finished, strict=True))


@pytest.mark.slow
class TestSearch:
    def test_the_eye_hunts_where_the_digit_is_put(self, opened):
        page = opened()
        section = go_to(page, "search")
        told = section.locator(".told")
        expect(told).to_contain_text("% sure")
        expect(section.locator(".said")).to_have_text("step 8 of 8")
        section.get_by_label("Scraps").fill("0")
        scene = section.get_by_label("The page: drag")
        section.get_by_label("Digit, across").fill("0")
        section.get_by_label("Digit, down").fill("0")
        left = light(scene)
        box = scene.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.14, box["y"] + box["height"] * 0.14)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6, steps=4)
        page.mouse.up()
        expect(section.locator("output", has_text="46")).to_have_count(2)
        assert light(scene) != left
        expect(section.locator(".classes .best")).to_have_count(1)


def test_parts_whose_model_is_not_there_are_left_out(browser, tmp_path):
    draw_command("page", "--to", "x.html", "--single", "--models", "mnist", cwd=tmp_path)
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto((tmp_path / "x.html").as_uri() + "#lang=en")
    expect(page.locator("#watch .said")).to_have_text("step 64 of 64")
    expect(page.locator("#compare, #search")).to_have_count(0)
    expect(page.locator("#continue, #interfere, #exercises")).to_have_count(3)
    context.close()


def test_korean(opened):
    page = opened()
    page.get_by_role("button", name="한국어").click()
    expect(page.locator("h1")).to_have_text("그림을 그리는 신경망")
    assert page.evaluate("document.documentElement.lang") == "ko"
    assert "lang=ko" in page.url
    for section in SECTIONS:
        expect(page.locator(f"#{section} h2")).to_contain_text(re.compile("[가-힣]"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
)
def test_it_holds_at_both_widths_and_schemes_and_for_everyone(opened, width, scheme):
    page = opened(width=width, scheme=scheme)
    for section in SECTIONS:
        go_to(page, section)
        page.wait_for_timeout(300)  # sections begin when they come near
    expect(page.locator("#steps rect")).to_have_count(64)
    expect(page.locator("#search .told")).to_contain_text("% sure")
    too_wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert too_wide <= 0, f"{too_wide} pixels too wide"
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"page-{width}-{scheme}.png", full_page=True)
    # The page's own policy lets no other script in, so the checker runs apart from it.
    axe = importlib.resources.files("axe_playwright_python") / "axe.min.js"
    page.evaluate(axe.read_text())
    report = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    findings = [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}; {one['nodes'][0]['failureSummary']}"
        for one in report["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert findings == [], "\n".join(findings)


FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")


@pytest.mark.slow
@pytest.mark.skipif(FIREFOX is None, reason="needs Firefox (apt-get install firefox-esr)")
def test_firefox_draws_too(address, tmp_path):
    """Its picture of the page has black canvases, ink on them, and the window's red frame."""
    profile, shot = tmp_path / "profile", tmp_path / "shot.png"
    profile.mkdir()
    command = [FIREFOX, "--headless", "--no-remote", "--profile", str(profile)]
    command += ["--window-size", "1280,900", "--screenshot", str(shot), address + "#step=30"]
    subprocess.run(command, capture_output=True, timeout=200, check=True)
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    black, red = pixels.max(-1) < 8, np.abs(pixels - (255, 77, 79)).max(-1) < 8
    assert black.mean() > 0.05
    assert red.sum() > 100


def test_a_folder_fetches_weights_when_they_are_needed(browser, tmp_path):
    draw_command("page", "--to", "site", cwd=tmp_path)
    asked: list[str] = []

    def serve(route) -> None:
        path = route.request.url.removeprefix("http://page.test/").partition("#")[0]
        asked.append(path or "index.html")
        route.fulfill(path=tmp_path / "site" / (path or "index.html"))

    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.route("http://page.test/**", serve)
    page.goto("http://page.test/#lang=en")
    expect(page.locator("#watch .said")).to_have_text("step 64 of 64")
    assert [path for path in asked if "weights" in path] == ["weights/mnist.safetensors"]
    page.get_by_label("Model").select_option("two-digits")
    expect(page.locator("#watch .said")).to_have_text("step 24 of 24")
    assert asked[-1] == "weights/two-digits.safetensors"
    context.close()


def test_weights_that_do_not_come_are_told_once(browser, tmp_path):
    draw_command("page", "--to", "site", "--models", "mnist", cwd=tmp_path)
    Path(tmp_path / "site/weights/mnist.safetensors").unlink()
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()

    def serve(route) -> None:
        path = tmp_path / "site" / (route.request.url.removeprefix("http://page.test/"))
        path = path / "index.html" if path.is_dir() else path
        route.fulfill(path=path) if path.exists() else route.fulfill(status=404)

    page.route("http://page.test/**", serve)
    page.goto("http://page.test/")
    expect(page.locator("#watch .failed")).to_contain_text("mnist.safetensors: 404")
    context.close()
