"""The end of a run's training: its last step, or patience that is out; and what is left to do."""

from pathlib import Path

from draw.config.run import Config
from draw.config.train import TrainConfig
from draw.models.kinds import task_for
from draw.runs.checkpoint import METRICS_FILE, checkpoints, load_checkpoint
from draw.runs.metrics import scan_metrics


def is_at_end(config: TrainConfig, step: int, stale: int) -> bool:
    """Whether training has no step left to make.

    Args:
        config: config of the training.
        step: steps that were made.
        stale: evaluations since the best.
    """
    return step >= config.steps or is_out_of_patience(config, stale)


def is_out_of_patience(config: TrainConfig, stale: int) -> bool:
    """Whether so many evaluations since the best end a training (train.patience).

    Args:
        config: config of the training.
        stale: evaluations since the best.
    """
    return config.patience is not None and stale >= config.patience


def is_complete(config: Config, run: Path) -> bool:
    """Whether the training of a run is at its end, and its test and its pictures are made."""
    if not checkpoints(run):
        return False
    if last_step(run) >= config.train.steps:
        return not lacks_results(config, run, config.train.steps)
    if config.train.patience is None:
        return False
    state = load_checkpoint(run)[1]
    step, stale = state["step"], state.get("stale", 0)
    return is_at_end(config.train, step, stale) and not lacks_results(config, run, step)


def last_step(run: Path) -> int:
    """The step of the newest checkpoint of a run, which has one."""
    return int(checkpoints(run)[-1].stem.removeprefix("step-"))


def lacks_results(config: Config, run: Path, last: int) -> bool:
    """Whether a run lacks its test, or pictures of it.

    Args:
        config: config of the run.
        run: the run folder.
        last: the run's last step.
    """
    tested = any(
        line["kind"] == "test" and line["step"] >= last
        for line in scan_metrics(run / METRICS_FILE).lines
    )
    return not tested or not all((run / name).is_file() for name in task_for(config).picture_names)


def way_on(config: TrainConfig, step: int) -> str:
    """Say how a training came to its end, and what makes it go on.

    Args:
        config: config of the training.
        step: the last step.
    """
    steps, patience = config.steps, config.patience or 0
    if step >= steps:
        return f"has all of its {steps} steps; for more, pass --train.steps {2 * max(step, steps)}"
    return (
        f"ended at step {step} of {steps}, after {patience} evaluations without a better one "
        f"(train.patience); to go on, pass --train.patience {2 * patience}"
    )
