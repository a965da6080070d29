"""Apple's GPU, as far as a CPU knows it: no float64, and no operator that torch has not for it."""

import itertools
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest
import torch
import torchgen
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torchgen.gen import parse_native_yaml
from torchgen.model import DispatchKey

from draw.attention import ATTENTIONS
from draw.config.model import ClassifierConfig, ConvnetConfig, DRAWConfig
from draw.model.classifier import Classifier
from draw.model.convnet import Convnet
from draw.model.draw import DRAW
from draw.parts.conditions import CONDITIONS
from draw.parts.likelihood import LIKELIHOODS
from draw.parts.priors import PRIORS
from running import on

SIZES = {"rows": 6, "columns": 5, "glimpses": 2, "hidden_size": 8, "read_size": 2}
TABLES = ATTENTIONS, PRIORS, CONDITIONS, LIKELIHOODS


class Operators(TorchDispatchMode):
    """Writes down every operator that runs, with the types of its tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.types: dict[str, set[torch.dtype]] = defaultdict(set)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        tensors = tree_leaves((args, kwargs, result))
        self.types[function.name()] |= {t.dtype for t in tensors if isinstance(t, Tensor)}
        return result


@cache
def without_a_kernel() -> frozenset[str]:
    """The operators that torch computes on no Apple GPU, by its own table."""
    folder = Path(torchgen.__file__).parent / "packaged/ATen/native"
    table = parse_native_yaml(str(folder / "native_functions.yaml"), str(folder / "tags.yaml"))
    index = table.backend_indices[DispatchKey.MPS]
    functions = {str(one.func.name): one for one in table.native_functions}

    def has_one(name: str) -> bool:
        function = functions[name]
        above = function.structured_delegate
        found = function.has_composite_kernel or index.has_kernel(function)
        return found or (above is not None and has_one(str(above)))

    return frozenset(f"aten::{name}" for name in functions if not has_one(name))


def learn(model: nn.Module, loss: Tensor) -> None:
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    torch.optim.AdamW(model.parameters(), fused=True).step()


def draw(attention: str, prior: str, condition: str, likelihood: str) -> None:
    """Everything that a model that draws can do."""
    config = DRAWConfig(
        **SIZES, latent_size=3, write_size=2, classes=3, attention=attention, prior=prior,
        condition=condition, likelihood=likelihood,
    )  # fmt: skip
    model = on("reference", DRAW(config))
    images, labels = (255 * torch.rand(2, 1, 6, 5)).round() / 255, model.labels_for(2)
    learn(model, model(images, labels=labels).bound.mean())
    model.reconstruct(images, labels=labels)
    model.codes(images, labels=labels)
    model.generate(2)


def answer(model: nn.Module) -> None:
    """Everything that a model that answers can do."""
    images, labels = torch.rand(2, *model.config.image_shape), torch.tensor([0, 1])
    learn(model, nn.functional.cross_entropy(model(images).logits, labels))


NEW_THERE = {"aten::grid_sampler_2d_backward"} if torch.__version__ < "2.13" else set()
"""Operators of parts.md's table that Apple's GPUs have in torch 2.13 and do not have in 2.11."""


def check(operators: Operators) -> None:
    assert {name for name, types in operators.types.items() if torch.float64 in types} == set()
    assert operators.types.keys() & without_a_kernel() <= NEW_THERE
    assert len(operators.types) > 20


@pytest.mark.parametrize("parts", list(itertools.product(*TABLES)), ids=" ".join)
def test_drawing(parts: tuple[str, ...]) -> None:
    with Operators() as operators:
        draw(*parts)
    check(operators)


def test_answering() -> None:
    looks = ClassifierConfig(**SIZES, classes=3, window_clip=1.0)
    sees = ConvnetConfig(
        rows=9, columns=9, filters=2, filter_size=4, stride=2, hidden_size=8, classes=3
    )
    with Operators() as operators:
        answer(on("reference", Classifier(looks)))
        answer(Convnet(sees))
    check(operators)


def test_what_it_has_not_would_be_found() -> None:
    with Operators() as operators:
        torch.linalg.eig(torch.eye(2, dtype=torch.float64))
    assert operators.types.keys() & without_a_kernel()
    assert torch.float64 in operators.types["aten::linalg_eig"]
