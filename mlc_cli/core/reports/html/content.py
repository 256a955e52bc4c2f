"""What a report is made from, and how single values are written."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlc_cli.core.diagnostics.bootstrap import Interval
from mlc_cli.core.diagnostics.diagnosis import Chosen, Diagnosis
from mlc_cli.core.metrics import DecisionMetrics, Floats, ratio
from mlc_cli.core.reports.evaluation import Evaluation
from mlc_cli.core.reports.page import text
from mlc_cli.core.reports.scores import SavedScores

LONGEST_NAME = 80


@dataclass(frozen=True)
class Picture:
    """An image for the page.

    Attributes:
        uri: The image as a data URI; empty if it cannot be read.
        reason: Why it cannot be read.
    """

    uri: str = ""
    reason: str = ""


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


def name(words: str) -> str:
    """HTML of a name that somebody gave; blank ones are shown as such, long ones shortened."""
    if len(words) > LONGEST_NAME:
        short = f"{words[:LONGEST_NAME]}…"
        return f'<span class="name" title="{text(words)}">{text(short)}</span>'
    return f'<span class="name">{text(words) if words.strip() else "(blank)"}</span>'


def value(number: float, digits: int = 3) -> str:
    """A number for people; a dash where it is undefined."""
    return f"{number:.{digits}f}" if math.isfinite(number) else "–"


def probability(number: float) -> str:
    """A probability for people, never rounded to a certainty that it is not."""
    if 0 < number < 0.001:
        return "&lt; 0.001"
    if 0.999 < number < 1:
        return "&gt; 0.999"
    return f"{number:.3f}"


def span(interval: Interval, digits: int = 3) -> str:
    """An interval for people, empty where it is undefined."""
    if not math.isfinite(interval.low):
        return ""
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
