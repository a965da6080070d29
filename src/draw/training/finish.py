"""The end of a run: training to its last step, the test of its best weights, and its pictures."""

from typing import Any

from draw.data import ImageSet
from draw.data.images import class_names
from draw.errors import Interruption
from draw.measure.progress_bar import with_progress
from draw.models.storage import load_model
from draw.runs.checkpoint import METRICS_FILE
from draw.runs.metrics import append_metrics, read_metrics
from draw.terminal import say
from draw.training.expectation import estimate, expectation, next_commands
from draw.training.image_check import describe_shape
from draw.training.origin import describe_origin
from draw.training.trainer import Trainer

MOST_NAMES = 30
"""Most classes that the start of a run names."""


def finish(trainer: Trainer, test: ImageSet) -> dict[str, Any] | None:
    """Train to the end, evaluate the best weights on the test images, and make the pictures.

    The test counts, as a line of metrics.jsonl, when its pictures are made.

    Returns:
        The result in plain values; None in all processes but the first.

    Raises:
        Interruption: after Ctrl-C or SIGTERM, when everything is saved.
        CutShort: after a second Ctrl-C, which did not wait for that.
        DrawError: if the loss is no longer finite, or a file cannot be written.
    """
    with trainer.lock:
        if trainer.main:
            say(describe_start(trainer))
        trainer.fit()
        try:
            return _test(trainer, test)
        except KeyboardInterrupt:  # what is not written yet, a resumption makes
            raise Interruption(trainer.run, trainer.step) from None


def _test(trainer: Trainer, test: ImageSet) -> dict[str, Any] | None:
    accelerator, run = trainer.accelerator, trainer.run
    accelerator.wait_for_everyone()
    best = load_model(str(run))
    model = best.model
    trainer.compute.place(model)
    with trainer.compute.products():
        result = with_progress(
            test,
            accelerator,
            lambda images, update: trainer.task.evaluate(model, images, accelerator, update),
        )
    values = result.to_dict()
    if trainer.main:
        trainer.journal.track("test", trainer.step, values)
    trainer.journal.close()
    if not trainer.main:
        return None
    which = f"{best.weights} on validation images" if best.which == "best" else best.weights
    patience = trainer.config.train.patience
    ended = f"; {patience} evaluations were no better" if trainer.out_of_patience else ""
    say(
        f"\n{trainer.task.conclude(result)}\n{which} "
        f"of {trainer.step} steps in {trainer.seconds / 60:.1f} minutes{ended}"
    )
    counted = values | {"weights_step": best.state["step"]}
    line = trainer.journal.line("test", trainer.step, counted)
    metrics = [*read_metrics(run / METRICS_FILE), line]
    pictures = trainer.task.pictures(model, run, metrics, trainer.training, test.evaluation_set())
    append_metrics(run / METRICS_FILE, line)
    say("look at  " + "\n         ".join(str(path) for path in pictures))
    say("next     " + "\n         ".join(next_commands(trainer)))
    return {
        "run": str(run),
        "best": best.state,
        "test": values,
        "seconds": trainer.seconds,
        "pictures": [str(path) for path in pictures],
    }


def describe_start(trainer: Trainer) -> str:
    """Format what a run learns from, with what, and where it goes, in lines."""
    images, config = trainer.training, trainer.config
    chosen = trainer.choices()
    on = "; ".join(text if name == "device" else f"{name} {text}" for name, text in chosen.items())
    parameters = sum(p.numel() for p in trainer.bare_model.parameters())
    number = trainer.accelerator.num_processes
    processes = "1 process" if number == 1 else f"{number} processes"
    return (
        f"on {on}\n"
        f"{config.preset}: {images.count:,} images of {describe_shape(images.image_shape)} from "
        f"{images.source}\n{_describe_view(images)}"
        f"{trainer.task.describe_start(trainer.bare_model, images)}\n"
        f"{_describe_classes(trainer)}"
        f"{_describe_beginning(trainer)}"
        f"{parameters:,} parameters; {processes}; "
        f"run folder {trainer.run}"
    )


def _describe_classes(trainer: Trainer) -> str:
    """A line about which class is which; none where the model is told none, or has no names."""
    told = trainer.task.needs(trainer.training).labels
    names = class_names(trainer.training.classes, MOST_NAMES) if told else ""
    return f"classes: {names}\n" if names else ""


def _describe_beginning(trainer: Trainer) -> str:
    """Lines about what a new run starts from, and where it was timed about what to expect."""
    if trainer.step:
        return ""
    origin, pace = describe_origin(trainer.config), trainer.pace
    if pace is None:
        return origin
    lines = [estimate(trainer.config, trainer.training, pace)]
    if trainer.config.data.name == "images":
        lines += expectation(trainer.config, trainer.training)
    return origin + "".join(f"{line}\n" for line in lines)


def _describe_view(images: ImageSet) -> str:
    """Lines about what is made of the stored images; none where they are seen as they are."""
    changed = f"training images are changed a little ({', '.join(images.augment)})\n"
    augmented = changed if images.augment else ""
    if images.view is None:
        return augmented
    fixed, shape = images.view.evaluation_view(), images.stored_shape
    what = "the same" if fixed == images.view else fixed.description(shape)
    return (
        f"each is {images.view.description(shape)}, made anew for every batch; validation and "
        f"test: {what}, made once and for all\n{augmented}"
    )
