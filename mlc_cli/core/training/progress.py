"""What a training tells about itself while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mlc_cli.core.training.state import Best

Phase = Literal["download", "warm start", "train", "validate"]


@dataclass(frozen=True)
class Tick:
    """How far a phase is.

    Attributes:
        phase: What is being done.
        epoch: Counted from 1; 0 is before the first.
        done: Batches done; megabytes of a download.
        total: Batches, or megabytes, in total.
        loss: Mean loss of the epoch so far, where known.
        best_mean_ap: Best validation mAP so far, where there is one.
    """

    phase: Phase
    epoch: int
    done: int
    total: int
    loss: float | None = None
    best_mean_ap: float | None = None


OnTick = Callable[[Tick], None]


@dataclass(frozen=True)
class Validation:
    """An evaluation on the validation split.

    Attributes:
        map_raw: mAP of the raw weights.
        map_ema: mAP of the moving average, if there is one.
        improved: Whether the better of both is the best so far.
    """

    map_raw: float
    map_ema: float | None
    improved: bool


@dataclass(frozen=True)
class EpochReport:
    """What an epoch came to.

    Attributes:
        epoch: Epochs done; 0 for the warm start, or for starting weights as they are.
        epochs: Epochs planned.
        loss: Mean training loss; `None` before the first epoch.
        lr: Learning rate of the last step; `None` for starting weights as they are.
        validation: Evaluation, where one was due.
        best: The best evaluation so far.
        stopped: Whether early stopping ends the training here.
        images_per_second: Training images over the time of their steps.
        seconds: Time of the epoch, evaluation included.
        unreadable: Images that could not be read so far.
    """

    epoch: int
    epochs: int
    loss: float | None
    lr: float | None
    validation: Validation | None
    best: Best
    stopped: bool
    images_per_second: float
    seconds: float
    unreadable: int
