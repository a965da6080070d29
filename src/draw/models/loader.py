"""Models by name: whatever the command line takes for MODEL, as the class that it is."""

import os

from draw.config.compute import PLAIN, ComputeConfig
from draw.config.run import Weights
from draw.errors import DrawError
from draw.model.machine import settle
from draw.model.pretrained import Model
from draw.models.storage import load_model


def load(
    name: str | os.PathLike[str], *, weights: Weights = "best", compute: ComputeConfig = PLAIN
) -> Model:
    """Load a model, ready to use: of the class that it is, in evaluation mode, without gradients.

    Args:
        name: a run folder, an exported folder, a name that `draw models` lists, or owner/name on
            the Hub.
        weights: choice among the weights of a run folder: "best" (lowest validation score) or
            "last".
        compute: device and backend to run it on; by default the best that there are. Its precision
            is for `draw.evaluate` and the command line.

    Raises:
        DrawError: if there is no such model, with the names that are near, it is damaged, or the
            name is none; or the last weights are asked for of a model that is no run.
    """
    if not isinstance(name, str | os.PathLike) or not os.fspath(name):
        raise DrawError(
            "expected the name of a model: a run folder, an exported folder, a name that draw "
            f"models lists, or owner/name on the Hub; got {name!r}"
        )
    model = load_model(os.fspath(name), weights).model
    settle(compute).place(model)
    return model.requires_grad_(False).eval()
