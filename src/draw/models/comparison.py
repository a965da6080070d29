"""Comparison of models: on the same test images, after equal images and after equal seconds."""

import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from draw.config.run import Config
from draw.data import ImageSet, view_of
from draw.errors import DrawError
from draw.measure.paired_difference import Difference, paired_difference, standard_error
from draw.models.kinds import task_of
from draw.models.storage import LoadedModel
from draw.runs.checkpoint import METRICS_FILE
from draw.runs.metrics import Line, read_metrics
from draw.tasks import Measuring, Result, Task

Numbers = Float[np.ndarray, " n"]


class Progress(NamedTuple):
    """Validation scores of a run on its way."""

    images: Numbers
    """Training images seen."""
    seconds: Numbers
    """Seconds in training at each evaluation."""
    scores: Numbers
    """Scores of the averaged weights on validation images."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A model to compare, or several runs of it that differ in their seed alone."""

    names: tuple[str, ...]
    """Names of the runs as they were given."""
    parameters: int
    results: tuple[Result, ...]
    """Results of each run, on the same images."""
    seeds: tuple[int, ...]
    """Seeds of the runs, in their order; empty for a model that is not a run folder."""
    score: float
    """Mean over images and runs of the number that the task makes small."""
    standard_error: float
    """Over the images of a single run; over the runs where there are several."""
    deviation: float | None
    """Standard deviation of the runs' scores, between seeds; None for a single run."""
    difference: Difference | None
    """From the first candidate; None for that itself."""
    progress: tuple[Progress, ...]
    """Progress of each that is a run folder."""
    images_per_second: float | None
    """In training, the mean of the runs."""
    training_images: tuple[int, ...]
    """Training images behind the weights of each run, as far as these say."""
    classes: int | None
    """Classes of which it was told that of each image; None for a model that is told none."""
    after_images: float | None = None
    """Validation score when every candidate had seen as many training images."""
    after_seconds: float | None = None
    """Validation score when every candidate had been in training for as long."""

    @property
    def name(self) -> str:
        """Name of the candidate: of its first run, and how many more there are."""
        more = f" and {len(self.names) - 1} more" if len(self.names) > 1 else ""
        return self.names[0] + more


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Candidates on the same images; the first is what the others are compared with."""

    task: Task
    images: int
    """How many images each was measured on."""
    candidates: tuple[Candidate, ...]
    equal_images: float | None
    """Training images of `Candidate.after_images`; None where there are no such figures."""
    equal_seconds: float | None
    obstacle: str | None
    """Why there are no figures after equal images and seconds; None where there are."""

    def to_dict(self) -> dict[str, Any]:
        """Convert the comparison to plain values, ready for JSON."""
        return {
            "score": self.task.score,
            "images": self.images,
            "equal_images": self.equal_images,
            "equal_seconds": self.equal_seconds,
            "no_equal_images_or_seconds": self.obstacle,
            "candidates": [
                {
                    "models": list(one.names),
                    "parameters": one.parameters,
                    "score": one.score,
                    "standard_error": one.standard_error,
                    "seeds": list(one.seeds),
                    "standard_deviation_between_seeds": one.deviation,
                    "difference": None if one.difference is None else one.difference._asdict(),
                    "training_images": list(one.training_images),
                    "images_per_second": one.images_per_second,
                    "classes_told": one.classes,
                    "after_equal_images": one.after_images,
                    "after_equal_seconds": one.after_seconds,
                    "results": [result.to_dict() for result in one.results],
                }
                for one in self.candidates
            ],
        }


def compare(
    models: Sequence[tuple[str, LoadedModel]],
    images: ImageSet,
    how: Measuring,
    evaluate: Callable[[Task, LoadedModel, Measuring], Result],
) -> Comparison:
    """Measure models on the same images with the same noise.

    Runs whose configs are equal but for the seed, which is another for each, are one candidate.

    Args:
        models: names and models; the first is what the others are compared with.
        images: images as the models see them in evaluation.
        how: options of the evaluation: samples, batch size and seed of the noise.
        evaluate: function that measures one of the models.

    Raises:
        DrawError: if there are fewer than two models, or their scores do not compare: other images,
            likelihood or binarization, or one draws and another classifies.
    """
    if len(models) < 2:
        raise DrawError(f"expected two or more models to compare, got {len(models)}")
    tasks = [task_of(loaded.model.config, loaded.data) for _, loaded in models]
    _check_comparable(models, tasks, images)
    groups: list[list[int]] = []
    for number, (_, loaded) in enumerate(models):
        same = [g for g in groups if _differs_in_seed(loaded, [models[k][1] for k in g])]
        if same:
            same[0].append(number)
        else:
            groups.append([number])
    results = [evaluate(task, loaded, how) for task, (_, loaded) in zip(tasks, models, strict=True)]
    first = [results[k].scores for k in groups[0]]
    candidates = [
        _candidate(
            [models[k] for k in group],
            [results[k] for k in group],
            tasks[group[0]],
            None if number == 0 else first,
        )
        for number, group in enumerate(groups)
    ]
    obstacle = _obstacle_to_progress(models, candidates)
    equal_images, equal_seconds = (
        None if obstacle else _equal(candidates, axis) for axis in ("images", "seconds")
    )
    return Comparison(
        tasks[0],
        images.count,
        tuple(
            dataclasses.replace(
                one,
                after_images=_score_at(one, "images", equal_images),
                after_seconds=_score_at(one, "seconds", equal_seconds),
            )
            for one in candidates
        ),
        equal_images,
        equal_seconds,
        obstacle,
    )


def _candidate(
    models: Sequence[tuple[str, LoadedModel]],
    results: Sequence[Result],
    task: Task,
    first: Sequence[Numbers] | None,
) -> Candidate:
    scores = [result.scores for result in results]
    means = np.array([one.mean() for one in scores])
    runs = [
        (loaded.config, read_metrics(Path(name) / METRICS_FILE))
        for name, loaded in models
        if loaded.config is not None
    ]
    progress = tuple(_progress(lines, task.score) for _, lines in runs)
    rates = [_rate(config, lines) for config, lines in runs]
    known = [rate for rate in rates if rate is not None]
    return Candidate(
        names=tuple(name for name, _ in models),
        parameters=sum(p.numel() for p in models[0][1].model.parameters()),
        results=tuple(results),
        seeds=tuple(config.train.seed for config, _ in runs),
        score=float(means.mean()),
        standard_error=standard_error(means if len(means) > 1 else scores[0]),
        deviation=float(means.std(ddof=1)) if len(means) > 1 else None,
        difference=None if first is None else paired_difference(scores, first),
        progress=progress,
        images_per_second=float(np.mean(known)) if known else None,
        training_images=tuple(
            loaded.state["step"] * loaded.config.train.batch_size
            for _, loaded in models
            if loaded.config is not None and isinstance(loaded.state.get("step"), int)
        ),
        classes=models[0][1].drawing.config.classes if task.condition else None,
    )


def _check_comparable(
    models: Sequence[tuple[str, LoadedModel]], tasks: Sequence[Task], images: ImageSet
) -> None:
    (first, base), *others = models
    wanted = (tasks[0].score, tasks[0].meaning(images), base.model.config.image_shape)
    words = "the score", "what it means", "the shape of the images"
    for (name, loaded), task in zip(others, tasks[1:], strict=True):
        got = (task.score, task.meaning(images), loaded.model.config.image_shape)
        for what, one, other in zip(words, wanted, got, strict=True):
            if one != other:
                raise DrawError(
                    f"expected models whose figures compare, but {what} of {first} is {one!r} and "
                    f"of {name} {other!r}; compare models of the same kind, likelihood and images"
                )


def _differs_in_seed(one: LoadedModel, others: Sequence[LoadedModel]) -> bool:
    """Whether a run differs from each of others in the seed, and in nothing else."""
    if one.config is None:
        return False
    noted = one.model.fingerprints
    for other in others:
        if any(
            noted.get(split, image) != image for split, image in other.model.fingerprints.items()
        ):
            return False  # the folder was changed between the two
        if other.config is None or other.config.train.seed == one.config.train.seed:
            return False
        seed = dataclasses.replace(other.config.train, seed=one.config.train.seed)
        if dataclasses.replace(other.config, train=seed) != one.config:
            return False
    return True


def _progress(lines: Sequence[Line], score: str) -> Progress:
    """Validation scores in their order; seconds lie on a line between the lines of training."""
    timed = [line for line in lines if _number(line.get("seconds"), 0.0) > 0]
    seen = [0.0, *(_number(line.get("images_seen"), 0.0) for line in timed)]
    seconds = [0.0, *(_number(line.get("seconds"), 0.0) for line in timed)]
    found = [
        (_number(line.get("images_seen"), 0.0), _number(line.get(score), math.nan))
        for line in lines
        if line.get("kind") == "validation"
    ]
    images, scores = np.array(found, dtype=np.float64).reshape(-1, 2).T
    finite = np.isfinite(scores)
    images, scores = images[finite], scores[finite]
    return Progress(images, np.interp(images, seen, seconds), scores)


def _rate(config: Config | None, lines: Sequence[Line]) -> float | None:
    last = [line for line in lines if _number(line.get("seconds"), 0.0) > 0]
    if not last:
        return None
    return _number(last[-1].get("images_seen"), 0.0) / _number(last[-1].get("seconds"), math.inf)


def _number(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) else otherwise


def _obstacle_to_progress(
    models: Sequence[tuple[str, LoadedModel]], candidates: Sequence[Candidate]
) -> str | None:
    """Why validation scores on the way do not compare; None if they do."""
    for one in candidates:
        if len(one.progress) < len(one.names) or not all(len(p.scores) for p in one.progress):
            return f"{one.name} is no run folder with evaluations"
    (first, base), *others = models
    for name, loaded in others:
        noted = all("validation" in one.model.fingerprints for one in (loaded, base))
        if _validation(loaded, noted) != _validation(base, noted):
            return (
                f"{name} was validated on other images than {first} (another data set, one that "
                "was changed meanwhile, or train.evaluate_images)"
            )
    return None


def _validation(loaded: LoadedModel, noted: bool) -> object:
    """What decides the images that a run was validated on.

    Args:
        loaded: the run's model.
        noted: whether to go by the fingerprint of its images, else by what they are called: where
            they lie counts for somebody's own pictures alone, who have no other name.
    """
    config = loaded.config
    if config is None:
        return None
    data, some = config.data, config.train.evaluate_images
    if noted:
        seen = data.name if view_of(data) else None
        return loaded.model.fingerprints["validation"], seen, data.binarize, some
    own = data.name == "images" and data.path is not None
    return data.without_places(), os.path.realpath(str(data.path)) if own else None, some


def _equal(candidates: Sequence[Candidate], axis: str) -> float:
    """The most images or seconds that every run of every candidate had."""
    return float(min(getattr(p, axis)[-1] for one in candidates for p in one.progress))


def _score_at(one: Candidate, axis: str, place: float | None) -> float | None:
    """The validation score at a number of images or seconds, between evaluations on a line."""
    if place is None:
        return None
    found = [np.interp(place, getattr(p, axis), p.scores, left=np.nan) for p in one.progress]
    mean = float(np.mean(found))
    return mean if math.isfinite(mean) else None
