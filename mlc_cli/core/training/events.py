"""What a training says of itself while it runs."""

from dataclasses import dataclass

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.evaluation.results import Evaluation
from mlc_cli.core.models.complexity import Complexity
from mlc_cli.core.models.heads.graph import LabelGraph
from mlc_cli.core.models.weights.backbone import LoadReport
from mlc_cli.core.runs.folder import RunFolder
from mlc_cli.core.training.progress import EpochReport
from mlc_cli.core.training.state import Best


@dataclass(frozen=True)
class Started:
    """A training is about to take its first step.

    Attributes:
        run: Its folder.
        device: Where it runs, and in which precision.
        train: Training split.
        drawn: Images of an epoch, those that come again counted again.
        val: Validation split.
        backbone: timm's name.
        head: Name of the head.
        size: Complexity of the model.
        graph: Of the labels, if the head has one.
        weights: What became of a file of starting weights, if there was one.
        warnings: What the user should know about the data.
        epoch: Epochs already done, if it is continued.
        epochs: Epochs planned.
    """

    run: RunFolder
    device: str
    train: Annotation
    drawn: int
    val: Annotation
    backbone: str
    head: str
    size: Complexity
    graph: LabelGraph | None
    weights: LoadReport | None
    warnings: tuple[str, ...]
    epoch: int
    epochs: int


@dataclass(frozen=True)
class Finished:
    """A training is done and its best checkpoint evaluated.

    Attributes:
        run: Its folder.
        best: The best epoch.
        evaluation: Of the best checkpoint on the validation split.
        seconds: From the first step to the end.
    """

    run: RunFolder
    best: Best
    evaluation: Evaluation
    seconds: float

    def _repr_html_(self) -> str:
        """In a notebook: what is known of each class on the validation split."""
        return self.evaluation._repr_html_()


Event = Started | EpochReport | Finished
