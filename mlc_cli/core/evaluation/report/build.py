"""`report.html`: from the scores of a split to one page for people."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mlc_cli.core.evaluation.bootstrap import Intervals, bootstrap
from mlc_cli.core.evaluation.metrics import Flags, Floats, ratio
from mlc_cli.core.evaluation.mistakes import ErrorPair, Mistakes, error_pairs, worst_mistakes
from mlc_cli.core.evaluation.reliability import Reliability, reliability
from mlc_cli.core.evaluation.report import charts
from mlc_cli.core.evaluation.report.about import facts_of, out_of_fold
from mlc_cli.core.evaluation.results import FITTED, HALF, Evaluation, class_rows
from mlc_cli.core.evaluation.scores import SavedScores, ScoredSplit
from mlc_cli.core.evaluation.slices import Slice, slice_table, worst_slice
from mlc_cli.core.evaluation.suspects import Suspects, find_suspects
from mlc_cli.core.html.page import write_page
from mlc_cli.core.html.words import gauge, name, span, value
from mlc_cli.core.images.thumbnails import Picture, read_thumbnails
from mlc_cli.core.runs.folder import RunFolder
from mlc_cli.core.system.cores import usable_cores

TEMPLATE = "evaluation/report/report.html"
MATRIX_LABELS = 14
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
    """Everything that a report shows; what takes long is computed once.

    Attributes:
        scored: What the model says of a split.
        evaluation: Of the same.
        split: Its name.
        draws: Of the bootstrap.
        limit: At most so many different images are shown.
    """

    scored: ScoredSplit
    evaluation: Evaluation
    split: str
    draws: int = 200
    limit: int = 300

    @property
    def scores(self) -> SavedScores:
        """What the model says, and what is there."""
        return self.scored.scores

    @property
    def _arrays(self) -> tuple[Floats, NDArray[np.int8]]:
        return self.scores.probabilities_NC, self.scores.targets_NC

    @property
    def title(self) -> str:
        """Of which run or file, on what."""
        run, best = self.scored.checkpoint.resolve().parent.name, self.scored.checkpoint.name
        model = run if best == "best.safetensors" and run else best
        return f"{model} on {self.scored.source.name}"

    @property
    def warnings(self) -> list[str]:
        """What the reader must know before believing the numbers."""
        used_C = self.evaluation.thresholds_C
        own = used_C is not None and used_C.tolist() == self.scored.card.thresholds
        trained, chosen = self.split == "train", self.split == "val" and own
        return [TRAINED_HERE] * trained + [CHOSEN_HERE] * chosen

    @cached_property
    def _decided(self) -> dict[str, Flags]:
        """Decisions in all ways."""
        used = {HALF: 0.5, FITTED: self.evaluation.thresholds_C}
        decide = self.scores.bound.decide
        return {way: decide(self._arrays[0], used[way]) for way in self.evaluation.decisions}

    @property
    def _made_NC(self) -> Flags:
        """Decisions at the thresholds, or at 0.5 without any."""
        return [*self._decided.values()][-1]

    @cached_property
    def intervals(self) -> Intervals:
        """How sure the metrics are."""
        return bootstrap(*self._arrays, self._decided, draws=self.draws)

    @cached_property
    def reliability(self) -> Reliability:
        """Whether probabilities mean what they say."""
        return reliability(*self._arrays)

    @cached_property
    def mistakes(self) -> list[Mistakes]:
        """The worst of each class."""
        return worst_mistakes(*self._arrays, self._made_NC, limit=4)

    @cached_property
    def mixed_up(self) -> tuple[list[ErrorPair], NDArray[np.int64]]:
        """Pairs of labels that are taken for each other, and images by missed and wrong label."""
        return error_pairs(self.scores.targets_NC, self._made_NC, limit=15)

    @cached_property
    def suspects(self) -> Suspects:
        """Labels that may be wrong."""
        return find_suspects(*self._arrays, limit=16)

    @cached_property
    def shown(self) -> tuple[list[int], list[int], int]:
        """Images to show, suspects first, classes whose mistakes are, most first, and the rest."""
        suspects = (*self.suspects.missing, *self.suspects.wrong)
        images, labels = dict.fromkeys(suspect.image for suspect in suspects), list[int]()
        totals_C = np.array([mistakes.total for mistakes in self.mistakes])
        wrong = np.argsort(-totals_C, kind="stable")[: np.count_nonzero(totals_C)].tolist()
        for label in wrong:
            mistakes = self.mistakes[label]
            further = images | dict.fromkeys((*mistakes.extra, *mistakes.missed))
            if len(further) > self.limit:
                break
            images = further
            labels.append(label)
        return list(images), labels, len(wrong) - len(labels)

    @cached_property
    def pictures(self) -> dict[int, Picture]:
        """Of the images to show, by row."""
        paths = {image: self.scored.place(image) for image in self.shown[0]}
        return read_thumbnails(paths, self.scored.max_pixels, usable_cores())

    @cached_property
    def unseen(self) -> dict[str, float]:
        """What the thresholds come to on images that they were not chosen on, if it is known."""
        return out_of_fold(self.scored, self.evaluation) if self.split == "val" else {}

    @cached_property
    def facts(self) -> dict[str, str]:
        """About the run and the images, as name and value."""
        return facts_of(self.scored, self.evaluation)

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
        intervals = self.intervals
        for key, (title, meaning) in meanings.items():
            cells: Cells = [title]
            for way, metrics in self.evaluation.decisions.items():
                whole = key == "mAP"
                number = self.evaluation.mean_ap if whole else getattr(metrics, key)
                interval = intervals.mean_ap if whole else intervals.decisions[way][key]
                cells.append(small.format(value(number), span(interval)))
            if self.unseen:
                cells.append(value(self.unseen.get(key, math.nan)))
            yield [*cells, meaning]

    def class_rows(self) -> Iterator[Cells]:
        """A row of metrics for each class, the weakest first."""
        evaluation, rows = self.evaluation, class_rows(self.evaluation)
        ece_C, link = self.reliability.ece_C, Markup('<a href="#chart-{}">{}</a>')
        for rank, c in enumerate(self.by_ap):
            title, ap = name(evaluation.classes[c]), evaluation.ap_C[c]
            yield [
                link.format(c, title) if rank < charts.MOST_CHARTS else title,
                gauge(value(ap), ap),
                span(self.intervals.ap_C[c], 2) or "–",
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
        for pair in self.mixed_up[0]:
            names = (name(self.evaluation.classes[c]) for c in (pair.missed, pair.extra))
            yield [*names, f"{pair.count:,} of {pair.missed_total:,}", value(pair.expected, 1)]

    def matrix(self) -> tuple[list[str], list[list[tuple[float, object]]]]:
        """Labels that take part in most mixed-up pairs; images by missed and predicted label."""
        joint_CC = self.mixed_up[1]
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
        rows = RunFolder(self.scored.checkpoint.parent).read_metrics()
        drawn = {
            title: charts.learning_chart(title, rows, keys, self.scored.card.epoch)
            for title, keys in CURVES.items()
        }
        return {title: chart for title, chart in drawn.items() if chart}


def make_report(path: Path, split: str, scored: ScoredSplit, evaluation: Evaluation) -> None:
    """Write the report of an evaluation.

    Raises:
        MlcError: It cannot be written.
    """
    content = Content(scored, evaluation, split)
    write_page(path, TEMPLATE, report=content, charts=charts, slice_table=slice_table)
