"""`report.html`: from the scores of a split to one page for people."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from mlc_cli.core.evaluation.diagnosis import Chosen, Diagnosis, choose_images, diagnose
from mlc_cli.core.evaluation.metrics import Floats, ratio
from mlc_cli.core.evaluation.report import charts
from mlc_cli.core.evaluation.results import FITTED, HALF, Evaluation, class_rows
from mlc_cli.core.evaluation.scores import SavedScores, ScoredSplit
from mlc_cli.core.evaluation.slices import Slice, slice_table, worst_slice
from mlc_cli.core.html.page import write_page
from mlc_cli.core.html.words import gauge, name, span, value
from mlc_cli.core.images.thumbnails import Picture, read_thumbnails
from mlc_cli.core.runs.folder import RunFolder
from mlc_cli.core.system.cores import usable_cores
from mlc_cli.text import some

TEMPLATE = "evaluation/report/report.html"
MOST_PICTURES, MATRIX_LABELS = 300, 14
CHOSEN_HERE = (
    "Thresholds are chosen on the validation split, which these images are: new images will do a"
    " little worse at them. For numbers without that advantage: `mlc eval --report --split test`."
)
TRAINED_HERE = (
    "The model was trained on these images: every number here is better than on new images, and"
    " wrong labels may have been learnt by heart."
)
KEYS = ("precision", "recall", "F1", "AUROC", "AP_11_point")
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

    @cached_property
    def ways(self) -> dict[str, str]:
        """Ways to decide in words, the last of them in use."""
        words = {HALF: "at 0.5", FITTED: "at the thresholds"}
        return {way: words[way] for way in self.evaluation.decisions}

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
            for way, metrics in self.evaluation.decisions.items():
                whole = key == "mAP"
                number = self.evaluation.mean_ap if whole else getattr(metrics, key)
                interval = intervals.mean_ap if whole else intervals.decisions[way][key]
                cells.append(small.format(value(number), span(interval)))
            if self.out_of_fold:
                cells.append(value(self.out_of_fold.get(key, math.nan)))
            yield [*cells, meaning]

    def class_rows(self) -> Iterator[Cells]:
        """A row of metrics for each class, the weakest first."""
        evaluation, rows = self.evaluation, class_rows(self.evaluation)
        ece_C, link = self.diagnosis.reliability.ece_C, Markup('<a href="#chart-{}">{}</a>')
        for rank, c in enumerate(self.by_ap):
            title, ap = name(evaluation.classes[c]), evaluation.ap_C[c]
            yield [
                link.format(c, title) if rank < charts.MOST_CHARTS else title,
                gauge(value(ap), ap),
                span(self.diagnosis.intervals.ap_C[c], 2) or "–",
                *(value(rows[c][key]) for key in KEYS),
                value(ece_C[c]),
                f"{evaluation.positives_C[c]:,}",
                value(rows[c]["threshold"]),
            ]

    @property
    def worst(self) -> Slice | None:
        """The worst slice that is not too small, nor all there is."""
        worst = worst_slice(self.evaluation.slices)
        return worst if worst and worst.images < self.evaluation.images else None

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
        made, title, drawn = self.evaluation.decided, self.evaluation.classes[c], []
        if self.evaluation.positives_C[c]:
            at = float(made.precision_C[c]), float(made.recall_C[c])
            curve = charts.pr_curve(scores_N, targets_N, points=60)
            drawn = [charts.pr_chart(title, curve, *at, float(self.chance_C[c]))]
        shares = charts.score_shares(scores_N, targets_N, bins=20)
        return [*drawn, charts.histogram(title, *shares, float(self.evaluation.used_C[c]))]

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


def make_report(path: Path, split: str, scored: ScoredSplit, evaluation: Evaluation) -> None:
    """Write the report of an evaluation.

    Raises:
        MlcError: It cannot be written.
    """
    scores, card, used_C = scored.scores, scored.card, evaluation.thresholds_C
    diagnosis = diagnose(scores.probabilities_NC, scores.targets_NC, used_C, scores.bound)
    chosen = choose_images(diagnosis, MOST_PICTURES)
    paths = {image: scored.place(image) for image in chosen.images}
    own = used_C is not None and used_C.tolist() == card.thresholds
    run, best = scored.checkpoint.resolve().parent.name, scored.checkpoint.name
    content = Content(
        title=f"{run if best == 'best.safetensors' and run else best} on {scored.source.name}",
        scores=scores,
        evaluation=evaluation,
        diagnosis=diagnosis,
        chosen=chosen,
        pictures=read_thumbnails(paths, scored.max_pixels, usable_cores()),
        facts=_facts(scored, used_C),
        history=RunFolder(scored.checkpoint.parent).read_metrics(),
        epoch=card.epoch,
        warnings=[TRAINED_HERE] * (split == "train") + [CHOSEN_HERE] * (split == "val" and own),
        out_of_fold=_out_of_fold(scored.checkpoint, evaluation) if split == "val" else {},
    )
    write_page(path, TEMPLATE, report=content, charts=charts, slice_table=slice_table)


def _facts(scored: ScoredSplit, used_C: Floats | None) -> dict[str, str]:
    card, thresholds = scored.card, "none: labels are decided at 0.5"
    if used_C is not None:
        low, high = used_C.min(), used_C.max()
        several = f"one for each label, {low:.3f} to {high:.3f}"
        thresholds = several if low < high else f"{low:.4g} for all labels"
    head = card.model.get("head")
    kind = head.get("name", "?") if isinstance(head, dict) else "?"
    weights = "moving average of the weights" if card.averaged else "weights as trained"
    return {
        "Checkpoint": str(scored.checkpoint),
        "Data": str(scored.source),
        "Trained": f"{card.epoch} epochs, {weights}",
        "Model": f"{card.model.get('backbone', '?')}, head {kind}",
        "Input": str(card.geometry),
        **({"Scores out of fold": scored.folds["summary"]} if scored.folds else {}),
        "Thresholds": thresholds,
        "Written by": ", ".join(f"{name} {version}" for name, version in card.versions.items()),
    }


def _out_of_fold(checkpoint: Path, evaluation: Evaluation) -> dict[str, float]:
    """What `mlc thresholds` estimated for these very thresholds; nothing if it did not."""
    try:
        content = json.loads((checkpoint.parent / "thresholds.json").read_text(encoding="utf-8"))
        fitted = [row["threshold"] for row in content["classes"]]
        estimate = content["metrics"].get("out_of_fold", {})
        same = evaluation.thresholds_C is not None and fitted == evaluation.thresholds_C.tolist()
        same = same and content["images"] == evaluation.images
        return {key: float(number) for key, number in estimate.items()} if same else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
