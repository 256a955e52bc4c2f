"""Runs beside each other, over the same images: what changed, and whether that is more than noise.

The bootstrap is paired (Efron & Tibshirani 1993): in each draw all runs are judged on the same
images, so that what is hard for all of them cancels in the differences.

Names of arrays: N images, C classes, K numbers of a run, B all images and then each draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.evaluation.bootstrap import (
    FEW,
    Interval,
    Weights,
    centred,
    draw_weights,
    interval,
    resampled_ap,
    resampled_decisions,
)
from mlc_cli.core.evaluation.metrics import Floats, mean_average_precision
from mlc_cli.core.evaluation.scores import SavedScores
from mlc_cli.errors import DataError
from mlc_cli.text import some

METRICS = ("mAP", "micro F1", "macro F1")
KINDS = ("repaired", "broken", "unknown")


@dataclass(frozen=True)
class Judged:
    """Scores of a run, what it decides by them, and how it is called."""

    name: str
    scores: SavedScores
    decisions_NC: NDArray[np.bool_]

    def part(self, paths: list[str], classes: list[str]) -> "Judged":
        """The same for some of the images and classes."""
        rows = {path: row for row, path in enumerate(self.scores.paths)}
        columns = {name: column for column, name in enumerate(self.scores.classes)}
        cells = np.ix_([rows[path] for path in paths], [columns[name] for name in classes])
        arrays = self.scores.probabilities_NC[cells], self.scores.targets_NC[cells]
        return Judged(self.name, SavedScores(*arrays, classes, paths), self.decisions_NC[cells])


@dataclass(frozen=True)
class Change:
    """A number of a run beside that of the first: the difference with its 95 % interval.

    `better` is the part of the draws in which it is above the first, ties counted half. Both are
    `None` where there are too few positives to tell.
    """

    value: float
    difference: float
    interval: Interval | None
    better: float | None

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval is not None and (self.interval.low > 0 or self.interval.high < 0)


@dataclass(frozen=True)
class Comparison:
    """A run against the first.

    Attributes:
        metrics: By the names in `METRICS`.
        classes: AP of each class with positives; clear changes first, large ones before small.
        images: Labels that are decided otherwise, by path of the image and by `KINDS`: right now,
            wrong now, and nobody knows. Most changes first.
    """

    name: str
    metrics: dict[str, Change]
    classes: dict[str, Change]
    images: dict[str, dict[str, list[str]]]


def paired(runs: Sequence[Judged]) -> tuple[list[Judged], list[str]]:
    """The runs over what all have in common, and what the user should know about that.

    Raises:
        DataError: They have no image or no class in common.
    """
    common, notes = [], []
    for words, lists in (("images", [run.scores.paths for run in runs]),
                         ("classes", [run.scores.classes for run in runs])):  # fmt: skip
        kept = set(lists[0]).intersection(*lists[1:])
        if not kept:
            raise DataError(
                f"the runs have no {words} in common: {'; '.join(some(one, 3) for one in lists)}",
                "Evaluate each on one data set: mlc eval --run RUN --data DIR --split SPLIT",
            )
        common.append([name for name in lists[0] if name in kept])
        more = [f"{len(one) - len(kept):,} more in {run.name}"
                for run, one in zip(runs, lists, strict=True) if len(one) > len(kept)]  # fmt: skip
        if more:
            notes.append(f"compared on the {len(kept):,} {words} of all runs: {', '.join(more)}")
    first, *others = parts = [run.part(*common) for run in runs]
    if not (first.scores.targets_NC == 1).any():
        raise DataError("none of these images has a label of the classes that all runs have")
    notes += [
        f"{changed:,} labels were others for {run.name}; those of {first.name} count"
        for run in others
        if (changed := np.count_nonzero(run.scores.targets_NC != first.scores.targets_NC))
    ]
    return parts, notes


def compare(runs: Sequence[Judged], draws: int, seed: int) -> list[Comparison]:
    """Compare runs over the same images with the first, itself included."""
    scores = runs[0].scores
    weights_BN = draw_weights(len(scores.paths), draws, seed)
    values = [_numbers(run, scores.targets_NC, weights_BN) for run in runs]
    there_K = np.flatnonzero(np.isfinite(values[0][0]))  # a class without positives has no AP
    names = [*METRICS, *scores.classes]
    positives_C = (scores.targets_NC == 1).sum(axis=0)
    positives_K = np.append([positives_C.sum()] * len(METRICS), positives_C)
    result = []
    for run, own_BK in zip(runs, values, strict=True):
        changes = [(names[k], _change(values[0][:, k], own_BK[:, k], positives_K[k]))
                   for k in there_K]  # fmt: skip
        metrics, classes = dict(changes[: len(METRICS)]), changes[len(METRICS) :]
        classes.sort(key=lambda one: (not one[1].is_clear, -abs(one[1].difference)))
        result.append(Comparison(run.name, metrics, dict(classes), _changed(runs[0], run)))
    return result


def _numbers(run: Judged, targets_NC: NDArray[np.int8], weights_BN: Weights) -> Floats:
    """`METRICS` and the AP of each class, B×K."""
    ap_BC = resampled_ap(run.scores.probabilities_NC, targets_NC, weights_BN)
    decided = resampled_decisions(run.decisions_NC, targets_NC, weights_BN)
    maps_B = [mean_average_precision(ap_C) for ap_C in ap_BC]
    f1_B2 = [(one.OF1, one.macro_f1) for one in decided]
    return np.column_stack([maps_B, f1_B2, ap_BC])


def _change(first_B: Floats, own_B: Floats, positives: int) -> Change:
    differences_B = own_B - first_B
    value, difference = float(own_B[0]), float(differences_B[0])
    if positives < FEW:
        return Change(value, difference, None, None)
    drawn = centred(differences_B)
    least = 0.5 / max(1, len(drawn))  # what no draw shows may still be
    better = float(np.mean((drawn > 0) + 0.5 * (drawn == 0)).clip(least, 1 - least))
    return Change(value, difference, interval(differences_B, least=-1), better)


def _changed(first: Judged, run: Judged) -> dict[str, dict[str, list[str]]]:
    scores, changed_NC = first.scores, run.decisions_NC != first.decisions_NC
    moved_N = (np.abs(run.scores.probabilities_NC - scores.probabilities_NC) * changed_NC).sum(1)
    order = np.lexsort([-moved_N, -changed_NC.sum(1)])[: np.count_nonzero(changed_NC.any(1))]
    wrong_NC = run.decisions_NC != (scores.targets_NC == 1)
    kind_NC = np.where(scores.targets_NC < 0, 2, wrong_NC)
    return {
        scores.paths[row]: {
            kind: [scores.classes[c] for c in np.flatnonzero(changed_NC[row] & (kind_NC[row] == k))]
            for k, kind in enumerate(KINDS)
        }
        for row in order
    }
