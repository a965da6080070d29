"""The runs side by side: as JSON lines for results/, and as a table for the docs.

python -m benchmarks.variants.report --out runs/variants                # prints the table
python -m benchmarks.variants.report --out runs/variants --docs docs/variants.md
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command import run
from benchmarks.variants.changes import BATCH, CHANGES, PAPER, TITLES, SetName
from benchmarks.variants.plan import Case, Plan, turn
from benchmarks.variants.runs import Measurement, measurement
from draw.files import write_atomically
from draw.measure.paired_difference import paired_difference, standard_error

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
"""Lines of a document between which the table stands."""
HEADINGS = (
    "change",
    "parameters",
    "images/s, of the paper's",
    "runs",
    "nats after {images:,} images",
    "difference",
    "images in equal time",
    "nats then",
    "difference then",
)


def measurements(plan: Plan, name: SetName, change: str, mark: int) -> list[Measurement]:
    """Of all seeds of a change that have come to a mark: 0 for equal images, 1 equal seconds."""
    folders = sorted((plan.out / name / change).glob("seed-*"))
    seeds = sorted(int(folder.name.removeprefix("seed-")) for folder in folders)
    cases = [Case(name, change, seed) for seed in seeds]
    found = [measurement(plan, case, plan.marks(case)[mark]) for case in cases]
    return [one for one in found if one is not None]


def comparisons(plan: Plan) -> Iterator[dict[str, Any]]:
    """A line for each set, change and mark that there is a run for: seeds pooled, and compared."""
    for name in TITLES:
        for change, ratio in plan.ratios(name).items():
            for mark, words in enumerate(("equal images", "equal seconds")):
                found = measurements(plan, name, change, mark)
                paper = measurements(plan, name, PAPER, mark)
                if not found:
                    continue
                means = np.array([one.scores.mean() for one in found])
                line: dict[str, Any] = {
                    "set": name,
                    "change": change,
                    "after": words,
                    "images": found[0].line["images"],
                    "seeds": [one.line["seed"] for one in found],
                    "bound": float(means.mean()),
                    "standard_error": standard_error(means if len(means) > 1 else found[0].scores),
                    "parameters": found[0].line["parameters"],
                    "images_per_second_of_paper": ratio,
                }
                if change != PAPER and paper:
                    apart = paired_difference([m.scores for m in found], [m.scores for m in paper])
                    line |= {"difference": apart.mean, "difference_error": apart.standard_error}
                yield line


def lines_of_runs(plan: Plan) -> Iterator[dict[str, Any]]:
    """A line for each run and mark."""
    for name in TITLES:
        for change in plan.ratios(name):
            seen = set()
            for mark in (0, 1):
                for one in measurements(plan, name, change, mark):
                    key = one.line["seed"], one.line["images"]
                    if key not in seen:
                        seen.add(key)
                        yield one.line


def write(plan: Plan) -> None:
    """Write the results so far as JSON lines, and the table beside the runs."""
    values = plan.values()
    head = {"question": "variants", **{k: v for k, v in values.items() if k != "results"}}
    lines = [head, *lines_of_runs(plan), *comparisons(plan)]
    with write_atomically(plan.results) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with write_atomically(plan.out / "table.md") as temporary:
        temporary.write_text(table(plan))


def table(plan: Plan) -> str:
    """The table of all sets, in Markdown, with what is to be known about it."""
    found = list(comparisons(plan))
    parts = [
        part for name in TITLES if (part := _table_of(plan, [f for f in found if f["set"] == name]))
    ]
    return "\n".join(parts)


def _table_of(plan: Plan, lines: list[dict[str, Any]]) -> str:
    if not lines:
        return ""
    name = lines[0]["set"]
    images = plan.settings.images // BATCH * BATCH
    headings = [heading.format(images=images) for heading in HEADINGS]
    rows = []
    for change in dict.fromkeys(line["change"] for line in lines):
        by_mark = {line["after"]: line for line in lines if line["change"] == change}
        one = next(iter(by_mark.values()))
        after, then = (by_mark.get(words) for words in ("equal images", "equal seconds"))
        rows.append(
            [
                CHANGES[change].words,
                f"{one['parameters']:,}",
                f"{one['images_per_second_of_paper']:.2f}",
                " and ".join(dict.fromkeys(str(len(m["seeds"])) for m in by_mark.values())),
                *_cells(after),
                "" if then is None else f"{then['images']:,}",
                *_cells(then),
            ]
        )
    body = ["| " + " | ".join(row) + " |" for row in [headings, ["---"] * len(headings), *rows]]
    return "\n".join([f"### {TITLES[name]}", "", *body, "", _origin(plan, name), ""])


def _cells(line: dict[str, Any] | None) -> tuple[str, str]:
    if line is None:
        return "", ""
    nats = f"{line['bound']:.2f} +- {line['standard_error']:.2f}"
    if "difference" not in line:
        return nats, ""
    return nats, f"{line['difference']:+.2f} +- {line['difference_error']:.2f}"


def _origin(plan: Plan, name: SetName) -> str:
    """How a table came about: seeds, test images, commits, commands, hardware."""
    found = [line for line in lines_of_runs(plan) if line["set"] == name]

    def all_of(key: str) -> str:
        return ", ".join(dict.fromkeys(str(line[key]) for line in found))

    rates = plan.values()["rates"][name]
    loads = [line["load"] for line in found]
    return (
        f"Seeds {all_of('seed')}; {all_of('test_images')} test images; commit {all_of('commit')}; "
        f"{_commands(found)}; {all_of('hardware')}, load {min(loads)} to {max(loads)}; the "
        f"paper's model made {rates[PAPER]['images_per_second']:.0f} images/s in training when "
        f"the rates were measured; backends: {_backends(found)}. Results: "
        f"`benchmarks/results/{plan.results.name}`."
    )


def _commands(found: list[dict[str, Any]]) -> str:
    """The command; where several goes each made some of the changes, what they share."""
    goes = dict.fromkeys(str(line["command"]) for line in found)
    shared = dict.fromkeys(re.sub(r" --only( (?!--)\S+)+", "", command) for command in goes)
    told = ", ".join(f"`{command}`" for command in (goes if len(goes) == 1 else shared))
    return told if len(goes) == 1 else f"{told} in {len(goes)} goes, each with some of `--only`"


def _backends(found: list[dict[str, Any]]) -> str:
    of: dict[str, list[str]] = {}
    for line in found:
        names = of.setdefault(str(line["backend"]).partition(" ")[0], [])
        if line["change"] not in names:
            names.append(line["change"])
    return "; ".join(f"{name} for {', '.join(names)}" for name, names in of.items())


def put(text: str, document: Path) -> None:
    """Put a table into a document, in the place of the one that is there.

    Raises:
        SystemExit: if the document has no place for it.
    """
    before, begin, rest = document.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"expected the lines {BEGIN} and {END} in {document}, got none; add them")
    with write_atomically(document) as temporary:
        temporary.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def main(out: tuple[Path, ...] = (Path("runs/variants"),), docs: Path | None = None) -> None:
    """Print the table of the runs so far, and write their results.

    Args:
        out: Folders of the runs, each with a number of images of its own.
        docs: A document to put the tables into, between two lines that say so.
    """
    plans = [Plan(each) for each in out]
    for plan in plans:
        with turn(plan.out):
            write(plan)
    tables = "\n".join(table(plan) for plan in plans)
    if docs is not None:
        put(tables, docs)
    print(tables, *(plan.results for plan in plans), sep="\n")


if __name__ == "__main__":
    run(main)
