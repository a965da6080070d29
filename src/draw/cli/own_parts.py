"""Names of parts that somebody added to a table of the package, as values of options."""

from collections.abc import Mapping
from typing import Any, get_args

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from draw.config.compute import BackendName
from draw.config.data import Augment
from draw.config.model import Attention, Condition, Likelihood, Prior, Window


def own_parts() -> ConstructorRegistry:
    """Make the registry by which tyro takes every name of a table, not those of the Literal alone.

    The Literal of a config lists what comes with the package; a script that adds a part of its own
    to the table, and then runs the command line, may name it.
    """
    from draw.attention import ATTENTIONS, SAMPLERS
    from draw.data.views.augmentation import AUGMENTATIONS
    from draw.kernels import BACKENDS
    from draw.parts.conditions import CONDITIONS
    from draw.parts.likelihood import LIKELIHOODS
    from draw.parts.priors import PRIORS

    tables: list[tuple[Any, Mapping[str, Any]]] = [
        (Window, SAMPLERS), (Attention, {**SAMPLERS, **ATTENTIONS}), (Prior, PRIORS),
        (Condition, CONDITIONS), (Likelihood, LIKELIHOODS), (Augment, AUGMENTATIONS),
        (BackendName, BACKENDS),
    ]  # fmt: skip
    more = {}
    for hint, table in tables:
        listed: tuple[str, ...] = get_args(get_args(hint)[0])
        if own := [name for name in table if name not in listed]:
            more[listed] = (*listed, *own)
    registry = ConstructorRegistry()

    @registry.primitive_rule
    def names(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[str] | None:
        choices = more.get(get_args(info.type))
        if choices is None:
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar=f"{{{','.join(choices)}}}",
            instance_from_str=lambda given: given[0],
            is_instance=lambda value: value in choices,
            str_from_instance=lambda value: [value],
            choices=choices,
        )

    return registry
