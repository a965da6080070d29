"""Models as the page carries them: 16-bit weights and the options that its JavaScript knows."""

import json
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from draw.config.model import to_file
from draw.errors import DrawError
from draw.model.draw import DRAW
from draw.model.pretrained import shipped_models
from draw.models.storage import LoadedModel, load_model

ENCODES = {
    "mnist": True,
    "mnist-class": False,
    "mnist-no-attention": False,
    "two-digits": False,
    "cluttered": False,
}
"""Models that the page can show, in its order, and whether it looks at images with their encoder;
of those that only draw, the encoder is left out."""


@dataclass(frozen=True)
class PortableModel:
    """A model for the page."""

    name: str
    config: dict[str, Any]
    """The fields of its config.json."""
    tensors: dict[str, Tensor]
    """Weights in 16 bits, by name."""

    @property
    def weights(self) -> bytes:
        """The weights as a safetensors file, which has the fields of config.json too."""
        return save(self.tensors, {"config": json.dumps(self.config)})


def page_models() -> tuple[str, ...]:
    """Names of the models for the page that come with the package."""
    return tuple(name for name in ENCODES if name in shipped_models())


def portable(name: str, *, encodes: bool = True) -> PortableModel:
    """Prepare a model for the page.

    Args:
        name: run folder, exported folder, a name from draw models, or owner/name on the Hub.
        encodes: whether to keep the weights of the encoder.

    Raises:
        DrawError: if there is no such model, or the page's JavaScript does not know an option.
    """
    return carry(name, load_model(name), encodes=encodes)


def carry(name: str, loaded: LoadedModel, *, encodes: bool = True) -> PortableModel:
    """Prepare a model that is loaded already; see `portable`."""
    config = to_file(loaded.model.config)
    _check_options(name, loaded, config)
    weights = loaded.model.state_dict()
    if not encodes:
        weights = {key: value for key, value in weights.items() if not key.startswith(DRAW.encoder)}
    halves = {key: value.to(torch.float16).contiguous() for key, value in weights.items()}
    return PortableModel(name, config, halves)


OPTIONS: dict[str, tuple[Any, ...]] = {
    "kind": ("draw", "classifier"),
    "channels": (1,),
    "attention": ("gaussian", "rotated", "none"),
    "prior": ("standard",),
    "condition": ("none", "class"),
    "likelihood": ("bernoulli",),
    "read_heads": (1,),
    "write_heads": (1,),
}
"""Values of the options that the page's JavaScript knows; its equations take colours too, its
pictures are grey."""


def _check_options(name: str, loaded: LoadedModel, config: dict[str, Any]) -> None:
    for field, values in OPTIONS.items():
        if field in config and config[field] not in values:
            raise DrawError(
                f"expected a model whose {field} is {' or '.join(map(str, values))} for the page, "
                f"got {config[field]} of {name}; its JavaScript knows no other"
            )
    if type(loaded.model).__module__.partition(".")[0] != "draw":
        raise DrawError(
            f"expected a model of draw's own classes for the page, got "
            f"{type(loaded.model).__qualname__} of {name}; its JavaScript knows no other equations"
        )
