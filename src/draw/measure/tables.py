"""Results of measurements as tables in a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from draw.console import VisibleConsole
from draw.data import Report, SetStatus
from draw.data.images import class_names
from draw.measure.accuracy import Accuracy
from draw.measure.bound import Evaluation
from draw.measure.class_share import ClassShare
from draw.measure.pair_share import PairShare
from draw.terminal import agree, amount


def print_evaluation(title: str, result: Evaluation) -> None:
    """Print the bound, its parts, the importance-weighted estimate and the KL of each step."""
    table = Table("nats per image", "", title=title)
    table.add_row("bound", f"{result.bound:.3f} +- {result.bound_standard_error:.3f}")
    table.add_row("  reconstruction", f"{result.reconstruction:.3f}")
    table.add_row("  KL", f"{result.kl:.3f}")
    if result.importance_weighted is not None:
        table.add_row(
            f"importance-weighted, K = {result.importance_samples}",
            f"{result.importance_weighted:.3f} +- {result.importance_weighted_standard_error:.3f}",
        )
    if result.refined_bound is not None:
        table.add_row(
            f"refined bound, {result.refinement_steps} updates an image",
            f"{result.refined_bound:.3f} +- {result.refined_bound_standard_error:.3f}",
        )
        table.add_row(
            "  gained, same noise",
            f"{result.refined_gain:.3f} +- {result.refined_gain_standard_error:.3f}",
        )
    if result.refined_estimate is not None:
        error = result.refined_estimate_standard_error
        table.add_row(
            f"  importance-weighted, K = {result.importance_samples}",
            f"{result.refined_estimate:.3f} +- {error:.3f}",
        )
    if result.bits_per_dimension is not None:
        table.add_section()
        table.add_row("bits per dimension, bound", f"{result.bits_per_dimension:.4f}")
    if result.importance_weighted_bits_per_dimension is not None:
        bits = f"{result.importance_weighted_bits_per_dimension:.4f}"
        table.add_row("bits per dimension, importance-weighted", bits)
    table.add_row("KL per glimpse", " ".join(f"{kl:.2f}" for kl in result.kl_per_glimpse))
    for words, values in (
        ("  by the best fixed prior", result.fixed_prior_kl_per_glimpse),
        ("  by N(0, 1)", result.standard_prior_kl_per_glimpse),
        ("  foreseen by the learned prior", result.foreseen_per_glimpse),
    ):
        if values is not None:
            table.add_row(words, " ".join(f"{nats:.2f}" for nats in values))
    table.add_row("images", f"{result.images:,}")
    VisibleConsole().print(table)


def print_accuracy(title: str, result: Accuracy) -> None:
    """Print the error with its interval, the cross-entropy, and the error after each glimpse."""
    table = Table("per image", "", title=title)
    interval = f"{result.error_low:.2f} to {result.error_high:.2f}"
    table.add_row("error", f"{result.error:.2f} % (95 % interval {interval})")
    table.add_row("cross-entropy", f"{result.cross_entropy:.4f} nats")
    if len(result.error_by_glimpse) > 1:
        errors = " ".join(f"{error:.1f}" for error in result.error_by_glimpse)
        table.add_row("error after each glimpse, %", errors)
    table.add_row("images", f"{result.images:,}")
    VisibleConsole().print(table)


def print_class_share(title: str, result: ClassShare) -> None:
    """Print the share of right drawings, its interval, that of each class, and other guidance."""
    table = Table("drawings that show the class asked for", "", title=title)
    for one in result.choice:
        table.add_row(f"  guidance {one.guidance:g}, on others", f"{one.right:.2f} %")
    interval = f"{result.right_low:.2f} to {result.right_high:.2f}"
    share = f"{result.right:.2f} % (95 % interval {interval})"
    table.add_row(f"guidance {result.guidance:g}, temperature {result.temperature:g}", share)
    shares = " ".join(f"{share:.1f}" for share in result.right_by_class)
    table.add_row("of each class, %", shares)
    table.add_row("drawings", f"{result.drawings:,}")
    VisibleConsole().print(table)


def print_pair_share(title: str, result: PairShare) -> None:
    """Print the share of drawings that show two digits, and of the data set's own images."""
    drawings = f"drawings, temperature {result.temperature:g}"
    table = Table("two digits", drawings, "the data set's", title=title)
    table.add_row("images", f"{result.drawings:,}", f"{result.images:,}")
    table.add_row("of two pieces apart", f"{result.apart:,}", f"{result.images_apart:,}")
    interval = f"{result.digits_low:.1f} to {result.digits_high:.1f}"
    of_drawings = f"{result.digits:.1f} % (95 % interval {interval})"
    table.add_row("of these, both digits", of_drawings, f"{result.images_digits:.1f} %")
    table.add_row("a digit: probability from", f"{100 * result.least:.2f} %", "")
    VisibleConsole().print(table)


def print_models(listed: Sequence[dict[str, Any]]) -> None:
    """Print the models that come with the package."""
    table = Table("name", "what", "parameters", "test")
    for one in listed:
        table.add_row(one["name"], one["what"], f"{one['parameters']:,}", one["test"])
    VisibleConsole().print(table)


def print_values(values: dict[str, Any]) -> None:
    """Print names and values, of a list each number; a dictionary comes as a section of its own."""
    table = Table(show_header=False)
    for name, value in values.items():
        if isinstance(value, dict):
            table.add_section()
            for key, inner in value.items():
                table.add_row(f"{name}.{key}", str(inner))
        elif isinstance(value, list | tuple):
            table.add_row(name, " ".join(f"{one:.2f}" for one in value))
        else:
            table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    VisibleConsole().print(table)


def print_data_sets(listed: Sequence[SetStatus]) -> None:
    """Print the known data sets."""
    table = Table("name", "what", "licence", "from", "ready")
    for one in listed:
        here = one.name == "digits"
        elsewhere = "draw data prepare" if one.known.published_files else "--data.path"
        source = one.known.hub or ("this package" if here else elsewhere)
        ready = "yes" if one.prepared or here else "no"
        table.add_row(one.name, one.known.description, one.known.licence, source, ready)
    VisibleConsole().print(table)


def print_data_report(report: Report) -> None:
    """Print what a prepared data set holds."""
    table = Table("split", "images", "binary", "classes", "mean")
    for split in report.splits:
        table.add_row(
            split.name,
            f"{split.count:,}",
            "yes" if split.binary else "no",
            "-" if split.classes is None else str(split.classes),
            f"{split.mean:.4f}",
        )
    channels, rows, columns = report.image_shape
    modes = ", ".join(f"{count:,} {mode}" for mode, count in report.modes.items())
    sizes = ", ".join(f"{count:,} of {rows}x{columns}" for rows, columns, count in report.sizes)
    lines = [
        f"{rows}x{columns}, {'grey' if channels == 1 else 'colour'}; originals: {modes}; {sizes}",
        f"{report.size_in_bytes / 2**20:.1f} MiB in {report.folder}",
    ]
    if names := class_names(report.classes):
        lines.append(f"classes: {names}")
    if report.view is not None:
        lines.append(f"a model sees {report.view}, made anew for every batch")
    if report.duplicates is not None:
        also = agree(report.duplicates, "are also among the training images")
        lines.append(f"{amount(report.duplicates, 'test image')} {also}")
    lines += report.warnings
    if report.official is not None:
        lines.append(
            "the official files, by their SHA-256" if report.official
            else "not the official files: their SHA-256 differ, and so may figures"
        )  # fmt: skip
    console = VisibleConsole()
    console.print(report.source, soft_wrap=True)
    console.print(table)
    console.print("\n".join(lines), soft_wrap=True)
