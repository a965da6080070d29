"""Figures in the documents: those of the cards, sums that come out, images that were trained on."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from documented_commands import DOCUMENTS, ROOT, commands
from draw.config.presets import PRESETS
from draw.model.pretrained import shipped_models

CARDS = {name: (folder / "README.md").read_text() for name, folder in shipped_models().items()}
PAGES = [path for path in DOCUMENTS if path.name != "CONTRIBUTING.md"]
GPU = re.compile(r"\b[ABH]\d00\b")
ROW = re.compile(r"^\| `([\w-]+)`.*\+-.*\|$", re.MULTILINE)
TEST_BOUND = re.compile(r"split: test\n +metrics:\n +- type: bound\n +value: ([\d.]+)")
NUMBER = r"\*{0,2}(\d[\d,]*(?:\.\d+)?)"
SUM = re.compile(
    rf"{NUMBER}(?: \+- [\d.]+)?\*{{0,2}} = (?:reconstruction )?{NUMBER} \+ KL {NUMBER}"
)
COUNT = re.compile(r"after (\d{1,3}(?:,\d{3})+) images")


def number(text: str) -> float:
    return float(text.replace(",", ""))


def unlike_their_cards(text: str, cards: dict[str, str]) -> list[str]:
    """Rows of shipped models in tables, with another test bound or GPU than the model's card."""
    bad = []
    for row in ROW.finditer(text):
        card = cards.get(row[1], "")
        if bound := TEST_BOUND.search(card):
            rounded = (f"{float(bound[1]):,.{digits}f} +- " for digits in (0, 2))
            gpus = set(GPU.findall(row[0])) - set(GPU.findall(card))
            if gpus or not any(one in row[0] for one in rounded):
                bad.append(row[0])
    return bad


def false_sums(text: str) -> list[str]:
    """Bounds that are not their reconstruction and KL, each of which was rounded."""
    return [
        found[0]
        for found in SUM.finditer(" ".join(text.split()))
        if abs(number(found[1]) - number(found[2]) - number(found[3]))
        > 1.6 * 0.1 ** len(found[1].partition(".")[2])
    ]


def batches(section: str) -> set[int]:
    """Sizes of the batches of all trainings that a section shows."""
    sizes = set()
    for words in commands(section):
        if words[:1] == ["train"] and words[1] in PRESETS:
            given = dict(pairwise(words)).get("--train.batch-size")
            sizes.add(int(given or PRESETS[words[1]]().train.batch_size))
    return sizes


def impossible_counts(text: str) -> Iterator[str]:
    """Images after which something was measured, and which none of the section's batches add to."""
    for section in re.split(r"^#+ .*$", text, flags=re.MULTILINE):
        if sizes := batches(section):
            for count in COUNT.findall(" ".join(section.split())):
                if all(number(count) % size for size in sizes):
                    yield count


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_figures_agree(page: Path) -> None:
    text = page.read_text()
    assert unlike_their_cards(text, CARDS) == []
    assert false_sums(text) == []
    assert [*impossible_counts(text)] == []


def test_the_pages_have_such_figures() -> None:
    texts = [page.read_text() for page in PAGES]
    assert sum(len(ROW.findall(text)) for text in texts) > 8
    assert sum(len(SUM.findall(" ".join(text.split()))) for text in texts) > 8
    assert sum(len(COUNT.findall(" ".join(text.split()))) for text in texts) > 8


def test_figures_that_do_not_agree_are_found() -> None:
    cards = {
        "mnist": "split: test\n    metrics:\n    - type: bound\n      value: 80.9058\n...; one H200"
    }
    right, bound, gpu = (
        "| `mnist`, ours | **80.91 +- 0.21** | 8 minutes of an H200 |",
        "| `mnist` | 80.73 +- 0.21 | |",
        "| `mnist` | 80.91 +- 0.21 | an H100 |",
    )
    assert unlike_their_cards("\n".join((right, bound, gpu)), cards) == [bound, gpu]
    true, false = "**84.48 +- 0.23** = reconstruction 58.75 + KL 25.74", "85.48 = 58.75 + KL 25.73"
    assert false_sums(f"{true}, and\n{false}") == [false]
    section = (
        "\n    draw train mnist --train.batch-size 32\n\nafter 1,024 images, after\n1,025 images"
    )
    assert [*impossible_counts(section)] == ["1,025"]
