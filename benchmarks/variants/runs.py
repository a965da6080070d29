"""One run: trained to a mark, measured there on test images, and written down."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from benchmarks import measure
from benchmarks.variants.plan import Case, Places, Plan
from draw.data import ImageSet, Splits
from draw.errors import Interruption
from draw.json_files import read_json_object, write_json
from draw.model.recurrent import Recurrent
from draw.runs.paths import RUN_FILE
from draw.tasks import Measuring
from draw.training.start import resume, resumed_config, start


class Measurement(NamedTuple):
    """What the averaged weights of a run are worth after some steps."""

    line: dict[str, Any]
    """In plain values: set, change, seed, images, bound with its parts, and how it came about."""
    scores: Float[np.ndarray, " images"]
    """The bound of each test image, in nats."""


def measurement(plan: Plan, case: Case, steps: int) -> Measurement | None:
    """What was measured of a run after some steps; None where that is still to be done."""
    path = case.folder(plan.out) / f"after-{steps:08}.json"
    if not path.exists():
        return None
    found = read_json_object(path)
    return Measurement(found["line"], np.array(found["scores"]))


def advance(
    plan: Plan, case: Case, steps: int, splits: Splits, test: ImageSet, places: Places
) -> None:
    """Train a run on to a mark, and measure it on test images there.

    Args:
        plan: Of the folder.
        case: The run, which is begun or gone on with.
        steps: The mark.
        splits: The images of the set.
        test: Those to measure the bound on.
        places: Where images are, and how models are computed.

    Raises:
        Interruption: After Ctrl-C or SIGTERM, when everything is saved.
    """
    folder = case.folder(plan.out)
    run = folder / "run"
    config = places.of(case.config(plan.settings))
    config = replace(config, train=replace(config.train, steps=steps))
    if (run / RUN_FILE).exists():
        after = resumed_config(run, config)
        trainer = resume(after, run, splits.train, splits.validation, test_again=True)
    else:
        trainer = start(config, run, splits.train, splits.validation)
    trainer.fit()
    if trainer.stop_asked:  # during the last step, after which there is no step to stop before
        raise Interruption(run, trainer.step)
    model = trainer.average.module
    with trainer.compute.products(), trainer.accelerator.autocast():
        result = trainer.task.evaluate(
            model, test, trainer.accelerator, lambda *_: None, Measuring(seed=0)
        )
    trainer.accelerator.end_training()
    found = result.to_dict()
    assert isinstance(model, Recurrent)
    line = {
        **case._asdict(),
        "images": steps * config.train.batch_size,
        "test_images": test.count,
        **{name: found[name] for name in ("bound", "reconstruction", "kl")},
        "standard_error": found["bound_standard_error"],
        "parameters": sum(p.numel() for p in model.parameters()),
        "training_seconds": round(trainer.seconds, 1),
        **trainer.choices(),
        **measure.origin(places.where),
    }
    scores = [round(float(score), 4) for score in result.scores]
    write_json(folder / f"after-{steps:08}.json", {"line": line, "scores": scores})


def cases_of(
    sets: dict[Any, tuple[str, ...]], seeds: tuple[int, ...], plan: Plan
) -> Iterator[tuple[Case, int]]:
    """Runs and the marks to train them to, in an order whose beginning is a table already.

    Set by set: all changes to equal seconds, seed after seed, then those that are slower than the
    paper's model on to equal images. A faster one passes equal images on its way.

    Args:
        sets: The sets, with the changes of each.
        seeds: One run each.
        plan: Has the marks.
    """
    seen = set()
    for name, in_time, seed in itertools.product(sets, (True, False), seeds):
        for change in sets[name]:
            case = Case(name, change, seed)
            of_images, of_seconds = plan.marks(case)
            marks = {of_seconds, min(of_images, of_seconds)} if in_time else {of_images}
            for steps in sorted(marks):
                if (case, steps) not in seen and not measurement(plan, case, steps):
                    yield case, steps
                seen.add((case, steps))
