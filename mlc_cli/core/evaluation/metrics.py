"""Multilabel metrics, exact with ties, without positives and with unknown labels.

Names of arrays: N images, C classes. Targets are int8: 1 present, 0 absent, -1 unknown. Unknown
entries are left out of every metric. A label is predicted where score >= threshold.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.evaluation.ranking import RankedPositives, over_classes

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
BLOCK_CELLS = 2**22


@dataclass(frozen=True)
class DecisionMetrics:
    """Metrics of decisions at given thresholds.

    Class means run over classes with at least one positive, as for mAP; a precision without
    predictions counts as 0 in them.

    Attributes:
        precision_C: Precision of each class; nan where nothing is predicted.
        recall_C: Recall of each class; nan where nothing is present.
        f1_C: F1 of each class; nan where nothing is present.
        fpr_C: False-positive rate of each class; nan where all is present.
        CP: Mean precision of classes.
        CR: Mean recall of classes.
        CF1: Harmonic mean of CP and CR.
        OP: Precision of all decisions together.
        OR: Recall of all decisions together.
        OF1: Harmonic mean of OP and OR.
        macro_f1: Mean F1 of classes.
        exact_match: Part of the images, of which something is known, with every known label right.
        hamming_loss: Part of the known labels that are wrong.
    """

    precision_C: Floats
    recall_C: Floats
    f1_C: Floats
    fpr_C: Floats
    CP: float
    CR: float
    CF1: float
    OP: float
    OR: float
    OF1: float
    macro_f1: float
    exact_match: float
    hamming_loss: float


def of_classes(
    scores_NC: NDArray[Any],
    targets_NC: NDArray[np.int8],
    *measures: Callable[[RankedPositives], Any],
) -> list[Floats]:
    """Measures of each class, of scores that are sorted once; nan for a class without positives.

    Raises:
        ValueError: A score is not finite, or the shapes differ.
    """
    check_scores(scores_NC, targets_NC)
    results = np.full((len(measures), scores_NC.shape[1]), np.nan)

    def fill(c: int, ranked: RankedPositives) -> None:
        if len(ranked.scores_P):
            results[:, c] = [measure(ranked) for measure in measures]

    over_classes(scores_NC, targets_NC, fill)
    return [*results]


def average_precision(ranked: RankedPositives) -> Any:
    """Average precision, not interpolated.

    For each positive with score s the precision is (positives >= s) / (known >= s); their mean
    is AP = sum over thresholds of (R_n - R_(n-1)) P_n, ties included.
    """
    return np.mean(ranked.hits_P / ranked.sorted_rank_P)


def average_precision_C(scores_NC: NDArray[Any], targets_NC: NDArray[np.int8]) -> Floats:
    """Average precision of each class, as `of_classes`."""
    return of_classes(scores_NC, targets_NC, average_precision)[0]


def mean_average_precision(ap_C: Floats) -> float:
    """Mean over the classes that have positives; nan if none has."""
    return float(np.nanmean(ap_C)) if np.isfinite(ap_C).any() else float("nan")


def mean_ap_of(scores_NC: NDArray[Any], targets_NC: NDArray[np.int8]) -> float:
    """Mean average precision of scores; nan without positives."""
    return mean_average_precision(average_precision_C(scores_NC, targets_NC))


def counted(decisions_NC: Flags, targets_NC: NDArray[np.int8]) -> tuple[Flags, ...]:
    """What is counted of decisions: those that are right, all of known state, presents, knowns."""
    known_NC, present_NC = targets_NC >= 0, targets_NC == 1
    return decisions_NC & present_NC, decisions_NC & known_NC, present_NC, known_NC


def metrics_of_decisions(decisions_NC: Flags, targets_NC: NDArray[np.int8]) -> DecisionMetrics:
    """Metrics of decisions, however they were made."""
    tally = Tally()
    tally.add(decisions_NC, targets_NC)
    return tally.metrics()


class Tally:
    """Decisions that come block by block, counted in the order of `counted`."""

    def __init__(self) -> None:
        self.counts_4C: Any = 0
        self._exact = self._images = 0

    def add(self, decisions_NC: Flags, targets_NC: NDArray[np.int8]) -> None:
        """Count those of some images."""
        flags = counted(decisions_NC, targets_NC)
        self.counts_4C += np.array([np.count_nonzero(one, axis=0) for one in flags])
        right_NC = (decisions_NC == (targets_NC == 1)) | (targets_NC < 0)
        known_N = (targets_NC >= 0).any(axis=1)
        self._exact += int((right_NC.all(axis=1) & known_N).sum())
        self._images += int(known_N.sum())

    def metrics(self) -> DecisionMetrics:
        """Metrics of all that was counted."""
        return metrics_of_counts(self.counts_4C, float(ratio(self._exact, self._images)))


def blocks_of(images: int, classes: int) -> Iterator[slice]:
    """Images that are looked at together, in one block or more, so that little is in memory."""
    step = max(1, BLOCK_CELLS // classes)
    return (slice(start, start + step) for start in range(0, max(1, images), step))


def metrics_at(
    scores_NC: NDArray[Any], targets_NC: NDArray[np.int8], decide: Callable[[NDArray[Any]], Flags]
) -> DecisionMetrics:
    """Metrics of what is decided by the scores, image by image."""
    tally = Tally()
    for block in blocks_of(*scores_NC.shape):
        tally.add(decide(scores_NC[block]), targets_NC[block])
    return tally.metrics()


def metrics_of_counts(counts: Sequence[NDArray[Any]], exact_match: float) -> DecisionMetrics:
    """Metrics of numbers in the order of `counted`, C each, which do not tell `exact_match`."""
    true, predicted, present, known = counts
    has_positives = present > 0
    precision_C = ratio(true, predicted)
    recall_C = ratio(true, present)
    f1_C = np.where(has_positives, ratio(2 * true, predicted + present), np.nan)
    class_precision = _mean(np.nan_to_num(precision_C)[has_positives])
    class_recall = _mean(recall_C[has_positives])
    overall_precision = float(ratio(true.sum(), predicted.sum()))
    overall_recall = float(ratio(true.sum(), present.sum()))
    return DecisionMetrics(
        precision_C=precision_C,
        recall_C=recall_C,
        f1_C=f1_C,
        fpr_C=ratio(predicted - true, known - present),
        CP=class_precision,
        CR=class_recall,
        CF1=harmonic(class_precision, class_recall),
        OP=overall_precision,
        OR=overall_recall,
        OF1=float(ratio(2 * true.sum(), predicted.sum() + present.sum())),
        macro_f1=_mean(f1_C[has_positives]),
        exact_match=exact_match,
        hamming_loss=float(ratio((predicted + present - 2 * true).sum(), known.sum())),
    )


def ratio(above: Any, below: Any) -> Floats:
    """Quotient with nan, and no warning, where there is nothing to divide by."""
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    quotient: Floats = np.full(below.shape, np.nan)
    np.divide(above, below, out=quotient, where=below != 0)
    return quotient


def harmonic(first: float, second: float) -> float:
    """Harmonic mean 2ab / (a + b), 0 if both are 0."""
    return 2 * first * second / (first + second) if first + second else 0.0


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else float("nan")


def check_scores(scores_NC: NDArray[Any], targets_NC: NDArray[np.int8]) -> None:
    """Refuse what would make metrics meaningless.

    Raises:
        ValueError: A score is not finite, or the shapes differ.
    """
    if scores_NC.shape != targets_NC.shape or scores_NC.ndim != 2:
        raise ValueError(f"scores {scores_NC.shape} and targets {targets_NC.shape} do not match")
    if scores_NC.size and not np.isfinite([scores_NC.min(), scores_NC.max()]).all():
        raise ValueError("scores must be finite")
