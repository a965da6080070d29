"""Models with every parameter wrong in every way, one line of output each; see operator_calls.py.

    python tests/model_calls.py

A model either raises a Python exception or computes what it does with the reference.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from draw import DRAW, Classifier
from operator_calls import ABSENT, BATCH, CLASSIFIER, EDITS, SMALL

Made = TypeVar("Made", DRAW, Classifier)


def drawing(model: DRAW) -> list[Tensor]:
    """What a DRAW computes: bound, gradients, and both kinds of drawings."""
    config = model.config
    images = torch.linspace(0, 1, BATCH * 20).double().view(BATCH, *config.image_shape)
    noise = torch.linspace(-1, 1, BATCH * 21).double().view(3, BATCH, 7)
    bound = model(images, noise).bound
    drawn = model.reconstruct(images, noise).canvases, model.generate(BATCH, noise=noise).canvases
    return [bound.detach(), *drawn, *gradients(model, bound)]


def classifying(model: Classifier) -> list[Tensor]:
    """What a classifier computes: answers and gradients."""
    images = torch.linspace(0, 1, BATCH * 20).double().view(BATCH, *model.config.image_shape)
    answers = model(images).logits_by_glimpse
    return [answers.detach(), *gradients(model, answers)]


def gradients(model: nn.Module, outputs: Tensor) -> list[Tensor]:
    wanted = [p for p in model.parameters() if p.requires_grad]
    return list(torch.autograd.grad(outputs.sum(), wanted, materialize_grads=True))


def changed(model: Made) -> Iterator[tuple[str, Made]]:
    """Copies of a model, each with one parameter replaced."""
    for name, value in model.named_parameters():
        for way, edit in EDITS.items():
            other = edit(value.detach())
            of_torch = name.startswith("logits.") and "freed" in way  # it reads what is not there
            if of_torch or other is ABSENT or not isinstance(other, Tensor | None):
                continue
            model_with = copy.deepcopy(model)
            path, _, last = name.rpartition(".")
            part = model_with.get_submodule(path)
            if isinstance(other, Tensor):
                wants = other.is_floating_point() or other.is_complex()
                other = nn.Parameter(other, requires_grad=wants)
            part.register_parameter(last, other)
            yield f"{name}: {way}", model_with


def outcome(work: Callable[[Made], list[Tensor]], model: Made, freed: bool) -> str:
    """'raises ...' or 'agrees'; anything else is a fault."""
    try:
        found = work(model)
    except Exception as error:
        return f"raises {type(error).__name__}"
    if freed:
        return "computes with memory that is not there"
    model.backend = "reference"
    try:
        expected = work(model)
    except Exception as error:
        return f"computes what the reference refuses: {error}"
    try:
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    except AssertionError as error:
        return f"differs: {' '.join(str(error).split())}"
    return "agrees"


def tell(kind: str, model: Made, work: Callable[[Made], list[Tensor]]) -> None:
    """A line for each change of a model."""
    for change, other in changed(model.double()):
        print(f"{kind}, {change}", end=": ", flush=True)
        print(outcome(work, other, "freed" in change))


def main() -> None:
    torch.manual_seed(0)
    torch.set_printoptions(threshold=1, edgeitems=1)  # type: ignore[no-untyped-call]
    tell("gaussian", DRAW(SMALL), drawing)
    tell("none", DRAW(replace(SMALL, attention="none")), drawing)
    tell("cauchy", DRAW(replace(SMALL, attention="cauchy")), drawing)
    tell("several windows", DRAW(replace(SMALL, read_heads=2, write_heads=3)), drawing)
    tell("classifier", Classifier(CLASSIFIER), classifying)
    print("done")


if __name__ == "__main__":
    main()
