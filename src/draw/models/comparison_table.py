"""A comparison as a table: a line for each figure, a cell for each candidate."""

import math

from draw.models.comparison import Candidate, Comparison

Line = tuple[str, list[str]]
"""What a figure is, and its value for each candidate."""

PARTS = {
    "reconstruction": "reconstruction",
    "kl": "KL",
    "importance_weighted": "importance-weighted, K = {importance_samples}",
    "refined_bound": "refined bound, {refinement_steps} updates",
    "refined_estimate": "its estimate, K = {importance_samples}",
    "bits_per_dimension": "bits per dimension",
    "cross_entropy": "cross-entropy",
}
"""Numbers of a result that are shown besides its score, where it has them, with their words."""


def sections(found: Comparison) -> list[list[Line]]:
    """Write a comparison as lines: what was measured, and how the runs came there.

    Figures that no candidate has are left out; - stands where one has none.
    """
    differences = [one.difference for one in found.candidates]
    known = [one.results[0].to_dict() for one in found.candidates]
    how = {name: value for values in known for name, value in values.items()}
    measured: list[tuple[str, list[str | None]]] = [
        ("parameters", [f"{one.parameters:,}" for one in found.candidates]),
        (
            f"{found.task.score} +- standard error",
            [f"{one.score:.3f} +- {one.standard_error:.3f}" for one in found.candidates],
        ),
        *(
            (f"  {words.format_map(how)}", [_mean(one, name) for one in found.candidates])
            for name, words in PARTS.items()
            if name in how
        ),
        ("  of the mean over", [_spread(one, found.images) for one in found.candidates]),
        (
            "difference from the first, paired",
            [d and f"{d.mean:+.3f} +- {d.standard_error:.3f}" for d in differences],
        ),
    ]  # fmt: skip
    if any(d and d.between_seeds for d in differences):
        measured += [
            ("  +- over images alone", [d and f"{d.over_images:.3f}" for d in differences]),
            ("  +- between seeds alone", [d and f"{d.between_seeds:.3f}" for d in differences]),
        ]
    learned: list[tuple[str, list[str | None]]] = [
        ("training images behind the weights", [_seen(one) for one in found.candidates]),
        (
            "training images a second, with evaluations",
            [
                None if one.images_per_second is None else f"{one.images_per_second:,.0f}"
                for one in found.candidates
            ],
        ),
    ]
    if found.equal_images is not None:
        after = [_figure(one.after_images) for one in found.candidates]
        learned.append((f"validation after {found.equal_images:,.0f} images", after))
    if found.equal_seconds is not None:
        after = [_figure(one.after_seconds) for one in found.candidates]
        learned.append((f"validation after {found.equal_seconds / 60:,.1f} minutes", after))
    return [
        [(words, [cell or "-" for cell in cells]) for words, cells in lines if any(cells)]
        for lines in (measured, learned)
    ]


def remarks(found: Comparison) -> list[str]:
    """Say how to read the table, and why figures are missing in it."""
    pooled = any(one.deviation is not None for one in found.candidates)
    parts = "over images and between the seeds" if pooled else "over images"
    lines = [
        f"{found.images:,} images; {found.task.units}; less is better. A difference is taken image "
        f"by image, with the same noise; its +- is the standard error {parts}."
    ]
    if pooled:
        lines.append(
            "Few seeds say little of their own spread: of three, one difference in nine is beyond "
            "twice its +- by chance, one in some twenty-five beyond three times."
        )
    told = {one.classes for one in found.candidates}
    if None in told and len(told) > 1:
        classes = max(one or 0 for one in told)
        names = ", ".join(one.name for one in found.candidates if one.classes)
        lines.append(
            f"Told the class of each image is {names}: its bound is of -log p(x | class), which is "
            f"up to log {classes} = {math.log(classes):.2f} nats less for the label alone."
        )
    if any(one.deviation is None for one in found.candidates):
        lines.append(
            "What another seed would change is not in the +- of a single run: draw train --seeds."
        )
    if found.obstacle is not None:
        lines.append(f"No figures after equal images and equal seconds: {found.obstacle}.")
    elif any(None in (one.after_images, one.after_seconds) for one in found.candidates):
        lines.append("A - after equal images or seconds: no evaluation was made so early.")
    return lines


def _spread(one: Candidate, images: int) -> str:
    """What the standard error of a score is one over."""
    if one.deviation is None:
        return f"{images:,} images"
    return f"{len(one.names)} seeds, standard deviation {one.deviation:.3f}"


def _seen(one: Candidate) -> str | None:
    if not one.training_images:
        return None
    least, most = min(one.training_images), max(one.training_images)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _mean(one: Candidate, name: str) -> str | None:
    values = [result.to_dict().get(name) for result in one.results]
    known = [value for value in values if isinstance(value, float)]
    return _figure(sum(known) / len(known)) if known else None


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
