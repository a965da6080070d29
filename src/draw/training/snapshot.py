"""What a checkpoint holds of a trainer, and the way back to it."""

from typing import TYPE_CHECKING, Any

from torch import Tensor

from draw.errors import DrawError
from draw.model.checks import check_weights
from draw.runs.checkpoint import COUNTERS, LATER, add_prefix, check_state, without_prefix
from draw.training.moments import moments_of, named_moments

if TYPE_CHECKING:
    from draw.training.trainer import Trainer


def snapshot_of(trainer: "Trainer") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights, their average and the moments of a trainer, by name; and its counters.

    Args:
        trainer: trainer of the run.
    """
    optimizer = trainer.optimizer.state_dict()["state"]
    tensors = {
        **add_prefix("model", trainer.bare_model.state_dict()),
        **add_prefix("average", trainer.average.module.state_dict()),
        **add_prefix("optimizer", named_moments(optimizer)),
    }
    state = {
        "step": trainer.step,
        "seconds": trainer.seconds,
        "best": trainer.selection.best,
        "sums": trainer.sums,
        "averaged": trainer.average.count,
        "stale": trainer.selection.stale,
        "images": trainer.training.fingerprint,
        "noise": trainer.stream,
    }
    return tensors, state


def go_back(trainer: "Trainer", tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Make a trainer what it was when `snapshot_of` made a checkpoint of it.

    Args:
        trainer: trainer of the same run.
        tensors: tensors of the checkpoint.
        state: counters of the checkpoint.

    Raises:
        DrawError: if weights or moments do not fit the config or are not finite, or the images are
            other ones.
    """
    check_state("the checkpoint", state, *(COUNTERS.keys() - LATER))
    if state["images"] != trainer.training.fingerprint:
        raise DrawError(
            f"the training images are not those that {trainer.run} was trained on (fingerprint "
            f"{trainer.training.fingerprint[:12]}, expected {state['images'][:12]}); pass their "
            "folder with --data.path"
        )
    moments = moments_of(
        without_prefix("optimizer", tensors),
        list(trainer.bare_model.named_parameters()),
        state["step"],
    )
    try:
        trainer.bare_model.load_state_dict(without_prefix("model", tensors))
        trainer.average.module.load_state_dict(without_prefix("average", tensors))
    except RuntimeError as error:
        raise DrawError(f"the checkpoint does not fit the config: {error}") from error
    check_weights(tensors.items(), f"the checkpoint of {trainer.run}")
    groups = trainer.optimizer.state_dict()["param_groups"]
    trainer.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    trainer.average.count = state["averaged"]
    trainer.stream = state.get("noise", "numpy")  # before there were two, it was NumPy's
    trainer.step = trainer.good = state["step"]
    trainer.seconds, trainer.sums = state["seconds"], state["sums"]
    trainer.selection.best, trainer.selection.stale = state["best"], state.get("stale", 0)
