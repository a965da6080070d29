"""One digit and then the other: drawings made by hand whose answer is known."""

import pytest
import torch

from draw.attention.window import Window
from draw.config.model import DRAWConfig
from draw.measure import halves
from draw.measure.halves import SHARE, count, ink_on, measure_halves, order, steps_on, two_digits
from draw.model.draw import DRAW
from draw.parts.state import Trajectory

LEFT, RIGHT = (slice(4, 24), slice(5, 10)), (slice(30, 50), slice(40, 45))
"""Two bars of 20 x 5 pixels: as high as digits."""
BLACK = torch.full((1, 60, 60), -20.0)


def bars(*places):
    image = torch.zeros(60, 60)
    for rows, columns in places:
        image[rows, columns] = 1
    return image


def drawing(steps, windows=None, channels=1):
    """A drawing of 20-row bars: each step is the rows that it adds to the left and right one."""
    image, done, canvases = torch.zeros(60, 60), [0, 0], []
    for added in steps:
        for k, (rows, columns) in enumerate((LEFT, RIGHT)):
            image[rows.start + done[k] : rows.start + done[k] + added[k], columns] = 1
            done[k] += added[k]
        canvases.append(image.clone())
    canvas = (torch.stack(canvases)[:, None, None] * 40 - 20).repeat(1, 1, channels, 1, 1)
    if windows is not None:
        x, y = (
            torch.tensor(part, dtype=torch.float32)[:, None] for part in zip(*windows, strict=True)
        )
        windows = Window(x, y, *3 * [torch.ones_like(x)], size=5)
    return Trajectory(canvas, windows, None)


def ink(drawn, canvas_0=BLACK):
    return ink_on(drawn, canvas_0, two_digits(drawn.images[-1].mean(1)))


ONE_THEN_THE_OTHER = [(5, 0)] * 4 + [(0, 5)] * 4
INTERLEAVED = [(5, 0), (0, 5)] * 4
TOGETHER = [(4, 4)] * 5


@pytest.mark.parametrize(
    ("steps", "different", "apart"),
    [
        (ONE_THEN_THE_OTHER, True, 1.0),
        (ONE_THEN_THE_OTHER[::-1], True, 1.0),
        (INTERLEAVED, False, 0.25),
        (TOGETHER, False, 0.0),
        ([(5, 0), (5, 0), (5, 0), (0, 5), (5, 0), (0, 5), (0, 5), (0, 5)], True, 0.875),
        ([(20, 20)], False, 0.0),
        ([(20, 0), (0, 20)], True, 1.0),
        ([(20, 0), (0, 20), (0, 0)], True, 1.0),  # of 3 steps the first is the first half
        ([(0, 0), (20, 0), (0, 20)], False, 1.0),
        ([(20, 0), (0, 20), (0, 0), (0, 0)], False, 1.0),  # nothing is in the second half
    ],
)
def test_the_order_of_bars_is_found(steps, different, apart):
    found = order(ink(drawing(steps)))
    assert found.different.tolist() == [different]
    assert found.apart.item() == pytest.approx(apart, abs=1e-5)


def test_shares_of_the_halves():
    # The left bar takes six of eight steps: a third of it is in the second half.
    steps = [(4, 0)] * 4 + [(2, 0)] * 2 + [(0, 10)] * 2
    shares = order(ink(drawing(steps))).shares
    torch.testing.assert_close(shares, torch.tensor([[[1.0, 0], [4 / 24, 20 / 24]]]))


def test_a_share_at_the_threshold_counts():
    for steps in (3, 6, 12, 24):
        given = torch.zeros(2 * steps, 1, 2)
        given[: steps * 2 // 3, 0, 0] = given[steps * 2 // 3 : steps, 0, 1] = 1
        given[steps:, 0, 1] = 1
        assert pytest.approx(2 / 3) == SHARE
        assert order(given).different.item()
        given[steps * 2 // 3 - 1, 0] = torch.tensor([0.0, 1.0])
        assert not order(given).different.item()


def test_what_is_taken_away_again_does_not_count():
    clean = drawing(ONE_THEN_THE_OTHER)
    first, rest = clean.canvases[:1], clean.canvases[1:]
    white = torch.full_like(first, 20.0)
    found = ink(clean._replace(canvases=torch.cat([white, first, white, first, rest])))
    # The first bar's first rows are there from the first step on, and stay.
    expected = [[25, 0], [0, 0], [0, 0], [0, 0], *[[25, 0]] * 3, *[[0, 25]] * 4]
    assert found[:, 0].tolist() == expected


def test_a_grey_start_and_a_ground_that_stays_are_no_ink():
    clean = drawing(ONE_THEN_THE_OTHER)
    grey = torch.full_like(BLACK, -1.0)
    canvases = clean.canvases.clamp_min(-1.0)
    found = ink(clean._replace(canvases=canvases), grey)
    torch.testing.assert_close(found / found.sum(), ink(clean) / ink(clean).sum())
    assert found.sum().item() == pytest.approx(200 * torch.tensor(1.0).sigmoid().item(), rel=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_ink_is_counted_in_pixels(channels):
    found = ink(drawing(ONE_THEN_THE_OTHER, channels=channels), BLACK.expand(channels, -1, -1))
    assert found[:, 0].tolist() == [[25, 0]] * 4 + [[0, 25]] * 4


UP, DOWN = slice(4, 24), slice(4, 24)


@pytest.mark.parametrize(
    ("places", "two", "pieces"),
    [
        ([LEFT, RIGHT], True, 2),
        ([LEFT], False, 1),
        ([], False, 0),
        ([(UP, slice(5, 10)), (DOWN, slice(10, 15))], False, 1),  # touching
        ([(UP, slice(5, 10)), (DOWN, slice(12, 17))], False, 1),  # two black columns between
        ([(UP, slice(5, 10)), (DOWN, slice(13, 18))], True, 2),  # three
        ([(slice(4, 14), slice(5, 10)), (slice(16, 24), slice(10, 15)), RIGHT], True, 2),  # a gap
        ([LEFT, RIGHT, (slice(50, 53), slice(2, 5))], True, 2),  # nine pixels are a speck
        ([LEFT, RIGHT, (slice(50, 54), slice(2, 5))], False, 3),
        ([LEFT, (slice(40, 50), slice(30, 40))], False, 2),  # too small for a digit
        ([LEFT, (slice(30, 58), slice(40, 45))], False, 2),  # too large: two that touch
    ],
)
def test_drawings_with_two_digits_apart_count(places, two, pieces):
    found = two_digits(bars(*places)[None])
    assert (found.two.item(), found.pieces.item()) == (two, pieces)


def test_digits_are_told_apart_whatever_is_beside_them_in_the_batch():
    images = torch.stack([bars(), bars(LEFT, RIGHT), bars(LEFT)])
    found = two_digits(images)
    assert found.two.tolist() == [False, True, False]
    assert torch.equal(found.digits[1], torch.stack([bars(LEFT), bars(RIGHT)]).bool())


def test_windows_go_to_the_nearest_digit_in_pixels_counted_from_1():
    # The middles of the bars are at (8, 14.5) and (43, 40.5): halfway, x and y weigh the same.
    places = [(8, 14), (-40, 0), (25, 27), (26, 28.5), (43, 41), (90, 90)]
    drawn = drawing([(20, 20)] + [(0, 0)] * 5, windows=places)
    found = two_digits(drawn.images[-1].mean(1))
    assert steps_on(drawn, found)[:, 0].argmax(-1).tolist() == [0, 0, 0, 1, 1, 1]
    assert order(steps_on(drawn, found)).apart.item() == 1
    assert steps_on(drawn._replace(write_windows=None), found) is None


def test_chance_is_what_a_random_order_gives():
    one_at_a_time = count(ink(drawing([(1, 0)] * 20 + [(0, 1)] * 20)))
    assert one_at_a_time.different == 1
    assert one_at_a_time.by_chance < 0.1
    # Of two steps, one a digit, any order is one digit after the other.
    assert count(ink(drawing([(20, 0), (0, 20)]))).by_chance == pytest.approx(1)
    assert count(ink(drawing(ONE_THEN_THE_OTHER))[:, :0]) == halves.Count(None, None, None)


@pytest.fixture
def model():
    """Draws bars, some of them two, at noise's mercy."""
    torch.manual_seed(3)
    model = DRAW(
        DRAWConfig(rows=30, columns=34, glimpses=4, hidden_size=6, latent_size=3, write_size=2)
    )
    with torch.no_grad():
        model.canvas_0.fill_(-3)
        model.attention.write_window.weight.mul_(3)
        model.attention.write_window.bias[2] = 1.0
        model.attention.write_content.weight.normal_(0, 400)
    return model


def test_a_models_drawings_are_counted_some_at_a_time(model, monkeypatch):
    monkeypatch.setattr(halves, "SIDES", (1, 40))
    at_once = measure_halves(model, 40, seed=1)
    left_out = at_once.one_piece + at_once.more_pieces + at_once.other_sizes
    assert at_once.two_digits + left_out == at_once.drawings == 40
    assert 3 < at_once.two_digits < 40
    monkeypatch.setattr(halves, "AT_A_TIME", 7)
    assert measure_halves(model, 40, seed=1) == at_once
    assert measure_halves(model, 40, seed=2) != at_once
    drawn = model.generate(40, seed=1)
    assert int(two_digits(drawn.images[-1].mean(1)).two.sum()) == at_once.two_digits
    assert f"{at_once.two_digits} of 40 drawings" in at_once.words()
    assert at_once.to_dict()["ink"]["different"] == at_once.ink.different


def test_a_model_without_attention_has_no_windows_to_count():
    config = DRAWConfig(
        rows=9, columns=8, channels=3, glimpses=1, hidden_size=4, latent_size=2, attention="none"
    )
    found = measure_halves(DRAW(config), 3)
    assert found.windows is None
    assert (found.two_digits, found.ink.different) == (0, None)
    assert "0 of 3 drawings" in found.words()
