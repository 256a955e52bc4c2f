"""What a report is made from, and how single values are written."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlc_cli.core.evaluation.bootstrap import Interval
from mlc_cli.core.evaluation.diagnosis import Chosen, Diagnosis
from mlc_cli.core.evaluation.metrics import DecisionMetrics, Floats, ratio
from mlc_cli.core.evaluation.results import Evaluation
from mlc_cli.core.evaluation.scores import SavedScores
from mlc_cli.core.html.words import name
from mlc_cli.core.images.thumbnails import Picture


@dataclass(frozen=True)
class Content:
    """Everything that a report is made from.

    Attributes:
        title: Of the page.
        scores: Of the split.
        evaluation: Its metrics.
        diagnosis: What lies behind them.
        chosen: Images to show.
        pictures: Those images, by row.
        facts: About the run, as name and value.
        history: Lines of `metrics.jsonl`, if there are any.
        epoch: Of the checkpoint.
        warnings: What the reader must know before believing the numbers.
        out_of_fold: Summary of decisions at thresholds that were not chosen on the images in
            question, if it was estimated.
    """

    title: str
    scores: SavedScores
    evaluation: Evaluation
    diagnosis: Diagnosis
    chosen: Chosen
    pictures: Mapping[int, Picture]
    facts: Mapping[str, str]
    history: Sequence[dict[str, Any]] = ()
    epoch: int = 0
    warnings: Sequence[str] = ()
    out_of_fold: Mapping[str, float] = field(default_factory=dict)

    @property
    def decisions(self) -> DecisionMetrics:
        """At the thresholds, or at 0.5 where there are none."""
        return self.evaluation.at_thresholds or self.evaluation.at_half

    @property
    def thresholds_C(self) -> Floats:
        """Of the classes; 0.5 where none were chosen."""
        chosen = self.evaluation.thresholds_C
        return np.full(len(self.evaluation.classes), 0.5) if chosen is None else chosen

    @property
    def at(self) -> str:
        """What decisions are made at, in words."""
        return "at 0.5" if self.evaluation.thresholds_C is None else "at the thresholds"

    @property
    def chance_C(self) -> Floats:
        """Share of known images that have each label: the AP and the precision of guessing."""
        known_C = np.count_nonzero(self.scores.targets_NC >= 0, axis=0)
        return ratio(self.evaluation.positives_C, np.maximum(1, known_C))

    def by_ap(self) -> list[int]:
        """Classes from the lowest AP to the highest; those without one last."""
        return np.argsort(self.evaluation.ap_C, kind="stable").tolist()  # type: ignore[no-any-return]

    def name(self, label: int) -> str:
        """HTML of a class name."""
        return name(self.evaluation.classes[label])


def span(interval: Interval, digits: int = 3) -> str:
    """An interval for people, empty where it is undefined."""
    if not math.isfinite(interval.low):
        return ""
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"
