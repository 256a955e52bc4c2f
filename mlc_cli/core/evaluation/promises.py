"""Floors that hold on other images of the same source, with a confidence.

A floor that is met on the images that its threshold was chosen on is missed on others about every
second time. Here a cut is kept only if the exact binomial test (Clopper and Pearson 1934) rejects
that the floor is missed, and the cuts are tested in a fixed sequence that ends at the first that
is not rejected, so that looking at many costs nothing (Learn then Test, Angelopoulos et al. 2021).

Recall falls and the false-positive rate rises along the ranks, so that one sequence does: the cut
at the k-th lowest positive misses a share that is Beta(k, n - k + 1), whatever the scores are.
Precision is tested at every rank from a start on. The start is about a quarter of the class's
positives down, where a further wrong label has just become allowed: earlier there is too little to
tell from, later the precision of a weak class has already fallen. Which images have the labels has
no part in it, so that one sequence gets all of the error.

Names of arrays: P positives of a class, ascending by score.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, nbdtrik

from mlc_cli.core.evaluation.ranking import RankedPositives

Measure = Literal["precision", "recall", "fpr"]
Mask = NDArray[np.bool_]
_MOST = 64
"""Times the images at hand: a promise that needs more is not worth counting."""


@dataclass(frozen=True)
class Floor:
    """A bound on a measure of each class: from below, for the false-positive rate from above.

    Attributes:
        measure: Precision, recall or false-positive rate.
        bound: In 0..1.
        confidence: That it holds on other images; `None` asks only for those at hand.
    """

    measure: Measure
    bound: float
    confidence: float | None = None

    def __str__(self) -> str:
        sign = "<=" if self.measure == "fpr" else ">="
        sure = "" if self.confidence is None else f"@{100 * self.confidence:g}%"
        return f"{self.measure}{sign}{self.bound:g}{sure}"

    @property
    def cautious(self) -> float:
        """Threshold that does no harm where nothing can be promised: always, or never."""
        return 0.0 if self.measure == "recall" else 1.0

    def error(self, classes: int) -> float:
        """How often the bound of a class may be missed, if so many are promised jointly."""
        return (1 - (self.confidence or 0)) / max(1, classes)

    def allowed(self, ranked: RankedPositives, classes: int = 1) -> Mask:
        """Cuts at positives, P, that keep the bound; none at those that rules leave out.

        So many classes share the error.
        """
        return self._kept(ranked, classes) & (ranked.scores_P >= 0)

    def _kept(self, ranked: RankedPositives, classes: int) -> Mask:
        hits_P, rank_P = ranked.hits_P, ranked.sorted_rank_P
        positives, wrong_P = len(hits_P), rank_P - hits_P
        negatives = ranked.known - positives
        if self.confidence is None:
            if self.measure == "fpr":
                return np.asarray(wrong_P / max(1, negatives) <= self.bound)
            below = rank_P if self.measure == "precision" else positives
            return np.asarray(hits_P / below >= self.bound)
        error = self.error(classes)
        match self.measure:
            case "recall":
                return at_least(hits_P, positives, self.bound) <= error
            case "fpr":
                return at_least(negatives - wrong_P, negatives, 1 - self.bound) <= error
        return _precise(ranked, self.bound, error)

    def least(self, classes: int = 1) -> int:
        """Images with which a faultless model gets the promise: of the kind that it is about.

        That is positives for recall, negatives for the false-positive rate and predicted ones for
        precision.
        """
        share = 1 - self.bound if self.measure == "fpr" else self.bound
        if not 0 < share < 1:
            return 0 if share <= 0 else 2**62
        return math.ceil(math.log(self.error(classes)) / math.log(share) - 1e-9)

    def possible(
        self, positives_C: NDArray[np.int64], known_C: NDArray[np.int64], classes: int
    ) -> Mask:
        """Whether classes have images enough, however good the scores are."""
        counts = {"recall": positives_C, "fpr": known_C - positives_C, "precision": known_C}
        return np.asarray(counts[self.measure] >= self.least(classes))

    def lack(self, ranked: RankedPositives, classes: int) -> str:
        """What keeps a class from the promise, with the number of images that would do."""
        positives, negatives = len(ranked.scores_P), ranked.known - len(ranked.scores_P)
        least = self.least(classes)
        if least >= 2**62:
            return "no number of images promises that no error is made"
        if self.measure == "fpr":
            if negatives >= least:
                return "no positive stands above the negatives that would have to be absent"
            return f"{negatives} negatives, and {least} would do"
        if self.measure == "recall":
            lacking = f"{positives} positives, and {least} would do"
            return lacking if positives < least else "label rules leave out too many of its images"
        if positives < least:  # which would do for a model that makes no errors
            return f"{positives} positives, and at least {least} are needed"
        return self._lack_of_precision(ranked, classes)

    def _lack_of_precision(self, ranked: RankedPositives, classes: int) -> str:
        """As many times the images as make the best cut pass, its precision staying as it is."""
        hits_P, rank_P = ranked.hits_P, ranked.sorted_rank_P
        positives, error = len(hits_P), self.error(classes)
        for times in np.geomspace(1, _MOST, 61)[1:]:
            if (at_least(times * hits_P, times * rank_P, self.bound) <= error).any():
                return f"{positives} positives, and about {math.ceil(times * positives)} would do"
        best = float((hits_P / rank_P).max())
        return f"its precision is too near to the floor or below it (at most {best:.3f} is seen)"


def at_least(hits: NDArray[np.floating] | NDArray[np.int64], trials: object, share: float) -> Mask:
    """P(X >= hits) of a binomial X: at most the error where Clopper-Pearson's limit is above."""
    misses = np.asarray(trials) - hits
    inside = np.asarray(betainc(np.maximum(hits, 1e-300), misses + 1.0, share))
    return np.where(hits > 0, inside, 1.0)


def _start(bound: float, error: float, positives: int) -> int:
    """Rank at which the sequence for precision begins.

    With one wrong label more than so many the test fails at all ranks below; they follow from the
    negative binomial distribution.
    """
    wrong = np.arange(positives // 4 + 1)
    ranks = wrong + 1 + np.ceil(nbdtrik(1 - error, wrong + 1, 1 - bound) - 1e-9)
    return int(max(ranks[0], ranks[ranks <= positives / 4].max(initial=0)))


def _precise(ranked: RankedPositives, bound: float, error: float) -> Mask:
    """Cuts, P, in a sequence of ranks that was not broken off.

    Between two positives the last cut above the next one is the hardest to pass, so that testing it
    tests all of them. Equal scores cannot be cut.
    """
    kept = np.zeros(len(ranked.hits_P), np.bool_)
    if bound == 1:
        return kept
    hits, first = np.unique(ranked.hits_P, return_index=True)
    rank, rank_before = ranked.sorted_rank_P[first], ranked.above_P[first]
    hits_before = np.concatenate([[0], hits[:-1]])
    start = _start(bound, error, len(ranked.hits_P))
    passed = at_least(hits, rank, bound) <= error
    passed &= (at_least(hits_before, rank_before, bound) <= error) | (rank_before < start)
    walk = np.logical_and.accumulate(passed | (rank < start)) & (rank >= start)
    return np.asarray(walk[np.searchsorted(hits, ranked.hits_P)])
