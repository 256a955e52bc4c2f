"""What a report is made from, and what is worked out for single parts of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mlc_cli.core.evaluation.diagnosis import FITTED, HALF, Chosen, Diagnosis
from mlc_cli.core.evaluation.metrics import DecisionMetrics, Floats, ratio
from mlc_cli.core.evaluation.results import Evaluation
from mlc_cli.core.evaluation.scores import SavedScores
from mlc_cli.core.images.thumbnails import Picture
from mlc_cli.text import some

MATRIX_LABELS = 14


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
    def ways(self) -> dict[str, tuple[str, DecisionMetrics]]:
        """Ways to decide, the last of them in use: words and metrics."""
        ways = {HALF: ("at 0.5", self.evaluation.at_half)}
        if self.evaluation.at_thresholds is not None:
            ways[FITTED] = ("at the thresholds", self.evaluation.at_thresholds)
        return ways

    @property
    def decisions(self) -> DecisionMetrics:
        """At the thresholds, or at 0.5 where there are none."""
        return self.evaluation.at_thresholds or self.evaluation.at_half

    @property
    def thresholds_C(self) -> Floats:
        """Of the classes; 0.5 where none were chosen."""
        chosen = self.evaluation.thresholds_C
        return np.full(len(self.evaluation.classes), 0.5) if chosen is None else chosen

    @cached_property
    def chance_C(self) -> Floats:
        """Share of known images that have each label: the AP and the precision of guessing."""
        known_C = np.count_nonzero(self.scores.targets_NC >= 0, axis=0)
        return ratio(self.evaluation.positives_C, np.maximum(1, known_C))

    @property
    def chance(self) -> float:
        """The mAP of guessing; nan without positives."""
        there_C = self.evaluation.positives_C > 0
        return float(self.chance_C[there_C].mean()) if there_C.any() else math.nan

    @property
    def known(self) -> int:
        """Labels of known state, of all images together."""
        return int(np.count_nonzero(self.scores.targets_NC >= 0))

    def by_ap(self) -> list[int]:
        """Classes from the lowest AP to the highest; those without one last."""
        return np.argsort(self.evaluation.ap_C, kind="stable").tolist()  # type: ignore[no-any-return]

    @property
    def ranked(self) -> list[int]:
        """Classes that have an AP, the weakest first."""
        return [c for c in self.by_ap() if math.isfinite(self.evaluation.ap_C[c])]

    def rare(self, fewest: int) -> list[int]:
        """Those of them with fewer positive images, the weakest first."""
        return [c for c in self.ranked if self.evaluation.positives_C[c] < fewest]

    def confidence(self) -> tuple[float, float]:
        """Mean of the probabilities of 0.5 and more, and how often they are right.

        Both are nan where there are fewer than 50.
        """
        scores_NC, targets_NC = self.scores.probabilities_NC, self.scores.targets_NC
        sure_NC = (scores_NC >= 0.5) & (targets_NC >= 0)
        if np.count_nonzero(sure_NC) < 50:
            return math.nan, math.nan
        said = float(scores_NC[sure_NC].mean(dtype=np.float64))
        return said, float((targets_NC[sure_NC] == 1).mean())

    def labels(self, row: int) -> list[str]:
        """Names of the labels that an image has."""
        present = np.flatnonzero(self.scores.targets_NC[row] == 1)
        return [self.evaluation.classes[c] for c in present]

    def matrix(self) -> tuple[list[str], list[list[tuple[float, object]]]]:
        """Labels that take part in most mixed-up pairs; images by missed and predicted label."""
        joint_CC = self.diagnosis.joint_CC
        involved_C = joint_CC.sum(axis=0) + joint_CC.sum(axis=1)
        ranked = np.argsort(-involved_C, kind="stable")[:MATRIX_LABELS]
        labels = sorted(int(c) for c in ranked if involved_C[c])
        joint_KK = joint_CC[np.ix_(labels, labels)]
        most = max(1, int(joint_KK.max(initial=0)))
        rows = [[(number / most, number or "") for number in row] for row in joint_KK.tolist()]
        return [self.evaluation.classes[c] for c in labels], rows

    def data_facts(self) -> dict[str, str]:
        """About the images, as name and value."""
        evaluation, empty = self.evaluation, self.evaluation.empty_classes
        labels_N = np.count_nonzero(self.scores.targets_NC == 1, axis=1)
        facts = {"Images": f"{evaluation.images:,}", "Labels": f"{len(evaluation.classes):,}"}
        if len(labels_N):
            facts["Labels an image"] = (
                f"{labels_N.mean():.2f} on average, {labels_N.min()} to {labels_N.max()}"
            )
            facts["Images without labels"] = f"{np.count_nonzero(labels_N == 0):,}"
        unknown = f"{evaluation.unknown:,}, left out of every number"
        facts["Labels of unknown state"] = unknown if evaluation.unknown else "none"
        named = f"{len(empty):,}: {some(empty, 20)}"
        facts["Labels on no image"] = named if empty else "none"
        facts["Unreadable images"] = f"{len(evaluation.unreadable):,}"
        return facts
