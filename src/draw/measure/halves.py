"""Does a drawing of two digits make the one and then the other (section 4.3, figure 8)?

The paper says that DRAW usually does. Here that is counted, on drawings whose final image shows two
digits apart; the rest (digits that touch, one alone, pieces of one) are left out, and counted too.

- **Digits.** Pixels of the final image above 1/2 with gaps of at most 2 between them make a piece;
  pieces of fewer than `SPECK` pixels are ignored. A drawing counts if exactly two are left and the
  longer side of each is within `SIDES`.
- **Ink** of a step is what stays: the rise of min(sigmoid(c_t), sigmoid(c_t+1), ..., sigmoid(c_T)).
  What is drawn and later taken away, such as a blur over the whole canvas, is never counted, nor is
  anything twice; the ink of all steps is the final image without what was there before the first.
- **Windows**, a second and independent count: the digit whose middle is nearest to the centre of a
  step's write window gets that step.
- **Halves.** Of T steps the first T // 2, and the rest. A half falls on a digit that has at least
  `SHARE` of its ink (or steps). A mere majority would say nothing: where both digits need as much
  ink, more of one in the first half means more of the other in the second.
- **Apart**, in [0, 1], knows no halves and no threshold: of all pairs of a bit of ink on one digit
  and a bit on the other, the share in which the one comes first less the share in which the other
  does, without its sign. It is 1 where one digit is finished before the other is begun, 0 where
  they are interleaved.
- **By chance** is the same count with the steps of each drawing in random order.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import max_pool2d

from draw.model.draw import DRAW
from draw.parts.state import Trajectory
from draw.tensors import by_shapes

SHARE = 2 / 3
"""Fraction of a half's ink that has to be on one digit: by eye, what looks like one after the
other."""
REACH = 1
"""Pixels by which pieces grow before they are separated, so that gaps in a stroke of up to twice as
many are none."""
SPECK = 10
"""Least number of pixels of a piece; smaller ones are no digits."""
SIDES = (14, 26)
"""Limits of the longer side of a digit in pixels. MNIST's are 20; two that touch are longer, parts
shorter."""
SHUFFLES = 50
AT_A_TIME = 50
"""Drawings that are made at a time, as memory allows."""


class DigitPairs(NamedTuple):
    """The two digits of each image that shows two, and the number of pieces in every image."""

    digits: Bool[Tensor, "batch 2 rows columns"]
    """Pixels of the two digits; only of images where `two` holds."""
    two: Bool[Tensor, " batch"]
    pieces: Int64[Tensor, " batch"]
    """Number of pieces in each image, specks aside."""

    def __repr__(self) -> str:
        return by_shapes(self)


class Order(NamedTuple):
    """The order in which two digits were drawn, for each drawing."""

    shares: Float[Tensor, "batch halves digits"]
    """Fraction of each half that falls on each digit; zeros for a half without anything."""
    different: Bool[Tensor, " batch"]
    """Whether the halves fall on different digits."""
    apart: Float[Tensor, " batch"]

    def __repr__(self) -> str:
        return by_shapes(self)


@dataclass(frozen=True)
class Count:
    """How often the halves fall on different digits, over drawings of two; None without any."""

    different: float | None
    """Fraction of drawings whose halves fall on different digits."""
    by_chance: float | None
    """Fraction of drawings whose halves do so with the steps in random order."""
    apart: float | None
    """Mean over drawings of how far the digits are apart in time, in [0, 1]."""


@dataclass(frozen=True)
class Halves:
    """Result of `measure_halves`: the drawings that count, those left out, and both counts."""

    drawings: int
    two_digits: int
    """Drawings that count, as they show two digits apart."""
    one_piece: int
    """Drawings left out with digits that touch, one alone, or nothing."""
    more_pieces: int
    """Drawings left out with three or more pieces."""
    other_sizes: int
    """Drawings left out with two pieces, not both as large as a digit."""
    ink: Count
    windows: Count | None
    """Count by the write windows; None without attention."""

    def words(self) -> str:
        """Format the figures in three lines, for people."""
        lines = [
            f"{self.two_digits} of {self.drawings} drawings show two digits apart; left out: "
            f"{self.one_piece} of one piece (digits that touch, or one alone), {self.more_pieces} "
            f"of more than two, {self.other_sizes} with pieces too small or large for a digit"
        ]
        for name, found in (("ink", self.ink), ("write windows", self.windows)):
            if found is not None and found.different is not None:
                lines.append(
                    f"{name}: the two halves of the drawing fall on different digits in "
                    f"{found.different:.1%} (steps in random order: {found.by_chance:.1%}); "
                    f"apart {found.apart:.2f} of 1"
                )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Convert the result to plain values for JSON, with the thresholds."""
        limits = {"share": SHARE, "sides": SIDES, "gap": 2 * REACH, "speck": SPECK}
        return {**asdict(self), "thresholds": limits}


@torch.no_grad()
def measure_halves(model: DRAW, n: int, *, seed: int = 0) -> Halves:
    """Draw n images of two digits, and count how often one was drawn after the other.

    Args:
        model: a model that draws two digits, white on black.
        n: number of drawings, at least 1.
        seed: seed of `DRAW.generate`; the same seed gives the same drawings.
    """
    ink, windows, two, pieces = [], [], [], []
    for some in torch.split(model.noise_for(n, seed), AT_A_TIME, dim=1):
        drawn = model.generate(some.shape[1], noise=some)
        found = two_digits(drawn.images[-1].mean(1))
        ink.append(ink_on(drawn, model.canvas_0, found))
        steps = steps_on(drawn, found)
        windows += [] if steps is None else [steps]
        two.append(found.two)
        pieces.append(found.pieces)
    counted, number = torch.cat(two), torch.cat(pieces)
    return Halves(
        drawings=n,
        two_digits=int(counted.sum()),
        one_piece=int((number < 2).sum()),
        more_pieces=int((number > 2).sum()),
        other_sizes=int(((number == 2) & ~counted).sum()),
        ink=count(torch.cat(ink, 1)),
        windows=count(torch.cat(windows, 1)) if windows else None,
    )


def two_digits(images: Float[Tensor, "batch rows columns"]) -> DigitPairs:
    """Find the images that show two digits apart.

    Args:
        images: images in [0, 1], white on black.
    """
    white = images > 0.5
    numbers = _pieces(white)
    batch, rows, columns = images.shape
    digits = torch.zeros(batch, 2, rows, columns, dtype=torch.bool, device=images.device)
    pieces = torch.zeros(batch, dtype=torch.int64, device=images.device)
    two = torch.zeros(batch, dtype=torch.bool, device=images.device)
    for i in range(batch):
        names, sizes = torch.unique(numbers[i][white[i]], return_counts=True)
        names = names[sizes >= SPECK]
        pieces[i] = len(names)
        if len(names) == 2:
            digits[i] = (numbers[i] == names[:, None, None]) & white[i]
            two[i] = all(SIDES[0] <= _longer_side(digit) <= SIDES[1] for digit in digits[i])
    return DigitPairs(digits, two, pieces)


def _pieces(white: Bool[Tensor, "batch rows columns"]) -> Int64[Tensor, "batch rows columns"]:
    """A number for each pixel, the same for those of one piece: the largest wins, step by step."""
    grown = max_pool2d(white.float(), 2 * REACH + 1, 1, REACH)
    names = torch.arange(1, grown[0].numel() + 1, device=white.device, dtype=torch.float32)
    numbers = names.view(grown.shape[1:]) * grown
    while True:
        spread = max_pool2d(numbers, 3, 1, 1) * grown
        if torch.equal(spread, numbers):
            return numbers.long()
        numbers = spread


def _longer_side(digit: Bool[Tensor, "rows columns"]) -> int:
    return max(int(at.max() - at.min()) + 1 for at in digit.nonzero().unbind(1))


def ink_on(
    drawn: Trajectory, canvas_0: Float[Tensor, "channels rows columns"], found: DigitPairs
) -> Float[Tensor, "glimpses drawings digits"]:
    """Measure the lasting ink that each step puts on each digit, of the drawings with two.

    Args:
        drawn: drawings step by step.
        canvas_0: initial canvas c_0, in logits.
        found: digits of the final images.
    """
    canvases = drawn.canvases[:, found.two]
    start = canvas_0.detach().expand_as(canvases[:1])
    there = torch.cat([start, canvases]).sigmoid().mean(2)
    stays = there.flip(0).cummin(0).values.flip(0)
    return torch.einsum("tbyx,bdyx->tbd", stays.diff(dim=0), found.digits[found.two].to(stays))


def steps_on(
    drawn: Trajectory, found: DigitPairs
) -> Float[Tensor, "glimpses drawings digits"] | None:
    """Mark for each step the digit nearest to its write window with 1; None without attention.

    Of several windows each counts for its share.

    Args:
        drawn: drawings step by step.
        found: digits of the final images.
    """
    if drawn.write_windows is None:
        return None
    digits = found.digits[found.two].float()
    total = digits.sum((2, 3))
    rows, columns = (torch.arange(1.0, n + 1, device=digits.device) for n in digits.shape[2:])
    x = (digits.sum(2) * columns).sum(-1) / total
    y = (digits.sum(3) * rows).sum(-1) / total
    g_x, g_y = drawn.write_windows.centres[:, found.two, :, :, None].unbind(3)
    nearest = (g_x - x[:, None]).hypot(g_y - y[:, None]).argmin(-1)
    return torch.nn.functional.one_hot(nearest, 2).to(digits).mean(2)


def order(given: Float[Tensor, "glimpses batch digits"]) -> Order:
    """Determine in what order two digits got their ink, or their steps.

    Args:
        given: what each step gave to each digit, none of it negative, [glimpses, drawings, 2].
    """
    half = len(given) // 2
    halves = torch.stack([given[:half].sum(0), given[half:].sum(0)], 1)
    shares = halves / halves.sum(-1, keepdim=True).clamp_min(torch.finfo(given.dtype).tiny)
    first, second = (shares >= SHARE).unbind(1)
    different = (first & second.flip(-1)).any(-1)
    one, other = given.unbind(-1)
    before = ((one.cumsum(0) - one) * other).sum(0)
    after = ((other.cumsum(0) - other) * one).sum(0)
    pairs = one.sum(0) * other.sum(0)
    return Order(shares, different, (before - after).abs() / pairs.clamp_min(1e-12))


def count(given: Float[Tensor, "glimpses drawings digits"]) -> Count:
    """Count how often the halves fall on different digits, and how often they would by chance.

    Args:
        given: what each step gave to each digit, none of it negative, [glimpses, drawings, 2].
    """
    steps, drawings, _ = given.shape
    if not drawings:
        return Count(None, None, None)
    random = torch.Generator().manual_seed(0)
    chance = 0.0
    for _ in range(SHUFFLES):
        places = torch.rand(steps, drawings, generator=random).argsort(0).to(given.device)
        shuffled = given.gather(0, places[..., None].expand_as(given))
        chance += float(order(shuffled).different.double().mean()) / SHUFFLES
    found = order(given)
    return Count(float(found.different.double().mean()), chance, float(found.apart.mean()))
