"""Validation scores of several runs, against images seen and against seconds in training."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from draw.formats import FIGURES
from draw.visualize.plots import make_figure, save_figure
from draw.visualize.sheet import check_suffix

COLOURS = "#0b5cad", "#c4480c", "#008b6b", "#8a4fbe", "#a0741b", "#4c6a78", "#c02a6b", "#5f7f13"
"""Colours of the runs, in their order; begun anew after the last."""

Curve = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]]
"""Images seen, seconds in training, validation score, at each evaluation."""


def comparison_curves(
    curves: Mapping[str, Sequence[Curve]],
    path: str | os.PathLike[str],
    *,
    title: str,
    unit: str,
) -> Path:
    """Plot the score of each model over images and over minutes, in two panels.

    The axes leave out the first tenth of the evaluations, where scores fall steeply.

    Args:
        curves: curves of each run of a model, by the model's name; its runs have one colour.
        path: file to write: .png, .svg or .pdf.
        title: name of the score.
        unit: unit of the score.

    Raises:
        DrawError: if the suffix is not one of the three.
    """
    from matplotlib.ticker import EngFormatter

    target = check_suffix(path, FIGURES)
    figure = make_figure(figsize=(10, 3.8), dpi=150, layout="constrained")
    over_images, over_time = figure.subplots(1, 2, sharey=True)
    shown = []
    for number, (name, runs) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        for k, (images, seconds, scores) in enumerate(runs):
            style = {"color": colour, "marker": "o", "markersize": 3, "linewidth": 1.4}
            label = name if k == 0 else None
            over_images.plot(images, scores, label=label, **style)
            over_time.plot(seconds / 60, scores, **style)
            shown += list(scores[len(scores) // 10 :])
    for axes in (over_images, over_time):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.set_axisbelow(True)
    if shown:
        low, high = min(shown), max(shown)
        space = 0.06 * (high - low) or 1.0
        over_images.set_ylim(low - space, high + space)
        over_images.legend(frameon=False, fontsize=8)
    else:
        over_images.text(0.5, 0.5, "no runs", transform=over_images.transAxes, ha="center")
    over_images.xaxis.set_major_formatter(EngFormatter(sep=""))
    over_images.set(xlabel="training images seen", ylabel=unit)
    over_time.set(xlabel="minutes in training")
    figure.suptitle(title)
    return save_figure(figure, target)
