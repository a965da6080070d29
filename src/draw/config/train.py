"""Config of the training of a model."""

from dataclasses import dataclass
from typing import Annotated, Literal

from draw.config.model import Steps
from draw.fields import Count, Limits, Natural, Positive, Seed, check_fields, refuse


@dataclass(frozen=True)
class TrainConfig:
    """Config of the training. The paper gives only Adam: every number here is ours."""

    steps: Steps = 10_000
    """Updates of the weights; train.minutes decides another number."""
    minutes: Positive | None = None
    """Minutes of training to fill: a few steps are timed at the start, and what fits becomes
    train.steps, so that the learning rate falls to its end as they are over. The warm-up takes
    a tenth of them at most; evaluations are twenty at least. At evaluations the steps are decided
    anew where the pace has changed, and the run's file has the last number. Test and pictures
    come after."""
    patience: Count | None = None
    """Evaluations in a row without a better score on validation images, after which training ends
    before train.steps; by default it never does."""
    batch_size: Count = 128
    """Images per update, over all processes together."""
    learning_rate: Positive = 1e-3
    """Adam's learning rate after the warm-up."""
    warmup_steps: Natural = 500
    """Steps over which the learning rate rises from 0."""
    final_learning_rate: Annotated[float, Limits(least=0)] = 0.0
    """Learning rate to which it falls along half a cosine: that of one more step than there are."""
    window_share: Positive = 1.0
    """Fraction of the learning rate for the affine maps that make window parameters (eq 21). Their
    gradient is the noisiest: in a long run a fifth lowered the training bound at once."""
    clip_norm: Positive = 5.0
    """Longest gradient (L2 norm over all parameters); longer ones are scaled to it."""
    weight_decay: Annotated[float, Limits(least=0)] = 0.0
    """Fraction of each weight taken away per update, times the learning rate (AdamW's decoupled
    weight decay, against overfitting); biases and starting states are left alone."""
    ema_decay: Annotated[float, Limits(least=0, below=1)] = 0.999
    """Decay of the running average of the weights, which is evaluated and exported."""
    seed: Seed = 0
    """Decides the initial weights, the order of the images and all noise."""
    start_from: str | None = None
    """A model whose weights to start from: run folder, exported folder, a name from draw models, or
    owner/name on the Hub. The number of glimpses may differ, other sizes may not."""
    decoder_dropout: Annotated[float, Limits(least=0, below=1)] = 0.0
    """Fraction of the decoder's units that are left out in training, of each image the same at all
    steps (variational dropout, against overfitting)."""
    only: Literal["all", "encoder"] = "all"
    """Part of a model that draws to train: all of it, or its encoder alone, with the decoder as
    train.start_from left it."""
    evaluate_every: Count = 1000
    """Steps between evaluations on validation images, each with a grid of samples."""
    evaluate_images: Count | None = None
    """Validation images for each of these evaluations, evenly from all; by default all."""
    log_every: Count = 20
    """Steps between lines of metrics.jsonl; each is the mean over the steps since the last."""
    checkpoint_minutes: Positive = 2.0
    """Minutes between checkpoints: the most that a crash can cost."""
    keep_checkpoints: Count = 2
    """Checkpoints kept for resuming; the best weights are kept besides."""

    def __post_init__(self) -> None:
        check_fields("train.", self)
        if self.final_learning_rate > self.learning_rate:
            refuse(
                "train.final_learning_rate",
                f"at most train.learning_rate ({self.learning_rate})",
                self.final_learning_rate,
            )
        if self.only == "encoder" and self.start_from is None:
            refuse(
                "train.start_from",
                "a model with train.only encoder, since its decoder is not trained",
                self.start_from,
            )
