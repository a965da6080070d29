"""The page in a browser, opened from a disk: each section, both widths, both schemes."""

import dataclasses
import importlib.resources
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, Locator, Page, expect

from browser import SCREENSHOTS, box_of, draw_a_line, launched, light
from draw.config.model import DRAWConfig
from draw.model.draw import DRAW
from draw.page.document import Links, write_file, write_folder
from draw.page.portable import portable
from page_models import MNIST, small_model
from running import draw_command

pytestmark = pytest.mark.live

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


@pytest.fixture(scope="module")
def shared(browser: Browser, address: str) -> Iterator[tuple[Page, list[str]]]:
    """One page for all tests, and what went wrong on it."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page, wrong = context.new_page(), []
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on(
        "request", lambda sent: None if sent.url.startswith(address) else wrong.append(sent.url)
    )
    page.goto(address)
    yield page, wrong
    context.close()


FOLLOW = """(link) => new Promise((followed) => {
  addEventListener("hashchange", () => followed(), { once: true });
  history.replaceState(null, "", "#");
  location.hash = link;
})"""


@pytest.fixture
def opened(shared: tuple[Page, list[str]]) -> Iterator[Callable[..., Page]]:
    """Follows a link to the page, which is open; nothing is asked for then and no script fails."""
    page, wrong = shared

    def open_page(
        link: str = "#lang=en", width: int = 1280, scheme: str = "light", motion: str = "reduce"
    ) -> Page:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme, reduced_motion=motion)
        page.evaluate(FOLLOW, link)
        page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
        page.locator("#watch .player").wait_for()
        return page

    yield open_page
    assert wrong == []


def settled(section: Locator) -> None:
    """Wait until a section has begun, and all that was asked of it is done."""
    expect(section).to_have_attribute("aria-busy", "false")


def go_to(page: Page, section: str) -> Locator:
    """A section, which begins when it comes near."""
    found = page.locator(f"#{section}")
    found.scroll_into_view_if_needed()
    settled(found)
    return found


def drag(page: Page, part: Locator, x: float, y: float) -> None:
    """Take a part in the middle and move it so many pixels away."""
    left, top, width, height = box_of(part)
    start = left + width / 2, top + height / 2
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + x, start[1] + y, steps=4)


@contextmanager
def held(page: Page) -> Iterator[None]:
    """As long as something is held by a pointer, the page's work waits for the hand."""
    page.evaluate("dispatchEvent(new Event('pointerdown'))")
    yield
    page.evaluate("dispatchEvent(new Event('pointerup'))")


class TestWatch:
    def test_it_draws_before_anybody_clicks_and_goes_on(self, opened):
        page = opened(motion="no-preference")
        said = page.locator("#watch .said")
        expect(said).to_contain_text(re.compile(r"step ([2-9]|\d\d) of 64"))
        expect(page.locator("#watch-seed")).not_to_have_value("1")  # the next one
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
        page = opened("#lang=en&seed=9&step=20&temperature=0.5")
        expect(page.locator("#watch-seed")).to_have_value("9")
        expect(page.locator("#watch .said")).to_have_text("step 20 of 64")
        page.locator("#watch").get_by_label("Step of the drawing").fill("31")
        expect(page).to_have_url(re.compile(r"\bstep=31\b"))
        assert "seed=9" in page.url
        page.locator("#exercises a", has_text="section 5").click()
        expect(page.locator("#interfere")).to_be_focused()
        expect(page.locator("#interfere h2")).to_be_in_viewport()
        assert "seed=9" in page.url
        assert "step=31" in page.url
        opened("#lang=en&seed=8&step=3")
        expect(page.locator("#watch-seed")).to_have_value("8")
        expect(page.locator("#watch .said")).to_have_text("step 3 of 64")
        expect(page.locator("#watch").get_by_label("Temperature")).to_have_value("1")

    @pytest.mark.slow
    def test_it_waits_while_nobody_looks(self, opened):
        page = opened(motion="no-preference")
        seed = page.locator("#watch-seed")
        page.locator("#watch").get_by_label("Speed").select_option("4")  # less than a second each
        expect(seed).not_to_have_value("1")
        go_to(page, "exercises")
        expect(page.locator("#watch .stage")).not_to_be_in_viewport()
        expect(page.locator("#watch .said")).to_have_text("step 64 of 64")
        waits = seed.input_value()
        page.wait_for_timeout(3000)
        expect(seed).to_have_value(waits)
        go_to(page, "watch")
        expect(seed).not_to_have_value(waits)

    def test_another_model_and_seed(self, opened):
        page = opened()
        expect(page.locator("#watch .earlier button")).to_have_count(12)
        page.get_by_label("Model").select_option("two-digits")
        expect(page.locator("#watch .said")).to_have_text("step 64 of 64")
        expect(page.locator("#watch .earlier button")).to_have_count(12)
        page.get_by_role("button", name="Draw another").click()
        expect(page.locator("#watch-seed")).to_have_value("2")
        page.locator("#watch .earlier button").last.click()
        expect(page.locator("#watch-seed")).to_have_value(str(2**31 - 9))

    def test_what_is_changed_meanwhile_leaves_the_other_drawings_alone(self, opened):
        page = opened()
        section = page.locator("#watch")
        with held(page):
            page.evaluate(FOLLOW, "#lang=en&model=mnist-class")
            expect(section.locator(".said")).to_have_text("step 64 of 64")
            section.get_by_role("button", name="Draw another").press("Enter")
            section.locator("#watch-seed").fill("99")
            section.locator("#watch-seed").press("Enter")
            section.get_by_label("Temperature").fill("0.5")
            section.get_by_label("Draw a").select_option("7")
        expect(section.locator(".earlier button")).to_have_count(12)
        drawn = [one.get_attribute("data-drawing") for one in
                 section.locator(".earlier button").all()]  # fmt: skip
        seeds = [2, 1, 0, *range(2**31 - 1, 2**31 - 10, -1)]
        assert drawn == [f"{seed} 1 " for seed in seeds]
        section.locator(".earlier button").nth(1).click()
        expect(section.get_by_label("Temperature")).to_have_value("1")
        expect(section.get_by_label("Draw a")).to_have_value("")
        expect(section.locator("#watch-seed")).to_have_value("1")

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
        write_file(tmp_path / "x.html", [small_model("mnist", tmp_path, MNIST), told])
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
    def test_all_equations_of_the_window_are_there(self, opened):
        page = opened()
        numbers = go_to(page, "hold").locator(".eq-number").all_inner_texts()
        assert sorted(numbers) == [f"({number})" for number in range(19, 30)]

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
        _, _, width, _ = box_of(section.locator(".bars svg"))
        section.locator(".bars svg").click(position={"x": width * 2.5 / 64, "y": 60})
        expect(section.locator(".said")).to_have_text("step 3 of 64")
        expect(section.locator(".bar-said")).to_contain_text("step 3 tells")
        explained = section.locator(".explained")
        section.locator("[data-node=z]").hover()
        expect(explained).to_contain_text("(6)")
        equations = {"x_hat": 3, "r": 4, "h_enc": 5, "mu": 1, "sigma": 2, "z": 6, "h_dec": 7,
                     "w": 28, "c": 8}  # fmt: skip
        boxes = section.locator("[data-node]").all()
        assert {box.get_attribute("data-node") for box in boxes} == {"x", *equations}
        for box in boxes:
            box.focus()
            name, said = box.get_attribute("data-node"), explained.inner_text()
            assert name == "x" or f"({equations[name]})" in said, said
        canvas = section.locator("[data-node=c] canvas")
        early = light(canvas)
        section.get_by_label("Step of the drawing").fill("64")
        assert light(canvas) > early


@pytest.mark.slow
class TestContinue:
    def test_half_a_digit_goes_on(self, opened):
        page = opened()
        with held(page):
            section = go_to(page, "continue")
            first, told = section.locator(".answers canvas").first, section.locator(".told")
            expect(told).to_contain_text("Thinking of answer 1 of 5")
            begun = light(first)
        expect(told).to_contain_text(re.compile(r"answer [2-5] of 5|5 ends"), timeout=60_000)
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
        across = section.get_by_label("Pen, to the right")
        expect(across).to_have_value("0")
        section.get_by_label("Step of the drawing").fill("9")
        across.focus()
        for _ in range(6):
            across.press("ArrowRight")
        expect(told).to_contain_text("Your hand came in at step 9")
        assert "At the end 0 %" not in told.inner_text()

    def test_another_message_and_a_picture_to_look_at(self, opened):
        page = opened()
        section = go_to(page, "interfere")
        expect(section.locator(".told")).to_contain_text("Drag the dot")
        section.get_by_label("It draws").select_option("looks")
        settled(section)
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

    def test_every_number_of_the_message_has_its_slider(self, opened):
        page = opened()
        section = go_to(page, "interfere")
        labels = section.locator(".sliders label")
        names = set()
        dozens = section.get_by_label("Which numbers")
        for start in range(0, 100, 12):
            dozens.select_option(str(start))
            expect(labels).to_have_count(min(12, 100 - start))
            names |= set(section.locator(".sliders label").all_inner_texts())
        assert len(names) == 100
        expect(section.locator("h3").first).to_contain_text("numbers 97 to 100 of the 100")
        section.locator(".sliders input").last.fill("-3")
        expect(section.locator(".told")).to_contain_text("Your hand came in at step 22")
        dozens.select_option("0")
        dozens.select_option("96")
        expect(section.locator(".sliders input").last).to_have_value("-3")


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
        x, y, width, height = box_of(scene)
        page.mouse.move(x + width * 0.14, y + height * 0.14)
        page.mouse.down()
        page.mouse.move(x + width * 0.6, y + height * 0.6, steps=4)
        page.mouse.up()
        expect(section.locator("output", has_text="46")).to_have_count(2)
        assert light(scene) != left
        expect(section.locator(".classes .best")).to_have_count(1)


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


def serve(page: Page, folder: Path) -> list[str]:
    """Serve a folder as a static host does; the files that were asked for, as they are."""
    asked: list[str] = []

    def answer(route) -> None:
        name = route.request.url.removeprefix("http://page.test/").partition("#")[0] or "index.html"
        asked.append(name)
        there = (folder / name).exists()
        route.fulfill(path=folder / name) if there else route.fulfill(status=404)

    page.route("http://page.test/**", answer)
    return asked


def test_a_folder_fetches_weights_when_they_are_needed(browser, tmp_path):
    two = dataclasses.replace(MNIST, glimpses=24)
    models = [small_model("mnist", tmp_path, MNIST), small_model("two-digits", tmp_path, two)]
    write_folder(tmp_path / "site", models, Links(documents="../index.html"))
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    asked = serve(page, tmp_path / "site")
    page.goto("http://page.test/#lang=en")
    expect(page.locator("#watch .said")).to_have_text("step 64 of 64")
    assert [path for path in asked if "weights" in path] == ["weights/mnist.safetensors"]
    page.get_by_label("Model").select_option("two-digits")
    expect(page.locator("#watch .said")).to_have_text("step 24 of 24")
    assert asked[-1] == "weights/two-digits.safetensors"
    # What the page came without is left out: sections, and links at its foot.
    expect(page.locator("#compare, #search")).to_have_count(0)
    expect(page.locator("#continue, #interfere, #exercises")).to_have_count(3)
    expect(page.locator("footer .links a")).to_have_count(1)
    expect(page.locator("footer .links")).to_have_text("Its documents")
    expect(page).to_have_url(re.compile("model=two-digits"))
    (tmp_path / "site/weights/two-digits.safetensors").unlink()
    page.reload()
    expect(page.locator("#watch .failed")).to_contain_text("two-digits.safetensors: 404")
    context.close()


def test_weights_that_do_not_come_are_told_and_may_come_later(browser, tmp_path):
    two = dataclasses.replace(MNIST, glimpses=24)
    models = [small_model("mnist", tmp_path, MNIST), small_model("two-digits", tmp_path, two)]
    write_folder(tmp_path / "site", models, Links())
    weights = tmp_path / "site/weights/two-digits.safetensors"
    weights.rename(tmp_path / "away")
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    serve(page, tmp_path / "site")
    page.goto("http://page.test/#lang=en")
    choice = page.get_by_label("Model")
    expect(page.locator("#watch .said")).to_have_text("step 64 of 64")
    choice.select_option("two-digits")
    expect(page.locator("#watch .failed")).to_contain_text("two-digits.safetensors: 404")
    expect(choice).to_have_value("mnist")
    (tmp_path / "away").rename(weights)
    choice.select_option("two-digits")
    expect(page.locator("#watch .said")).to_have_text("step 24 of 24")
    expect(page.locator("#watch .failed")).to_have_count(0)
    context.close()
