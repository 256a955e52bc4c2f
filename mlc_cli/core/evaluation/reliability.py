"""Whether probabilities mean what they say: of the labels given 0.8, are eight in ten there?

Names of arrays: N images, C classes, K equal bins of probability.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from mlc_cli.core.evaluation.metrics import Floats, ratio


@dataclass(frozen=True)
class Reliability:
    """Probabilities in bins, over the labels whose state is known.

    Attributes:
        ece: Expected calibration error of all labels together; nan where nothing is known.
            ECE = sum over bins of (share of labels) x |share present - mean probability|.
        ece_C: The same of each class.
        counts_K: Labels of all classes in each bin.
        present_K: Those of them that are present.
        probability_K: Their mean probability.
    """

    ece: float
    ece_C: Floats
    counts_K: NDArray[np.int64]
    present_K: NDArray[np.int64]
    probability_K: Floats


def _ece(bins: NDArray[Any]) -> Floats:
    """Of numbers of labels, of present ones, and sums of probabilities, one behind the other."""
    counts, present, probability = bins
    return ratio(np.abs(present - probability).sum(axis=-1), counts.sum(axis=-1))


def reliability(
    probabilities_NC: NDArray[Any], targets_NC: NDArray[np.int8], bins: int = 10
) -> Reliability:
    """Sort labels into equal bins of probability; an edge belongs to the bin below it."""
    classes = targets_NC.shape[1]
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    bins_3CK = np.zeros((3, classes, bins))
    for c in range(classes):
        known_N = targets_NC[:, c] >= 0
        scores = probabilities_NC[known_N, c].astype(np.float64)
        place = np.searchsorted(edges, scores)
        present = place[targets_NC[known_N, c] == 1]
        bins_3CK[0, c] = np.bincount(place, minlength=bins)
        bins_3CK[1, c] = np.bincount(present, minlength=bins)
        bins_3CK[2, c] = np.bincount(place, scores, minlength=bins)
    whole_3K = bins_3CK.sum(axis=1)
    counts_K, present_K = whole_3K[:2].astype(np.int64)
    mean_K = ratio(whole_3K[2], counts_K)
    return Reliability(float(_ece(whole_3K)), _ece(bins_3CK), counts_K, present_K, mean_K)


def share_interval(hits_K: Any, counts_K: Any) -> tuple[Floats, Floats]:
    """Exact 95 % interval of shares (Clopper and Pearson 1934); 0 to 1 of nothing."""
    hits, misses = np.asarray(hits_K), np.asarray(counts_K) - hits_K
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 1), misses + 1, 0.025), 0.0)
    high = np.where(misses > 0, betaincinv(hits + 1, np.maximum(misses, 1), 0.975), 1.0)
    return low, high
