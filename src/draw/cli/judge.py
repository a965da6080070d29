"""The verb judge: whether a model draws the class that it is asked for."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from draw.cli.options import (
    DataOptions,
    ModelOptions,
    images_for,
    load,
    words_apart_from,
    write_result,
)
from draw.cli.render import Strength
from draw.errors import DrawError
from draw.fields import Count


@dataclass(frozen=True)
class Judge:
    """The classifier that says what drawings show."""

    classifier: Annotated[Positional[str], arg(metavar="CLASSIFIER")]
    """A classifier of the images that the model draws: run folder, exported folder, or a name."""


def judge(
    options: Annotated[ModelOptions, arg(name="")],
    by: Annotated[Judge, arg(name="")],
    data: Annotated[DataOptions, arg(name="")],
    n: Count = 1000,
    guidance: tuple[Strength, ...] = (1.0,),
    batch_size: Count = 250,
) -> None:
    """Count how many drawings show the class that was asked for.

    A classifier says what they show. The classes are asked for in turn. The classifier's own error
    is measured too, on images of a split.

    For example:

    draw judge runs/mnist-class runs/mnist-convnet --n 10000 --guidance 1 1.5 2 3

    Args:
        options: options that name the model; --backend is for it alone.
        by: the classifier.
        data: options that name the images on which the classifier's own error is measured; by
            default those that it was trained on.
        n: drawings, at least one of each class.
        guidance: how clearly the class shows, as in draw sample; of several, the one that does best
            on n other drawings is chosen, and measured on these.
        batch_size: drawings or images at a time; changes speed and memory, not the result.
    """
    from draw.measure.class_share import drawing_count, measure_class_share
    from draw.measure.progress_bar import with_progress
    from draw.measure.tables import print_class_share
    from draw.model.machine import settle
    from draw.model.memory import advise_smaller_batches
    from draw.progress import progress
    from draw.tasks import Measuring
    from draw.training.accelerator import make_accelerator

    compute = settle(options.compute)
    loaded = load(options)
    model = loaded.drawing
    own = dataclasses.replace(options.compute, backend="auto")
    classifier = load(dataclasses.replace(options, model=by.classifier, compute=own))
    if classifier.kind.draws:
        raise DrawError(
            f"expected a classifier to say what drawings show, got {classifier.source}, a model "
            "that draws; train one, for example with draw train mnist-convnet"
        )
    sets = [None if one.data is None else one.data.name for one in (loaded, classifier)]
    if None not in sets and sets[0] != sets[1]:
        raise DrawError(
            f"expected a classifier of the images that the model was trained on ({sets[0]}), whose "
            f"classes are the same, got one of {sets[1]}"
        )
    images, task = images_for(classifier, data)
    with advise_smaller_batches(batch_size, "--batch-size"):
        with progress("draw", drawing_count(n, guidance)) as update:
            found = measure_class_share(
                model, classifier.model, n, guidance=guidance, seed=options.seed,
                batch_size=batch_size, on_progress=update,
            )  # fmt: skip
        accelerator = make_accelerator(compute)
        of_classifier = with_progress(
            images,
            accelerator,
            lambda seen, update: task.evaluate(
                classifier.model, seen, accelerator, update, Measuring(batch_size)
            ),
        )
    with words_apart_from(options.json):
        print_class_share(f"{loaded.source}\nby {classifier.source}", found)
        task.print_result(
            f"the classifier on {data.split} images of {images.source}", of_classifier
        )
    result = {
        "model": loaded.source,
        "weights": loaded.state,
        "seed": options.seed,
        "compute": compute.choices(model),
        **found.to_dict(),
        "classifier": {
            "model": classifier.source,
            "data": images.source,
            "split": data.split,
            **of_classifier.to_dict(),
        },
    }
    write_result(options.json, result)
