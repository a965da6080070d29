"""The options of draw train that --help shows; --help-all shows every one."""

import dataclasses
from typing import Any, TypeVar, get_type_hints

from tyro.conf import Suppress

COMMON = {
    "DRAWConfig": (
        "glimpses",
        "hidden_size",
        "latent_size",
        "attention",
        "read_size",
        "write_size",
        "condition",
        "likelihood",
    ),
    "ConvDRAWConfig": (
        "glimpses",
        "hidden_size",
        "latent_size",
        "stride",
        "kernel_size",
        "condition",
        "likelihood",
    ),
    "ClassifierConfig": ("glimpses", "hidden_size", "attention", "read_size"),
    "ConvnetConfig": ("filters", "hidden_size"),
    "DataConfig": ("name", "path", "size", "mode", "fit", "binarize"),
    "TrainConfig": ("steps", "batch_size", "learning_rate", "seed", "start_from"),
}
"""Fields that most people change, by class; of a class that is not here, all."""
HELP, HELP_ALL = ("-h", "--help"), "--help-all"

Options = TypeVar("Options")


def brief(options: Options) -> Options:
    """Put values into a class whose uncommon fields the help does not show.

    Args:
        options: an instance of a dataclass.
    """
    kind: Any = type(options)
    names = [field.name for field in dataclasses.fields(kind)]
    common = COMMON.get(kind.__name__, names)
    hints = get_type_hints(kind, include_extras=True)
    values = {name: getattr(options, name) for name in names}
    hidden: Any = Suppress
    fields = [
        (name, hints[name] if name in common else hidden[hints[name]], value)
        for name, value in values.items()
    ]
    shown = dataclasses.make_dataclass(
        kind.__name__, fields, bases=(kind,), namespace={"__doc__": kind.__doc__}, frozen=True
    )
    made: Options = shown(**values)
    return made
