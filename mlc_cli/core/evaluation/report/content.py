"""What a report is made from, and what is worked out for single parts of it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from markupsafe import Markup

from mlc_cli.core.evaluation.curves import pr_curve, score_shares
from mlc_cli.core.evaluation.diagnosis import FITTED, HALF, Chosen, Diagnosis
from mlc_cli.core.evaluation.metrics import DecisionMetrics, Floats, ratio
from mlc_cli.core.evaluation.report import charts
from mlc_cli.core.evaluation.results import Evaluation
from mlc_cli.core.evaluation.scores import SavedScores
from mlc_cli.core.html.words import gauge, name, span, value
from mlc_cli.core.images.thumbnails import Picture
from mlc_cli.text import some

MATRIX_LABELS = 14
CURVES = {
    "Training loss": ("train/loss",),
    "Validation mAP": ("val/mAP", "val/mAP_ema"),
    "Learning rate": ("train/lr",),
}
Cells = list[str | Markup]


@dataclass(frozen=True)
class Content:
    """Everything that a report is made from.

    Attributes:
        pictures: Images to show, by row.
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

    @cached_property
    def by_ap(self) -> list[int]:
        """Classes from the lowest AP to the highest; those without one last."""
        return np.argsort(self.evaluation.ap_C, kind="stable").tolist()  # type: ignore[no-any-return]

    def confidence(self) -> tuple[float, float]:
        """Mean of the probabilities from 0.5 and how often they are right; nan for less than 50."""
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

    def summary_rows(self, meanings: Mapping[str, tuple[str, str]]) -> Iterator[Cells]:
        """A row for each metric: its title, its values with intervals, and what it says."""
        small = Markup('{}<br><small class="range">{}</small>')
        intervals = self.diagnosis.intervals
        for key, (title, meaning) in meanings.items():
            cells: Cells = [title]
            for way, (_, metrics) in self.ways.items():
                whole = key == "mAP"
                number = self.evaluation.mean_ap if whole else getattr(metrics, key)
                interval = intervals.mean_ap if whole else intervals.decisions[way][key]
                cells.append(small.format(value(number), span(interval)))
            if self.out_of_fold:
                cells.append(value(self.out_of_fold.get(key, math.nan)))
            yield [*cells, meaning]

    def top_rows(self) -> Iterator[Cells]:
        """A row of metrics for each way to decide on at most three labels an image."""
        for way, metrics in self.evaluation.top_3.items():
            numbers = [value(getattr(metrics, key)) for key in charts.SUMMARY]
            yield [f"top 3, {way.replace('_', ' ')}", *numbers]

    def class_rows(self) -> Iterator[Cells]:
        """A row of metrics for each class, the weakest first."""
        evaluation, decisions = self.evaluation, self.decisions
        link = Markup('<a href="#chart-{}">{}</a>')
        for rank, c in enumerate(self.by_ap):
            title, ap = name(evaluation.classes[c]), evaluation.ap_C[c]
            numbers = [
                array_C[c]
                for array_C in (
                    decisions.precision_C, decisions.recall_C, decisions.f1_C, evaluation.auroc_C,
                    evaluation.ap_11_C, self.diagnosis.reliability.ece_C,
                )
            ]  # fmt: skip
            yield [
                link.format(c, title) if rank < charts.MOST_CHARTS else title,
                gauge(value(ap), ap),
                span(self.diagnosis.intervals.ap_C[c], 2) or "–",
                *map(value, numbers),
                f"{evaluation.positives_C[c]:,}",
                value(self.thresholds_C[c]),
            ]

    def pair_rows(self) -> Iterator[Cells]:
        """A row for each pair of labels that are taken for each other."""
        for pair in self.diagnosis.pairs:
            names = (name(self.evaluation.classes[c]) for c in (pair.missed, pair.extra))
            yield [*names, f"{pair.count:,} of {pair.missed_total:,}", value(pair.expected, 1)]

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

    def charts_of(self, c: int) -> list[Markup]:
        """Precision over recall of a class, if it has positives, and its scores."""
        scores_N, targets_N = self.scores.probabilities_NC[:, c], self.scores.targets_NC[:, c]
        title, drawn = self.evaluation.classes[c], []
        if self.evaluation.positives_C[c]:
            curve = pr_curve(scores_N, targets_N, points=60)
            at = float(self.decisions.precision_C[c]), float(self.decisions.recall_C[c])
            drawn = [charts.pr_chart(title, curve, *at, float(self.chance_C[c]))]
        shares = score_shares(scores_N, targets_N, bins=20)
        return [*drawn, charts.histogram(title, *shares, float(self.thresholds_C[c]))]

    def learning_charts(self) -> dict[str, Markup]:
        """How the training went, by what is drawn; empty without a record of it."""
        drawn = {
            title: charts.learning_chart(title, self.history, keys, self.epoch)
            for title, keys in CURVES.items()
        }
        return {title: chart for title, chart in drawn.items() if chart}

    def all_facts(self) -> dict[str, str]:
        """About the run and the images, as name and value."""
        evaluation, empty = self.evaluation, self.evaluation.empty_classes
        labels_N = np.count_nonzero(self.scores.targets_NC == 1, axis=1)
        facts = {"Images": f"{evaluation.images:,}", "Labels": f"{len(evaluation.classes):,}"}
        if len(labels_N):
            low, high = labels_N.min(), labels_N.max()
            facts["Labels an image"] = f"{labels_N.mean():.2f} on average, {low} to {high}"
            facts["Images without labels"] = f"{np.count_nonzero(labels_N == 0):,}"
        unknown = f"{evaluation.unknown:,}, left out of every number"
        facts["Labels of unknown state"] = unknown if evaluation.unknown else "none"
        facts["Labels on no image"] = f"{len(empty):,}: {some(empty, 20)}" if empty else "none"
        facts["Unreadable images"] = f"{len(evaluation.unreadable):,}"
        return {**self.facts, **facts}
