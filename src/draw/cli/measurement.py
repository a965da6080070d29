"""The verbs evaluate and info: numbers from a model."""

import dataclasses
from typing import Annotated, Any

from tyro.conf import arg

from draw.cli.options import (
    DataOptions,
    ModelOptions,
    images_for,
    load,
    refuse_seed,
    words_apart_from,
    write_result,
)
from draw.fields import Count, Natural


def evaluate(
    options: Annotated[ModelOptions, arg(name="")],
    data: Annotated[DataOptions, arg(name="")],
    importance_samples: Natural = 0,
    batch_size: Count = 250,
    refine: Natural = 0,
    images: Count | None = None,
) -> None:
    """Measure a model on every image of a split, each exactly once.

    A model that draws: the bound in nats, and with the logistic likelihood of 8-bit pixels also in
    bits per dimension. A classifier: the wrong answers in %, with a 95 % confidence interval.

    Args:
        options: options that name the model.
        data: options that name the images.
        importance_samples: K of the importance-weighted estimate; takes K times as long.
        batch_size: images at a time; changes speed and memory, not the result.
        refine: updates (300, say) that fit the posterior to each image, for the refined bound: a
            valid one, beside that of the encoder alone. Takes several hundred times as long. With
            --importance-samples it is a mean over K draws, which little changes, and the estimate
            is made of the fitted posterior's samples too.
        images: number of images, evenly from the split; by default all.
    """
    from draw.measure.progress_bar import with_progress
    from draw.model.machine import settle
    from draw.model.memory import advise_smaller_batches
    from draw.tasks import Measuring
    from draw.training.accelerator import make_accelerator

    compute = settle(options.compute)
    accelerator = make_accelerator(compute)
    loaded = load(options)
    model = loaded.model.to(accelerator.device)
    found, task = images_for(loaded, data)
    chosen = found if images is None else found.evaluation_set().some(images)
    how = Measuring(batch_size, importance_samples, options.seed, refine)
    with advise_smaller_batches(batch_size, "--batch-size"):
        result = with_progress(
            chosen,
            accelerator,
            lambda seen, update: task.evaluate(model, seen, accelerator, update, how),
        )
    accelerator.end_training()
    if accelerator.is_main_process:
        with words_apart_from(options.json):
            title = f"{loaded.source}\n{data.split} images of {chosen.source}"
            given = f"; {task.condition}" if task.condition else ""
            task.print_result(f"{title}\n{task.meaning(chosen)}{given}", result)
        values = {
            "model": loaded.source,
            "weights": loaded.state,
            "data": chosen.source,
            "split": data.split,
            "compute": compute.choices(model),
            **task.facts(chosen, how),
            **result.to_dict(),
        }
        write_result(options.json, values)


def info(options: Annotated[ModelOptions, arg(name="")]) -> None:
    """Say what a model is: shape, parameters, data, training.

    Args:
        options: options that name the model.
    """
    refuse_seed(options, "what a model is, in which there is no chance")
    from draw.measure.tables import print_values
    from draw.model.machine import settle
    from draw.models.kinds import task_of

    loaded = load(options)
    model, config = loaded.model, loaded.model.config
    task = task_of(config, loaded.data)
    score = loaded.state.get(f"validation_{task.score}")
    derived = {} if score is None else task.derive({task.score: score})
    of_steps = [f"validation_{name}" for name in task.profile.beside]
    values: dict[str, Any] = {
        "source": loaded.source,
        "kind": config.kind,
        "is": type(model).__name__,
        "parameters": sum(p.numel() for p in model.parameters()),
        **settle(options.compute).choices(model, look=True),
        "losses": task.units,
        **{name: v for name, v in loaded.state.items() if isinstance(v, int | float)},
        **{f"validation_{name}": value for name, value in derived.items()},
        **{name: loaded.state[name] for name in of_steps if name in loaded.state},
        "model": dataclasses.asdict(config),
    }
    if model.class_names:
        values["classes"] = {str(number): name for number, name in model.class_names.items()}
    if loaded.data is not None:
        values["data"] = dataclasses.asdict(loaded.data)
    if loaded.config is not None:
        values["train"] = dataclasses.asdict(loaded.config.train)
        values["compute"] = dataclasses.asdict(loaded.config.compute)
    with words_apart_from(options.json):
        print_values(values)
    write_result(options.json, values)
