"""The studio in a browser: what each tab is for, what may go wrong, both widths, both schemes."""

import dataclasses
import importlib.resources
import json
import re
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Request, expect

from browser import (
    SCREENSHOTS,
    box_of,
    draw_a_line,
    launched,
    light,
    message,
    open_tab,
    served,
)
from draw.config.data import DataConfig
from studio_runs import DRAWS, line, make_run, make_runs

pytestmark = pytest.mark.live

expect.set_options(timeout=20_000)  # a busy computer is slow, not wrong
TABS = ("Generate", "Reconstruct", "How it works", "Explore", "Classify", "Runs")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_runs(tmp_path_factory.mktemp("studio") / "runs")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(browser: Browser, runs: Path) -> Iterator[str]:
    with served(runs) as address:
        yield address


@pytest.fixture
def opened(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens the page; at the end nothing came from elsewhere and no script failed."""
    contexts, wrong = [], []

    def open_page(
        width: int = 1280, scheme: str = "light", motion: str = "reduce", link: str = ""
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion=motion
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda sent: (
                None
                if sent.url.startswith((address, "data:", "blob:"))
                else wrong.append(f"outside: {sent.url}")
            ),
        )
        page.goto(address + link)
        page.locator(".ds-columns").first.wait_for(state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def page(opened: Callable[..., Page]) -> Page:
    return opened()


def choose_model(page: Page, name: str, label: str = "Model") -> None:
    """Choose a model when the page has drawn, if it does: it draws as it opens."""
    with suppress(AssertionError):
        expect(page.locator("#generate-status")).to_contain_text("images by", timeout=3000)
    page.get_by_role("combobox", name=label).locator("visible=true").click()
    page.get_by_role("option", name=name, exact=True).click()


def tiles(page: Page) -> int:
    return page.locator("#generate-player .tile").count()


def plays(player: Locator, steps: int) -> None:
    """Wait until a player has the drawing of a model that is told by its number of steps."""
    expect(player.get_by_label("Step of the drawing")).to_have_attribute("max", str(steps))


MOTION = """() => [...document.querySelectorAll("*")].filter((one) => {
  const style = getComputedStyle(one);
  const longest = (times) => Math.max(...times.split(",").map(parseFloat));
  return longest(style.transitionDuration) > 0 || longest(style.animationDuration) > 0.001;
}).map((one) => one.outerHTML.slice(0, 120))"""
"""Elements whose changes take time."""

TYPE = """async (field, values) => {
  for (const value of values) {
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise((passed) => setTimeout(passed, 20));
  }
}"""
"""Type values one after another, faster than the page waits for the next."""


def drawings_asked(page: Page, address: str) -> list[int]:
    """The questions for drawings that a page asks from now on, by the number of the event."""
    event, asked = event_of(address, "generate-player"), []

    def note(sent: Request) -> None:
        # There are others, such as a look at the runs, every three seconds.
        if "queue/join" in sent.url and sent.post_data_json["fn_index"] == event:
            asked.append(event)

    page.on("request", note)
    return asked


STREAM = r"""async () => {
  const server = [], said = [];
  let asked = 0;
  const plain = async (input) => {
    if (!(input.url ?? input).includes("/queue/data"))
      return new Response(JSON.stringify({ event_id: `question ${++asked}` }));
    let out;
    const body = new ReadableStream({ start: (controller) => void (out = controller) });
    const write = (said) => out.enqueue(new TextEncoder().encode(said));
    server.push({
      say: (said) => write(`data: ${JSON.stringify(said)}\n\n`),
      end: () => { write('data: {"msg": "close_stream"}\n\n'); out.close(); },
    });
    return new Response(body);
  };
  const answer = (n) => ({ msg: "process_completed", event_id: `question ${n}` });
  const soon = () => new Promise((resolve) => setTimeout(resolve, 50));
  const fetch = DrawStudio.lastingStream(plain);
  const abort = new AbortController();

  await fetch("/queue/join", { method: "POST" });
  const response = await fetch("/queue/data?session_hash=s", { signal: abort.signal });
  const reading = (async () => {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return "ended";
      for (const told of value.split("\n\n").filter(Boolean))
        said.push(JSON.parse(told.slice("data: ".length)).event_id);
    }
  })().catch((error) => error.name);

  server[0].say(answer(1));
  await fetch("/queue/join", { method: "POST" });  // the server is ending the stream just now
  server[0].end();
  await soon();
  const whenAsked = server.length;
  server[1].say(answer(2));
  server[1].end();
  await soon();
  const whenNothingIsAsked = server.length;
  await fetch("/queue/join", { method: "POST" });
  await soon();
  server[2].say(answer(3));
  server[2].end();
  await soon();
  abort.abort();
  return { said, whenAsked, whenNothingIsAsked, end: await reading };
}"""


@pytest.mark.slow
class TestStream:
    def test_a_question_asked_while_the_stream_ends_is_answered(self, page):
        found = page.evaluate(STREAM)
        assert found["said"] == ["question 1", "question 2", "question 3"]
        assert (found["whenAsked"], found["whenNothingIsAsked"]) == (2, 2)
        assert found["end"] == "AbortError"


class TestGenerate:
    def test_it_draws_before_anybody_clicks(self, opened):
        page = opened(motion="no-preference")
        expect(page.locator("#generate-player .said")).to_have_text(re.compile(r"step \d+ of 64"))
        expect(page.locator("#generate-status")).to_contain_text("16 images by mnist, seed 1")
        expect(page.locator("#generate-player .said")).to_have_text("finished")

    def test_changes_in_a_row_are_drawn_once(self, page, address):
        status = page.locator("#generate-status")
        expect(status).to_contain_text("16 images by mnist")
        asked = drawings_asked(page, address)
        page.get_by_label("Seed").locator("visible=true").evaluate(TYPE, ["2", "23", "234", "2345"])
        expect(status).to_contain_text("seed 2345")
        assert len(asked) == 1
        page.locator("#generate-draw").click()
        expect(status).not_to_contain_text(re.compile(r"seed 2345\b"))
        expect(status).to_contain_text("16 images by mnist")

    def test_a_link_restores_the_view(self, opened):
        page = opened(link="#model=runs/draws&number=4&seed=9&drawing=2&step=3")
        player, status = page.locator("#generate-player"), page.locator("#generate-status")
        expect(status).to_contain_text("4 images by runs/draws, seed 9, temperature 1")
        expect(player.locator(".said")).to_have_text("step 3 of 4")
        expect(player.locator(".tile").nth(1)).to_have_attribute("aria-pressed", "true")
        player.get_by_label("Step of the drawing").fill("2")
        player.locator(".tile").nth(3).click()
        open_tab(page, "How it works")
        expect(page).to_have_url(re.compile(r"#(?=.*\btab=How\+it\+works\b)(?=.*\bstep=2\b)"))
        link = page.url[page.url.index("#") :]
        again = opened(link=link)
        again.locator("#insight .flow").wait_for()
        open_tab(again, "Generate")
        expect(again.locator("#generate-player .said")).to_have_text("step 2 of 4")
        expect(again.locator("#generate-player .tile").nth(3)).to_have_attribute(
            "aria-pressed", "true"
        )

    def test_what_a_link_names_and_is_not_here_is_told(self, opened):
        page = opened(link="#model=gone&seed=x&temperature=0.5")
        words = message(page)
        assert "there is no model 'gone' here" in words
        assert "'x' is no seed" in words
        expect(page.locator("#generate-status")).to_contain_text("seed 1, temperature 0.5")

    def test_images_are_drawn_and_played(self, page):
        choose_model(page, "runs/draws")
        expect(page.locator("#generate-status")).to_contain_text("16 images by runs/draws, seed 1")
        plays(page.locator("#generate-player"), 5)
        expect(page.locator("#generate-player .tile")).to_have_count(16)
        player = page.locator("#generate-player .player")
        said = player.locator(".said")
        expect(said).to_have_text("finished")  # less motion is asked for, so it starts at the end
        toggle = player.locator(".play")
        toggle.press("ArrowLeft")
        expect(said).to_have_text("step 4 of 4")
        toggle.press("Home")
        expect(said).to_have_text("step 1 of 4")
        written = page.locator("#generate-player .places.write")
        numbers = written.inner_text()
        page.get_by_label("Drawing 3: show it large").click()
        expect(page.locator("#generate-player .pane figcaption")).to_have_text("Drawing 3")
        player.get_by_label("Step of the drawing").fill("3")
        expect(said).to_have_text("step 3 of 4")
        assert written.inner_text() != numbers
        player.get_by_label("Speed").select_option("4")
        toggle.press(" ")
        expect(said).to_have_text("finished")

    def test_files_are_saved(self, page):
        choose_model(page, "runs/colour")
        expect(page.locator("#generate-status")).to_contain_text("16 images by runs/colour")
        for name, start in (("PNG", b"\x89PNG"), ("GIF", b"GIF8"), ("MP4", b"\0\0\0")):
            with page.expect_download() as download:
                page.get_by_role("button", name=name, exact=True).locator("visible=true").click()
            path = Path(download.value.path())
            assert path.read_bytes().startswith(start)
            assert download.value.suggested_filename == f"runs-colour-seed-1.{name.lower()}"

    def test_a_class_is_chosen_and_none_is_chosen_at_first(self, opened, runs):
        told = dataclasses.replace(DRAWS, condition="class", label_dropout=0.1)
        make_run(runs / "told", told, DataConfig(name="images"))
        page = opened()
        status, field = page.locator("#generate-status"), page.locator("#generate-class input")
        guidance = page.locator("#generate-guidance input[type=range]")
        choose_model(page, "runs/told")
        expect(status).to_contain_text("16 images by runs/told, seed 1")
        expect(field).to_have_value("each in turn")
        assert "label" not in page.url
        for choice, words in (("7", "16 images of class 7 by"), ("none", "images of no given")):
            field.click()
            page.get_by_role("option", name=choice, exact=True).click()
            expect(status).to_contain_text(words)
            expect(guidance).to_be_enabled(enabled=choice != "none")
        expect(page).to_have_url(re.compile("label=none"))
        choose_model(page, "runs/draws")
        expect(status).to_contain_text("16 images by runs/draws, seed 1")
        expect(field).not_to_be_visible()
        choose_model(page, "runs/told")
        open_tab(page, "Explore")
        expect(page.locator("#between-player .tile span").first).to_contain_text("class")
        choose_model(page, "runs/draws")
        expect(page.get_by_label("Class of the first")).not_to_be_visible()
        page.locator("#between-dice").click()
        expect(page.locator("#between-player .tile span").first).not_to_contain_text("class")
        choose_model(page, "runs/told")
        expect(page.locator("#between-player .tile span").first).to_contain_text("class 0")
        expect(page.get_by_label("Class of the second")).to_have_value("1")

    @pytest.mark.slow
    def test_the_first_are_seen_while_the_rest_are_made_and_it_can_be_stopped(self, page):
        expect(page.locator("#generate-status")).to_contain_text("16 images by mnist")
        page.get_by_label("number input for Number of images").fill("64")
        expect(page.locator("#generate-status")).to_contain_text("64 images by mnist")
        choose_model(page, "runs/slow")
        expect(page.locator("#generate-status")).to_contain_text(re.compile(r"\d of 64 drawn"))
        page.locator("#generate-stop").dispatch_event("click")
        expect(page.locator("#generate-status")).to_contain_text("Not finished")
        time.sleep(4)  # a part takes a second or two; one more would be told of here
        expect(page.locator("#generate-status")).to_contain_text("Not finished")
        assert 0 < tiles(page) < 64
        expect(page.locator("#generate-stop")).not_to_be_visible()

    def test_a_field_that_is_no_number_is_told_and_the_page_goes_on(self, page):
        status = page.locator("#generate-status")
        expect(status).to_contain_text("16 images by mnist")
        seed = page.get_by_label("Seed").locator("visible=true")
        seed.fill("")
        expect(status).to_contain_text("Expected the seed to be a number from 0")
        expect(page.locator("#generate-stop")).not_to_be_visible()
        seed.fill("-3")
        expect(status).to_contain_text("got -3; type one in between")
        expect(page.locator(".toast-body")).to_have_count(0)  # it is said once
        seed.fill("7")
        choose_model(page, "runs/draws")
        expect(status).to_contain_text("16 images by runs/draws, seed 7")


class TestReconstruct:
    def test_a_test_image_and_a_drawing(self, page):
        open_tab(page, "Reconstruct")
        player = page.locator("#reconstruct-player")
        expect(player.locator(".bars rect")).to_have_count(64)
        choose_model(page, "runs/draws")
        expect(page.locator("#reconstruct-status")).to_contain_text("Test image 1 of 179")
        expect(player.locator(".bars rect")).to_have_count(4)
        expect(player.locator("canvas")).to_have_count(3)
        save = page.get_by_role("button", name="PNG").locator("visible=true")
        expect(save).to_be_enabled()
        total = player.locator(".cost strong").inner_text()
        expect(page.get_by_text("nats in all")).to_contain_text(total)
        page.locator("#reconstruct-source").get_by_text("Draw", exact=True).click()
        page.locator("#reconstruct-pad canvas").wait_for()
        expect(page.locator("#reconstruct-status")).to_contain_text("Draw something on the page.")
        expect(save).to_be_disabled()
        draw_a_line(page, "#reconstruct-pad")
        expect(page.locator("#reconstruct-status")).to_contain_text("Your drawing")
        page.locator("#reconstruct-pad").get_by_role("button", name="Undo").click()
        expect(page.locator("#reconstruct-status")).to_contain_text("Draw something on the page.")

    @pytest.mark.slow
    def test_half_of_an_image_goes_on_in_five_ways(self, page):
        open_tab(page, "Reconstruct")
        choose_model(page, "runs/draws")
        player = page.locator("#reconstruct-player")
        expect(player.locator(".bars rect")).to_have_count(4)
        page.locator("#reconstruct-known").get_by_text("left", exact=True).click()
        expect(player.locator(".tile")).to_have_count(6)
        expect(player).to_contain_text("answer 5")
        page.locator("#reconstruct-known").get_by_text("top", exact=True).click()
        expect(page.get_by_text("The top half is known: ")).to_be_visible()
        page.locator("#reconstruct-known").get_by_text("all", exact=True).click()
        expect(player.locator(".bars rect")).to_have_count(4)

    @pytest.mark.slow
    def test_uploads_that_are_none_are_told(self, page, tmp_path):
        Image.new("1", (8000, 5000)).save(tmp_path / "large.png")
        (tmp_path / "words.png").write_text("hello")
        Image.new("L", (60, 40), 200).save(tmp_path / "fine.png")
        (tmp_path / "heavy.png").write_bytes(bytes(20 * 2**20 + 9))
        open_tab(page, "Reconstruct")
        choose_model(page, "runs/draws")
        page.locator("#reconstruct-source").get_by_text("Upload", exact=True).click()
        field = page.locator("#reconstruct-file input[type=file]")
        for name, words in (
            ("large.png", "got 8000×5000 (40.0 megapixels)"),
            ("words.png", "words.png: is no picture of a known format"),
        ):
            field.set_input_files(tmp_path / name)
            page.locator("#reconstruct-file").get_by_text(name.partition(".")[0]).first.wait_for()
            expect(page.locator("#reconstruct-status")).to_contain_text(words)
            page.locator("#reconstruct-file").get_by_label("Clear").click()
        field.set_input_files(tmp_path / "heavy.png")
        assert "maximum allowed size of 20" in message(page)
        field.set_input_files(tmp_path / "fine.png")
        page.locator("#reconstruct-file").get_by_text("fine").first.wait_for()
        expect(page.locator("#reconstruct-status")).to_contain_text("Your picture")


def test_what_is_chosen_before_the_page_has_loaded_is_drawn(browser, address):
    page, waiting = browser.new_page(reduced_motion="reduce"), []
    page.set_default_timeout(20_000)
    loaded = threading.Event()
    page.route(
        "**/queue/join*",
        lambda asked: asked.continue_() if loaded.is_set() else waiting.append(asked),
    )
    page.goto(address)
    open_tab(page, "Reconstruct")
    choose_model(page, "runs/draws")
    page.wait_for_timeout(400)  # longer than it waits for another change
    loaded.set()
    for asked in waiting:
        asked.continue_()
    expect(page.locator("#reconstruct-player .bars rect")).to_have_count(4)
    page.close()


ASKED = """async () => {
  const place = Object.assign(document.createElement("div"), { id: "asks" }), counts = [];
  let asked = 0;
  document.body.append(place);
  DrawStudio.live(place, () => { asked += 1; });
  while (!asked) await new Promise(requestAnimationFrame);  // it is seen
  for (const question of ["one", "one", "two"]) {
    DrawStudio.ask("asks", question);
    await new Promise((passed) => setTimeout(passed, 400));  // longer than it waits itself
    counts.push(asked);
  }
  return counts;
}"""


def test_the_same_is_not_asked_twice_in_a_row(page):
    expect(page.locator("#generate-status")).to_contain_text("16 images by")
    assert page.evaluate(ASKED) == [2, 2, 3]


class TestInsight:
    def test_it_is_of_the_drawing_that_was_looked_at(self, page):
        choose_model(page, "runs/draws")
        expect(page.locator("#generate-status")).to_contain_text("16 images by runs/draws")
        player = page.locator("#generate-player")
        expect(player.get_by_label("Step of the drawing")).to_have_attribute("max", "5")
        player.get_by_label("Drawing 3: show it large").click()
        with page.expect_request(re.compile("draw/noise")) as asked:
            open_tab(page, "How it works")
        assert asked.value.url.endswith("?model=runs%2Fdraws&seed=1&index=2")
        inside = page.locator("#insight")
        steps = inside.locator("#steps")
        plays(steps, 4)
        expect(steps).to_have_attribute("aria-busy", "false")
        expect(steps.locator(".bar-said")).to_contain_text("nats")
        expect(steps.locator(".node")).to_have_count(10)
        steps.get_by_label("Step of the drawing").fill("2")
        expect(steps.locator(".bar-said")).to_contain_text("step 2 tells")
        assert light(steps.locator("[data-node=x] canvas")) > 1
        assert inside.get_by_role("button", name="Take the present drawing").count() == 0

    def test_windows_and_messages_are_taken_in_the_hand(self, page):
        choose_model(page, "runs/draws")
        expect(page.locator("#generate-status")).to_contain_text("16 images by runs/draws")
        open_tab(page, "How it works")
        interfere = page.locator("#insight #interfere")
        told = interfere.locator(".told")
        plays(interfere, 4)
        expect(interfere).to_have_attribute("aria-busy", "false")
        expect(told).to_contain_text("Drag the dot")
        message = interfere.locator(".sliders input")
        expect(message).to_have_count(4)  # as many as its z has numbers
        step = interfere.get_by_label("Step of the drawing")
        at, first = step.input_value(), message.first.input_value()
        message.first.fill("3")
        expect(told).to_contain_text("At the end")
        interfere.get_by_role("button", name="Take my hand away").click()
        expect(told).to_contain_text("Drag the dot")
        step.fill(at)  # the change was followed to the end of the drawing
        expect(message.first).to_have_value(first)
        step.fill("1")
        x, y, width, height = box_of(interfere.locator(".hands [data-part=centre]"))
        page.mouse.move(x + width / 2, y + height / 2)
        page.mouse.down()
        page.mouse.move(x + 40, y + 30, steps=3)
        page.mouse.up()
        expect(told).to_contain_text("Your hand came in at step 1")

    def test_a_model_of_the_server_alone_says_why(self, page):
        choose_model(page, "runs/colour")
        open_tab(page, "How it works")
        expect(page.locator("#insight")).to_contain_text(
            "runs/colour cannot be computed in the browser"
        )
        choose_model(page, "runs/draws")
        page.locator("#insight .flow").wait_for()


def test_classify(page):
    open_tab(page, "Classify")
    answer, status = page.locator("#classify-answer"), page.locator("#classify-status")
    expect(answer).to_contain_text("with a probability of")
    choose_model(page, "runs/looks", "Classifier")
    expect(page.locator("#classify-player .said")).to_have_text("glimpse 3 of 3")
    page.get_by_label("Number of the test image").locator("visible=true").fill("3")
    expect(status).to_contain_text("Test image 3 of")
    player = page.locator("#classify-player")
    expect(player.locator(".classes li")).to_have_count(10)
    said = [player.locator(".classes").inner_text()]
    player.locator(".play").press("Home")
    expect(player.locator(".said")).to_have_text("glimpse 1 of 3")
    said.append(player.locator(".classes").inner_text())
    assert said[0] != said[1]
    place = page.get_by_label("Of the place at which")
    expect(place).not_to_be_visible()
    page.locator("#classify-source").get_by_text("Draw", exact=True).click()
    page.locator("#classify-pad canvas").wait_for()
    expect(status).to_contain_text("Draw something on the page.")
    draw_a_line(page, "#classify-pad")
    expect(status).to_contain_text("Your drawing")


@pytest.mark.slow
def test_explore(page):
    choose_model(page, "runs/draws")
    open_tab(page, "Explore")
    tiles = page.locator("#between-player .tile span")
    expect(tiles).to_have_count(9)
    first, last = tiles.all_inner_texts()[::8]
    assert first != last, "it begins with two drawings that differ"
    page.get_by_label("From").fill("77")
    expect(tiles.first).to_have_text("seed 77")
    page.get_by_text("Two test images", exact=True).click()
    expect(tiles.first).to_contain_text("image")
    page.get_by_label("From").fill("178")
    expect(tiles.first).to_have_text("image 178")
    page.get_by_label("From").fill("500")
    expect(page.locator("#between-status")).to_contain_text("test images from 1 to 179, got 500")
    page.locator("#between-dice").click()
    expect(page.get_by_label("From")).not_to_have_value("500")
    expect(page.locator("#between-status")).to_have_text("")
    page.get_by_role("tab", name="One step").click()
    player = page.locator("#step-player")
    expect(player).to_contain_text("step 4 from seed 2")
    step = page.get_by_label("number input for Step whose code is exchanged")
    expect(step).to_have_attribute("max", "4")
    step.fill("3")
    expect(player).to_contain_text("step 3 from seed 2")
    expect(player.locator(".tile")).to_have_count(2)
    expect(page.locator("#step-bars rect.ds-bar-of")).to_have_count(4)
    page.locator("#step-dice").click()  # any seed, one that begins with a 2 too
    expect(player.locator(".tile span").last).not_to_have_text("step 3 from seed 2")
    page.get_by_role("tab", name="Nearest in training").click()
    expect(page.locator("#nearest-status")).to_contain_text(
        "Compared with 1,439 of 1,439 training images of digits."
    )
    expect(page.locator("#nearest-found img")).to_have_count(12)
    choose_model(page, "runs/colour")
    expect(page.locator("#nearest-status")).to_contain_text("Not offered for this model")
    expect(page.locator("#nearest-found img")).to_have_count(0)
    expect(page.locator("#nearest-dice")).not_to_be_visible()


@pytest.mark.slow
def test_runs_are_compared_and_followed_without_touching_them(page, runs):
    folder = make_run(runs / "training", DRAWS, DataConfig(name="digits"))
    open_tab(page, "Runs")

    def choose(label: str, name: str) -> None:
        page.get_by_role("combobox", name=label, exact=True).click()
        page.get_by_role("option", name=name, exact=True).click()
        expect(page.get_by_role("option")).to_have_count(0)

    facts, curves = page.locator("#runs-facts"), page.locator("#runs-curves")
    choose("Run", "runs/training")
    expect(facts).to_contain_text("40 of 100")
    expect(curves.locator(".ds-chart")).to_have_count(4)
    expect(page.locator("#runs-picture img")).to_have_count(1)
    choose("Compare with", "runs/draws")
    expect(page.locator("#runs-settings thead th")).to_have_count(2)
    expect(curves.locator(".ds-charts-key")).to_contain_text("runs/draws")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(line("train", 77, DRAWS) + "\n" + line("train", 78, DRAWS)[:40])
    expect(facts).to_contain_text("77 of 100", timeout=20_000)
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert {path.name for path in after if after[path] != before.get(path)} == {"metrics.jsonl"}
    shutil.rmtree(folder)
    expect(facts).to_contain_text("may have been deleted", timeout=20_000)
    choose("Compare with", "none")
    assert "may have been deleted" in message(page)
    choose("Run", "runs/draws")
    expect(facts).to_contain_text("40 of 100")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
)
def test_it_holds_at_both_widths_and_schemes_and_for_everyone(opened, width, scheme):
    page = opened(width, scheme)
    axe = importlib.resources.files("axe_playwright_python") / "axe.min.js"
    checked = (width, scheme) in ((1280, "light"), (390, "dark"))
    if checked:
        page.add_script_tag(content=axe.read_text())
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    findings = []
    for tab in TABS:
        open_tab(page, tab)
        if tab in ("Generate", "Reconstruct"):
            choose_model(page, "runs/draws")
        shown = {"Runs": "#runs-curves svg", "How it works": "#insight canvas"}
        page.locator(shown.get(tab, ".stage-of canvas")).locator("visible=true").first.wait_for()
        too_wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert too_wide <= 0, f"{tab} is {too_wide} pixels too wide"
        assert page.evaluate(MOTION) == [], f"{tab} moves for those who asked for less of it"
        page.screenshot(path=SCREENSHOTS / f"{tab.lower()}-{width}-{scheme}.png", full_page=True)
        if not checked:
            continue
        report = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        findings += [
            f"{tab}: {one['id']}: {one['nodes'][0]['html'][:200]}; "
            f"{one['nodes'][0]['failureSummary']}"
            for one in report["violations"]
            if one["impact"] in ("serious", "critical")
        ]
    assert findings == [], "\n".join(findings)


def test_nothing_but_the_page_is_served(address, runs, tmp_path):
    (runs / "escape").symlink_to("/etc")

    def ask(path: str, **headers: str) -> int:
        asked = urllib.request.Request(address + path, headers=headers)
        try:
            with urllib.request.urlopen(asked, timeout=20) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    assert ask("/") == 200
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    for path in (
        "/etc/passwd", str(secret), str(runs / "draws" / "run.json"), "../../etc/passwd",
        "..%2f..%2f..%2fetc%2fpasswd", str(runs / "escape" / "passwd"), str(Path(__file__)),
        "pyproject.toml", "/proc/self/environ",
    ):  # fmt: skip
        assert ask(f"/gradio_api/file={path}") in (403, 404), path
    for path in ("/static/../../../etc/passwd", "/assets/..%2f..%2f..%2fetc%2fpasswd"):
        assert ask(path) in (403, 404), path
    assert ask("/gradio_api/proxy=http://127.0.0.1/") == 404
    assert ask("/", Host="evil.example") == 403
    (runs / "escape").unlink()


def event_of(address: str, name: str) -> int:
    """Number of the event by which an element asks for its answer."""
    with urllib.request.urlopen(f"{address}/config", timeout=20) as answer:
        config = json.load(answer)
    asker = next(one["id"] for one in config["components"] if one["props"].get("elem_id") == name)
    number: int = next(
        one["id"] for one in config["dependencies"] if [asker, "submit"] in one["targets"]
    )
    return number


def test_ten_people_at_once(address):
    """Ten visitors ask at the same time; each gets a drawing or a word, and the page stays."""
    event = event_of(address, "generate-player")
    outcomes: list[str] = []

    def visit(number: int) -> None:
        session = f"visitor{number}"
        asked = {
            "data": ["runs/draws", 8, number, 1.0, None, 1.0], "fn_index": event,
            "session_hash": session,
        }  # fmt: skip
        join = urllib.request.Request(
            f"{address}/gradio_api/queue/join", json.dumps(asked).encode(),
            {"Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(join, timeout=60):
            pass
        url = f"{address}/gradio_api/queue/data?session_hash={session}"
        with urllib.request.urlopen(url, timeout=60) as stream:
            for raw in stream:
                if b"process_completed" in raw:
                    outcomes.append(json.loads(raw.removeprefix(b"data: "))["success"])
                    return

    visitors = [threading.Thread(target=visit, args=(number,)) for number in range(10)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(90)
    assert outcomes == [True] * 10
