"""Training curves of a bound and its parts, or of a classifier's error, also by glimpse."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from draw.formats import FIGURES
from draw.runs.metrics import HIDDEN_SHARE, best_evaluation, images_behind_weights
from draw.visualize.plots import make_figure, save_figure
from draw.visualize.sheet import check_suffix, evenly

Numbers = NDArray[np.float64]
TRAIN, VALIDATION, RECONSTRUCTION, KL = "#8a8f98", "#0b5cad", "#c4480c", "#008b6b"
TITLE_PAD = 36
"""Points between axes and titles: two lines of legend lie there, where no curve can run."""
LARGEST = 1e100
"""Largest number that is plotted: none of a run lies beyond, and no axis could show it."""
PROFILES = 4
"""Most measurements of the KL divergence per glimpse that are shown."""


def training_curves(
    metrics: Sequence[Mapping[str, Any]],
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
) -> Path:
    """Plot the bound, its parts and the KL divergence per glimpse, in nats per image.

    Of a model with a learned prior the last also shows the KL divergence from the best normal that
    is the same for all drawings: what it has above the bars, the prior foresees from what is drawn
    so far (`draw.measure.foresight`).

    Where the lines have bits per dimension, the bound has a second axis in that unit. A model that
    is told pixels learns by the bound of the others alone, but is evaluated by that of all: the
    legend says so. Training is shown as it came (pale) and as a running mean; validation as points.
    The axes leave out the first moments of a longer run, where the bound falls from hundreds of
    nats.

    Args:
        metrics: the lines of metrics.jsonl in their order; values that are missing, null, of
            another type or not finite leave a gap.
        path: file to write: .png, .svg or .pdf.
        title: line of text on top.

    Raises:
        DrawError: if the suffix is not one of the three.
        ValueError: if there are no lines.
    """
    figure, target = _figure(metrics, path, title)
    bound, parts, glimpses = figure.subplots(1, 3)
    told = np.isfinite(series(metrics, "train", HIDDEN_SHARE)[1]).any()
    words = "training, hidden pixels alone" if told else ""
    _draw_curves(bound, metrics, {"bound": words}, {"bound": TRAIN}, {"bound": VALIDATION})
    bound.set(ylabel="nats per image")
    bound.set_title("bound, eq 12", pad=TITLE_PAD)
    _draw_bits(bound, metrics)
    colours = {"reconstruction": RECONSTRUCTION, "kl": KL}
    names = {"reconstruction": "reconstruction", "kl": "KL"}
    _draw_curves(parts, metrics, names, colours, colours)
    parts.set(ylabel="nats per image")
    parts.set_title("its two parts", pad=TITLE_PAD)
    _draw_profiles(glimpses, metrics, "kl_per_glimpse")
    _draw_foresight(glimpses, metrics)
    glimpses.set(ylabel="nats per image")
    glimpses.set_title("KL by glimpse, best validation", pad=TITLE_PAD)
    return save_figure(figure, target)


def classification_curves(
    metrics: Sequence[Mapping[str, Any]],
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
) -> Path:
    """Plot a classifier's error and cross-entropy against images seen, and its error by glimpse.

    Training is shown as it came (pale) and as a running mean; validation as points.

    Args:
        metrics: the lines of metrics.jsonl in their order; values that are missing, null, of
            another type or not finite leave a gap.
        path: file to write: .png, .svg or .pdf.
        title: line of text on top.

    Raises:
        DrawError: if the suffix is not one of the three.
        ValueError: if there are no lines.
    """
    figure, target = _figure(metrics, path, title)
    error, entropy, glimpses = figure.subplots(1, 3)
    _draw_curves(error, metrics, {"error": ""}, {"error": TRAIN}, {"error": VALIDATION}, "{:.2f} %")
    error.set(ylabel="% of images", ylim=(0, None))
    error.set_title("wrong answers", pad=TITLE_PAD)
    field = "cross_entropy"
    _draw_curves(entropy, metrics, {field: ""}, {field: TRAIN}, {field: VALIDATION}, "{:.3f}")
    entropy.set(ylabel="nats per image", ylim=(0, None))
    entropy.set_title("cross-entropy", pad=TITLE_PAD)
    _draw_profiles(glimpses, metrics, "error_by_glimpse")
    glimpses.set(ylabel="% of images")
    glimpses.set_title("error by glimpse, best validation", pad=TITLE_PAD)
    return save_figure(figure, target)


def _figure(
    metrics: Sequence[Mapping[str, Any]], path: str | os.PathLike[str], title: str | None
) -> tuple[Any, Path]:
    """An empty figure for three curves side by side, and where it goes."""
    if not metrics:
        raise ValueError("expected at least one line of metrics, got none")
    target = check_suffix(path, FIGURES)
    figure = make_figure(figsize=(11, 3.6), dpi=150, layout="constrained")
    if title:
        figure.suptitle(title)
    return figure, target


def _draw_curves(
    axes: Any,
    metrics: Sequence[Mapping[str, Any]],
    names: Mapping[str, str],
    train_colours: Mapping[str, str],
    colours: Mapping[str, str],
    best: str = "{:.1f}",
) -> None:
    """Training as lines, evaluations as points, against images seen; `names` for the legend.

    `best` formats the value of each evaluation there: that of the best weights, which are those
    that are tested.
    """
    from matplotlib.ticker import EngFormatter

    shown = [np.zeros(0)]
    for field, colour in train_colours.items():
        images, values = series(metrics, "train", field)
        if np.isfinite(values).any():
            many = len(values) >= 20
            smooth = running_mean(values) if many else values
            axes.plot(images, values, color=colour, alpha=0.3, linewidth=0.8)
            axes.plot(
                images, smooth, color=colour, linewidth=1.6, marker="" if many else "o",
                markersize=3, label=names[field] or "training",
            )  # fmt: skip
            shown.append(smooth[len(smooth) // 10 if many else 0 :])
    chosen = {"validation": best_evaluation([dict(line) for line in metrics])}
    styles = {"validation": ("-", "o", 4.5), "test": ("", "*", 11)}
    for kind, (line, marker, size) in styles.items():
        for field, colour in colours.items():
            images, values = series(metrics, kind, field)
            known = values[np.isfinite(values)]
            if len(known):
                # With training in the legend, its colour says which of the parts this is.
                told = not names[field] or np.isfinite(series(metrics, "train", field)[1]).any()
                words = "best validation" if kind == "validation" else kind
                name = words if told else f"{names[field]}, {words}"
                axes.plot(
                    images, values, color=colour, linestyle=line, marker=marker, markersize=size,
                    linewidth=1, markeredgecolor="white", markeredgewidth=0.6, zorder=3,
                    label=f"{name}: {best.format(_value(chosen.get(kind), field, known))}",
                )  # fmt: skip
                shown.append(values[len(values) // 10 :])
    visible = np.concatenate(shown)
    visible = visible[np.isfinite(visible)]
    if len(visible):
        low, high = visible.min(), visible.max()
        space = 0.06 * (high - low) or 1.0
        axes.set_ylim(low - space, high + space)
        _legend(axes)
    _tidy(axes)
    axes.set_xlabel("training images seen")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _value(line: Mapping[str, Any] | None, field: str, known: Numbers) -> float:
    """What a line has, or else the last that is known."""
    value = _number((line or {}).get(field))
    return value if math.isfinite(value) else float(known[-1])


def _draw_bits(axes: Any, metrics: Sequence[Mapping[str, Any]]) -> None:
    """The bound a second time in bits per dimension, where the lines say how many there are."""
    whole = [line for line in metrics if HIDDEN_SHARE not in line]
    measured = [(_number(m.get("bound")), _number(m.get("bits_per_dimension"))) for m in whole]
    scales = [bits / nats for nats, bits in measured if nats and 0 < bits / nats < LARGEST]
    if scales:
        both_ways = lambda nats: nats * scales[0], lambda bits: bits / scales[0]
        axes.secondary_yaxis("right", functions=both_ways).set(ylabel="bits per dimension")


def _draw_profiles(axes: Any, metrics: Sequence[Mapping[str, Any]], field: str) -> None:
    """A number of each glimpse, of the best weights as bars and of some before as lines."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    measured, best = [], best_evaluation([dict(line) for line in metrics])
    for line in metrics:
        values = profile(line, field)
        if line.get("kind") == "validation" and np.isfinite(values).any():
            measured.append((_number(line.get("images_seen")), values))
            if line == best:
                break
    chosen = [measured[k] for k in evenly(len(measured), PROFILES)] if measured else []
    for k, (images, values) in enumerate(chosen):
        age = (len(chosen) - 1 - k) / PROFILES
        t = np.arange(1, len(values) + 1)
        rounded = EngFormatter(sep="")(float(f"{images:.3g}"))
        label = f"{rounded} images" if math.isfinite(images) else "?"
        if k == len(chosen) - 1:
            axes.bar(t, values, width=0.8, color=KL, alpha=0.35, label=label)
        else:
            axes.plot(t, values, color=str(0.25 + 0.6 * age), label=label, linewidth=1.2)
    if chosen:
        _legend(axes)
    else:
        axes.text(0.5, 0.5, "no validation yet", transform=axes.transAxes, ha="center")
    _tidy(axes)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="glimpse t")


def _draw_foresight(axes: Any, metrics: Sequence[Mapping[str, Any]]) -> None:
    """KL divergence from the best prior that is the same for all drawings, of the best weights."""
    best = best_evaluation([dict(line) for line in metrics])
    values = profile(best or {}, "fixed_prior_kl_per_glimpse")
    if np.isfinite(values).any():
        edges = np.arange(len(values) + 1) + 0.5
        axes.stairs(values, edges, color=RECONSTRUCTION, label="the best fixed prior")
        axes.set_ylim(0, max(axes.get_ylim()[1], 1.05 * float(np.nanmax(values))))
        _legend(axes)


def _legend(axes: Any) -> None:
    """Two lines of legend above the axes, the parts of each bound one above the other."""
    entries = len(axes.get_legend_handles_labels()[0])
    axes.legend(
        frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0),
        ncols=max(2, math.ceil(entries / 2)), borderaxespad=0.2, columnspacing=1.2,
        handlelength=1.6,
    )  # fmt: skip


def _tidy(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def running_mean(values: Numbers) -> Numbers:
    """Running mean over a window of about a fortieth of the values, leaving out NaN."""
    half = max(1, len(values) // 80)
    known = np.isfinite(values)
    sums, counts = (
        np.concatenate([[0.0], np.cumsum(part)]) for part in (np.where(known, values, 0), known)
    )
    at = np.arange(len(values))
    start, end = (at - half).clip(0), (at + half + 1).clip(max=len(values))
    count = counts[end] - counts[start]
    mean: Numbers = np.where(count > 0, (sums[end] - sums[start]) / np.maximum(count, 1), np.nan)
    return mean


def series(metrics: Sequence[Mapping[str, Any]], kind: str, name: str) -> tuple[Numbers, Numbers]:
    """Images seen by the weights and a number, of all lines of one kind; NaN where it is missing.

    Args:
        metrics: the lines of metrics.jsonl.
        kind: kind of the lines: train, validation or test.
        name: field of the number.
    """
    lines = [line for line in metrics if line.get("kind") == kind]
    return (
        numbers([images_behind_weights(dict(line)) for line in lines]),
        numbers([line.get(name) for line in lines]),
    )


def profile(line: Mapping[str, Any], field: str) -> Numbers:
    """List of numbers of a line, one for each glimpse; empty if the line has none."""
    values = line.get(field)
    return numbers(values if isinstance(values, list | tuple) else ())


def numbers(values: Sequence[Any]) -> Numbers:
    """Convert values of JSON to floats; what is missing, no number or beyond `LARGEST` is NaN."""
    return np.array([_number(value) for value in values], dtype=np.float64)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value) if abs(value) <= LARGEST else math.nan
