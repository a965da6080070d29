"""What `benchmarks.gpu` prints last."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

Found = Mapping[str, Mapping[str, Any]]


def print_tables(results: Mapping[str, Found]) -> None:
    """A table of each kind of result, in the order in which they were made."""
    console = Console()
    for name, found in results.items():
        table = agreement(found) if name == "agreement" else rates(name, found)
        console.print(table)


def agreement(found: Found) -> Table:
    """A line for each model, a column for each backend and precision: the largest error."""
    return grid("agreement with the reference in float64", found, _verdict)


def rates(title: str, found: Found) -> Table:
    """A line for each model and batch, a column for each way: images a second."""
    return grid(f"{title}: images/s (times eager bf16; GiB reserved)", found, _rate)


def _verdict(line: Mapping[str, Any], others: Found) -> str:
    return f"{'agrees' if line['agrees'] else 'DIFFERS'} {line['error']:.0e}"


def _rate(line: Mapping[str, Any], others: Found) -> str:
    text = f"{line['images_per_second']:,.0f}"
    eager = others.get("eager bf16", others.get("eager fp32", {})).get("images_per_second")
    if eager:
        text += f" ({line['images_per_second'] / eager:.1f})"
    if line.get("gib_reserved") is not None:
        text += f" {line['gib_reserved']:.1f}"
    if "test" in line:
        text += f", test bound {line['test']['bound']:.2f} nats"
    return text


def grid(title: str, found: Found, cell: Any) -> Table:
    """Items are named "line; column"; what has no number says why."""
    lines: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name, result in found.items():
        line, _, column = name.partition("; ")
        lines.setdefault(line, {})[column] = result
    columns = list(dict.fromkeys(column for line in lines.values() for column in line))
    table = Table("", *columns, title=title)
    for line, results in lines.items():
        table.add_row(
            line,
            *(
                _words(results[column]) or cell(results[column], results)
                if column in results
                else ""
                for column in columns
            ),
        )
    return table


def _words(result: Mapping[str, Any]) -> str:
    for word in ("obstacle", "failed", "skipped"):
        if word in result:
            return f"{word}: {result[word]}"[:60]
    return ""
