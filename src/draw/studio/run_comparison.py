"""Two runs measured on the same images with the same noise, as `draw compare` does."""

import html

from draw.config.compute import ComputeConfig
from draw.data import load_images
from draw.errors import DrawError
from draw.model.machine import settle
from draw.models.comparison import compare
from draw.models.comparison_table import remarks, sections
from draw.models.storage import LoadedModel, load_model
from draw.studio.observation import Run
from draw.tasks import Measuring, Result, Task
from draw.training.accelerator import make_accelerator

MOST_IMAGES = 1000
"""Most test images that are measured, evenly from all."""


def compare_runs(first: Run, second: Run, compute: ComputeConfig) -> str:
    """Measure the best weights of two runs on test images of the first; a table in HTML.

    Args:
        first: the run that the other is compared with.
        second: the other.
        compute: how to run their models.

    Raises:
        DrawError: if they do not compare, one has no weights yet, or there are no test images.
    """
    if first.name == second.name:
        raise DrawError("expected two runs to compare, got the same twice; choose another")
    loaded = [load_model(str(run.folder)) for run in (first, second)]
    data = loaded[0].data
    if data is None:
        raise DrawError(f"{first.name} does not say what it was trained on")
    images = load_images(data, "test", progress=False)
    some = images.some(MOST_IMAGES)
    accelerator = make_accelerator(settle(compute))

    def evaluate(task: Task, one: LoadedModel, how: Measuring) -> Result:
        model = one.model.to(accelerator.device)
        with accelerator.autocast():
            return task.evaluate(model, some, accelerator, lambda done, words: None, how)

    named = [(str(run.folder), one) for run, one in zip((first, second), loaded, strict=True)]
    found = compare(named, some, Measuring(), evaluate)
    names = [
        " and ".join(run.name for run in (first, second) if str(run.folder) in candidate.names)
        for candidate in found.candidates
    ]
    heads = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in names)
    rows = "".join(
        f'<tr><th scope="row">{html.escape(words.strip())}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for lines in sections(found)
        for words, cells in lines
    )
    which = "all" if some.count == images.count else f"{some.count:,} of {images.count:,}"
    changes = [
        change
        for one in loaded
        if one.data is not None
        and one.data.without_treatment() == data.without_treatment()
        and (change := one.change_of(images))
    ]
    words = "".join(f"<p>{html.escape(remark)}</p>" for remark in [*changes, *remarks(found)])
    return (
        f"<h3>On {which} test images of {html.escape(data.name)}</h3>"
        f'<div tabindex="0" role="group" aria-label="Comparison"><table><thead><tr><td></td>{heads}'
        f"</tr></thead><tbody>{rows}</tbody></table></div>{words}"
    )
