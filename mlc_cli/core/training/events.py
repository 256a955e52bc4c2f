"""What a training says of itself while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlc_cli.core.evaluation.results import Evaluation
from mlc_cli.core.models.complexity import Complexity
from mlc_cli.core.runs.folder import RunFolder
from mlc_cli.core.training.state import Best

if TYPE_CHECKING:
    from mlc_cli.core.training.build import Training

Phase = Literal["download", "warm start", "train", "validate"]


@dataclass(frozen=True)
class Tick:
    """How far a phase is.

    Attributes:
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

    @property
    def reached(self) -> float:
        """The better of both."""
        return max(self.map_raw, self.map_ema or 0.0)


@dataclass(frozen=True)
class EpochReport:
    """What an epoch came to.

    Attributes:
        epoch: Epochs done; 0 for the warm start, or for starting weights as they are.
        loss: Mean training loss; `None` before the first epoch.
        lr: Learning rate of the last step; `None` for starting weights as they are.
        stopped: Whether early stopping ends the training here.
        images_per_second: Training images over the time of their steps.
        seconds: Time of the epoch, evaluation included.
        unreadable: Images that could not be read so far.
    """

    epoch: int
    epochs: int
    lr: float | None
    validation: Validation | None
    best: Best
    seconds: float
    unreadable: int
    loss: float | None = None
    stopped: bool = False
    images_per_second: float = 0.0


@dataclass(frozen=True)
class Started:
    """A training is about to take its first step.

    Attributes:
        warnings: What the user should know about the data.
        epoch: Epochs already done, if it is continued.
    """

    run: RunFolder
    training: "Training"
    size: Complexity
    warnings: tuple[str, ...]
    epoch: int


@dataclass(frozen=True)
class Finished:
    """A training is done and its best checkpoint evaluated.

    Attributes:
        seconds: From the first step to the end.
        measured_on: Which images gave the best mAP.
    """

    run: RunFolder
    best: Best
    evaluation: Evaluation
    seconds: float
    measured_on: str = "val"

    def _repr_html_(self) -> str:
        """In a notebook: what is known of each class on the validation split."""
        return self.evaluation._repr_html_()


@dataclass(frozen=True)
class Note:
    """How far a cross-validation is, in words."""

    text: str


Event = Started | EpochReport | Finished | Note
