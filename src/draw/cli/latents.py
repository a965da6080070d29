"""The verb latents: what the encoder makes of a whole data set, as a file of tensors."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from draw.cli.options import (
    DataOptions,
    ModelOptions,
    Output,
    images_for,
    load,
    report_picture,
)
from draw.fields import Count


def latents(
    options: Annotated[ModelOptions, arg(name="")],
    data: Annotated[DataOptions, arg(name="")],
    out: Annotated[Path, Output((".safetensors",))] = Path("latents.safetensors"),
    batch_size: Count = 250,
    images: Count | None = None,
) -> None:
    """Write the latents of images into a file, a row an image.

    mu, log_sigma and z of every step, of the shape [images, glimpses, latent], and kl [images,
    glimpses] in nats; labels where there are any.

    Args:
        options: options that name the model.
        data: options that name the images.
        out: file to write (.safetensors).
        batch_size: images at a time; changes speed and memory, not the result.
        images: number of images, evenly from the split; by default all.
    """
    from draw.model.encoding import latents as encode
    from draw.model.memory import advise_smaller_batches
    from draw.model.preprocessing import ModelImages

    loaded = load(options)
    model = loaded.drawing
    found, task = images_for(loaded, data)
    task.check(found)
    whole = found.evaluation_set()
    chosen = whole if images is None else whole.some(images)
    seen = ModelImages(chosen, task.binarization(found) == "dynamic")
    with advise_smaller_batches(batch_size, "--batch-size"):
        made = encode(model, seen, to=out, seed=options.seed, batch_size=batch_size)
    result = {
        "model": loaded.source,
        "data": chosen.source,
        "split": data.split,
        "seed": options.seed,
        "file": str(out),
        "images": chosen.count,
        "kl_per_glimpse": made.kl.mean(0).tolist(),
    }
    report_picture(out, options.json, result)
