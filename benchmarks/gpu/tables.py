"""What `benchmarks.gpu` prints last."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

Found = Mapping[str, Mapping[str, Any]]
WIDTH = 130
"""Of the tables, also where there is no terminal."""
BASES = "eager bf16", "eager fp32"
"""Ways that others are compared with, the first that was measured."""


def print_tables(results: Mapping[str, Found]) -> None:
    """A table of each section, a line for each item."""
    console = Console(width=WIDTH)
    for name, found in results.items():
        table = Table("what", "by", title=name)
        headings = ["", "error", "of", "limit"] if name == "agreement" else RATES
        for heading in headings:
            table.add_column(heading)
        for item, result in found.items():
            line, _, way = item.partition("; ")
            if (why := obstacle(result)) is not None:
                cells = [why]
            elif name == "agreement":
                cells = agreement(result)
            else:
                cells = rate(result, base_of(line, found))
            table.add_row(line, way, *cells)
        console.print(table)


RATES = ["images/s", "times eager", "ms", "GiB", "s until warm", "bound"]


def obstacle(result: Mapping[str, Any]) -> str | None:
    """Why there is no number."""
    for word in ("obstacle", "failed", "skipped"):
        if word in result:
            return f"{word}: {result[word]}"
    return None


def base_of(line: str, found: Found) -> float | None:
    """Images per second of the eager loop with the same model and batch."""
    for base in BASES:
        rate = found.get(f"{line}; {base}", {}).get("images_per_second")
        if rate is not None:
            return float(rate)
    return None


def agreement(result: Mapping[str, Any]) -> list[str]:
    """Verdict, largest error against its limit, of what, and the limit."""
    error = "not finite" if result["error"] is None else f"{result['error']:.1e}"
    verdict = "agrees" if result["agrees"] else "DIFFERS"
    limit = "" if result["limit"] is None else f"{result['limit']:.1e}"
    return [verdict, error, result["of"], limit]


def rate(result: Mapping[str, Any], base: float | None) -> list[str]:
    """The cells under `RATES`; empty where something was not measured."""
    images = result["images_per_second"]

    def number(name: str, form: str) -> str:
        return "" if result.get(name) is None else format(result[name], form)

    bound = f"{result['test']['bound']:.2f} nats (test)" if "test" in result else ""
    return [
        f"{images:,.0f}",
        "" if base is None else f"{images / base:.1f}",
        number("milliseconds", ".2f"),
        number("gib_reserved", ".1f"),
        number("seconds_until_warm", ".1f"),
        bound,
    ]
