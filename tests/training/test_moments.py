"""Adam's moments: no others than the weights call for reach the optimizer."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from draw.errors import DrawError
from draw.runs.checkpoint import checkpoints, load_tensors, save_tensors
from draw.training.moments import moments_of, named_moments
from draw.training.start import resume, start
from running import TINY, image_set, with_train

TRAINING, VALIDATION = image_set(20), image_set(10, "validation")
CONFIG = with_train(TINY, steps=1, evaluate_every=1)
Named = dict[str, Tensor]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step."""
    folder = tmp_path_factory.mktemp("moments") / "run"
    start(CONFIG, folder, TRAINING, VALIDATION).fit()
    return folder


def change(name: str, edit: Callable[[Tensor], Tensor]) -> Callable[[Named], None]:
    def apply(named: Named) -> None:
        named[name] = edit(named[name])

    return apply


def rename(name: str, other: str) -> Callable[[Named], None]:
    def apply(named: Named) -> None:
        named[other] = named.pop(name)

    return apply


WEIGHT = 9
"""Number of a matrix among the parameters."""
HARM: dict[str, Callable[[Named], object]] = {
    **{
        f"{WEIGHT}.{moment} {way}": change(f"optimizer.{WEIGHT}.{moment}", edit)
        for moment in ("step", "exp_avg", "exp_avg_sq")
        for way, edit in {
            "empty": lambda t: t.new_empty(0),
            "too large": lambda t: t.new_zeros(100, 100),
            "with one more dimension": lambda t: t[None].clone(),
            "in double": lambda t: t.double(),
            "in half": lambda t: t.half(),
            "of whole numbers": lambda t: t.long(),
        }.items()
    },
    **{
        f"{WEIGHT}.{moment} {way}": change(f"optimizer.{WEIGHT}.{moment}", edit)
        for moment in ("exp_avg", "exp_avg_sq")
        for way, edit in {
            "short": lambda t: t[:-1].clone(),
            "flat": lambda t: t.flatten(),
            "turned": lambda t: t.T.contiguous(),
        }.items()
    },
    **{
        f"{name} renamed to {other}": rename(f"optimizer.{name}", f"optimizer.{other}")
        for name, other in (
            ("0.exp_avg", "0.exp_average"), ("0.exp_avg", "exp_avg"), ("0.exp_avg", "x.exp_avg"),
            ("0.exp_avg", "00.exp_avg"), ("0.step", "999.step"), ("0.exp_avg", "-1.exp_avg"),
            ("0.exp_avg", "0.exp_avg.more"), ("0.exp_avg", "0"),
        )
    },
    "one left out": lambda named: named.pop("optimizer.0.exp_avg_sq"),
    "one too many": lambda named: named.update({"optimizer.0.max_exp_avg_sq": torch.zeros(3)}),
    "none": lambda named: [named.pop(n) for n in list(named) if n.startswith("optimizer.")],
}  # fmt: skip


@pytest.mark.parametrize("way", HARM)
def test_moments_that_do_not_fit_are_refused(way: str, run: Path, tmp_path: Path) -> None:
    tensors, state = load_tensors(checkpoints(run)[-1])
    HARM[way](tensors)
    path = tmp_path / "changed.safetensors"
    save_tensors(path, tensors, state)
    trainer = resume_from(run)
    before = {name: value.clone() for name, value in trainer.bare_model.state_dict().items()}
    with pytest.raises(DrawError, match=r"the checkpoint (does not fit|is of step 1, but has no)"):
        trainer.restore(*load_tensors(path))
    for name, value in trainer.bare_model.state_dict().items():
        assert torch.equal(value, before[name]), "nothing is loaded by halves"


def resume_from(run: Path):
    return resume(CONFIG, run, TRAINING, VALIDATION)


def test_moments_come_back_by_their_names() -> None:
    weights = [("a", torch.ones(2, 3)), ("unused", torch.ones(4)), ("b", torch.ones(()))]
    state = {
        index: {"step": torch.tensor(3.0), "exp_avg": w + 1, "exp_avg_sq": w + 2}
        for index, (_, w) in enumerate(weights)
        if index != 1
    }
    assert moments_of(named_moments(state), weights, 3) == state
    assert moments_of({}, weights, 0) == {}
