"""What is compared: the paper's model, one change of it at a time, and the sets of images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from benchmarks.ways import model_of
from draw.config.presets import chars74k, digits, mnist_small, two_digits
from draw.config.run import Config

BATCH = 64
RATE = 2e-3
"""Learning rate, after WARM_UP steps."""
WARM_UP = 100
TINY: dict[str, Any] = {
    "glimpses": 2,
    "hidden_size": 8,
    "latent_size": 3,
    "read_size": 2,
    "write_size": 2,
}
"""Sizes of --quick."""
VALIDATION = 250
"""Images of the curves that a run keeps of its own."""
SetName = Literal["mnist", "two-digits", "letters", "digits"]


@dataclass(frozen=True)
class Change:
    """One change of the paper's model, or of how it is trained."""

    words: str
    model: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    labels: bool = False
    """Whether the images need labels."""


PAPER = "paper"
CHANGES: dict[str, Change] = {
    PAPER: Change("none: the paper's model"),
    "prior": Change("prior learned from the drawing so far", {"prior": "learned"}),
    "none": Change("no attention: the whole image at every step", {"attention": "none"}),
    "weight-decay": Change("weight decay 0.01", train={"weight_decay": 0.01}),
    "class": Change(
        "told the class: nats of -log p(x given it)", {"condition": "class"}, labels=True
    ),
    "known": Change("told random parts of the images; nats of none known", {"condition": "known"}),
    "cauchy": Change("Cauchy filters", {"attention": "cauchy"}),
    "laplace": Change("Laplace filters", {"attention": "laplace"}),
    "write-heads": Change("two write windows a step", {"write_heads": 2}),
    "read-heads": Change("two read windows a step", {"read_heads": 2}),
    "dropout": Change("decoder dropout 0.1", train={"decoder_dropout": 0.1}),
    "rotated": Change("windows that turn", {"attention": "rotated"}),
    "lattice": Change("filters at learned places", {"attention": "lattice"}),
    "affine": Change("windows of any affine form, bilinear", {"attention": "affine"}),
}
"""The changes in the order in which they are trained: what a compiled kernel takes comes first, so
that a table that is not complete yet has the most lines."""

SETS: dict[SetName, Callable[[], Config]] = {
    "mnist": mnist_small,
    "two-digits": two_digits,
    "letters": chars74k,
    "digits": digits,
}
"""The preset whose sizes and images a set takes; digits are those of --quick."""
TITLES: dict[SetName, str] = {
    "mnist": "MNIST, dynamically binarized",
    "two-digits": "two digits",
    "letters": "letters in colour",
    "digits": "scikit-learn's digits",
}
LABELLED: frozenset[SetName] = frozenset(("mnist", "digits"))
"""Sets whose images have one label each."""


def changes_for(name: SetName, only: tuple[str, ...] = ()) -> dict[str, Change]:
    """Changes that a set can be trained with: the paper's model first, then those asked for.

    Raises:
        SystemExit: if there is no such change.
    """
    unknown = set(only) - set(CHANGES)
    if unknown:
        raise SystemExit(f"expected changes of {', '.join(CHANGES)}, got {', '.join(unknown)}")
    asked = dict.fromkeys((PAPER, *(only or CHANGES)))
    return {key: CHANGES[key] for key in asked if not CHANGES[key].labels or name in LABELLED}


def config_of(name: SetName, change: Change, seed: int, images: int, *, quick: bool) -> Config:
    """A run with a change, for whatever number of steps: its learning rate stays what it is.

    The averaged weights, whose memory is a tenth of the run so far, are then as good as a run of
    that length makes them at any step, which a rate that falls to the end would not give.

    Args:
        name: The set.
        change: What is changed.
        seed: Of the run.
        images: Training images of the paper's model, in which its progress is measured five times.
        quick: Whether to make the model as small as can be.
    """
    preset = SETS[name]()
    model = replace(model_of(preset), **(TINY if quick else {}), **change.model)
    train = replace(
        preset.train,
        batch_size=BATCH,
        learning_rate=RATE,
        final_learning_rate=RATE,
        warmup_steps=WARM_UP,
        seed=seed,
        evaluate_every=max(1, images // BATCH // 5),
        evaluate_images=20 if quick else VALIDATION,
        keep_checkpoints=1,
    )
    return replace(preset, model=model, train=replace(train, **change.train))
