"""The verb judge: whether drawings show the class that is asked for, or two digits."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from draw.cli.options import (
    DataOptions,
    ModelOptions,
    images_for,
    load,
    words_apart_from,
    write_result,
)
from draw.cli.render import Strength, Temperature
from draw.errors import DrawError
from draw.fields import Count

if TYPE_CHECKING:
    from draw.model.machine import Compute
    from draw.models.storage import LoadedModel


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
    temperature: Temperature = 1.0,
    batch_size: Count = 250,
) -> None:
    """Count the drawings that show the class asked for, or two digits.

    A classifier says what they show. The classes are asked for in turn. The classifier's own error
    is measured too, on images of a split.

    A model that draws two-digits is told nothing. Where a drawing shows two pieces apart, the
    classifier is shown each: a digit is one of which it is as sure as of 98 % of those in images
    of the data set.

    For example:

    draw judge runs/mnist-class runs/mnist-convnet --n 10000 --guidance 1 1.5 2 3

    draw judge two-digits runs/mnist-convnet --data.path DATA/mnist

    Args:
        options: options that name the model; --backend is for it alone.
        by: the classifier.
        data: options that name the images on which the classifier's own error is measured; by
            default those that it was trained on. For a model of two-digits: images of two digits,
            by default those that the model was trained on.
        n: drawings, at least one of each class.
        guidance: how clearly the class shows, as in draw sample; of several, the one that does best
            on n other drawings is chosen, and measured on these.
        temperature: standard deviation of the codes, as in draw sample.
        batch_size: drawings or images at a time; changes speed and memory, not the result.
    """
    from draw.model.machine import settle
    from draw.models.storage import weights_of_each

    compute = settle(options.compute)
    drawer, judging = weights_of_each((options.model, by.classifier), options.weights)
    loaded = load(dataclasses.replace(options, weights=drawer))
    own = dataclasses.replace(options.compute, backend="auto")
    classifier = load(
        dataclasses.replace(options, model=by.classifier, weights=judging, compute=own)
    )
    if classifier.kind.draws:
        raise DrawError(
            f"expected a classifier to say what drawings show, got {classifier.source}, a model "
            "that draws; train one, for example with draw train mnist-convnet"
        )
    if loaded.data is not None and loaded.data.name == "two-digits":
        if guidance != (1.0,):
            raise DrawError(
                f"expected no --guidance for {loaded.source}, which is told no class, got "
                f"{' '.join(f'{one:g}' for one in guidance)}; leave it out"
            )
        found = _judge_pairs(options, data, loaded, classifier, n, temperature, batch_size)
    else:
        found = _judge_classes(
            options, data, loaded, classifier, n, guidance, temperature, batch_size, compute
        )
    result = {
        "model": loaded.source,
        "weights": loaded.state,
        "seed": options.seed,
        "compute": compute.choices(loaded.drawing),
        **found,
    }
    write_result(options.json, result)


def _judge_classes(
    options: ModelOptions,
    data: DataOptions,
    loaded: "LoadedModel",
    classifier: "LoadedModel",
    n: int,
    guidance: tuple[float, ...],
    temperature: float,
    batch_size: int,
    compute: "Compute",
) -> dict[str, Any]:
    from draw.measure.class_share import drawing_count, measure_class_share
    from draw.measure.progress_bar import with_progress
    from draw.measure.tables import print_class_share
    from draw.model.memory import advise_smaller_batches
    from draw.progress import progress
    from draw.tasks import Measuring
    from draw.training.accelerator import make_accelerator

    model = loaded.drawing
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
                model, classifier.model, n, guidance=guidance, temperature=temperature,
                seed=options.seed, batch_size=batch_size, on_progress=update,
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
    own = {"data": images.source, "split": data.split, **of_classifier.to_dict()}
    return {**found.to_dict(), "classifier": {"model": classifier.source, **own}}


def _judge_pairs(
    options: ModelOptions,
    data: DataOptions,
    loaded: "LoadedModel",
    classifier: "LoadedModel",
    n: int,
    temperature: float,
    batch_size: int,
) -> dict[str, Any]:
    from draw.measure.pair_share import measure_pair_share
    from draw.measure.tables import print_pair_share
    from draw.model.memory import advise_smaller_batches
    from draw.progress import progress

    images, _ = images_for(loaded, data)
    with advise_smaller_batches(batch_size, "--batch-size"), progress("draw", n) as update:
        found = measure_pair_share(
            loaded.drawing, classifier.model, images, n, temperature=temperature,
            seed=options.seed, batch_size=batch_size, on_progress=update,
        )  # fmt: skip
    with words_apart_from(options.json):
        print_pair_share(f"{loaded.source}\nby {classifier.source}", found)
    of = {"data": images.source, "split": data.split}
    return {**found.to_dict(), **of, "classifier": {"model": classifier.source}}
