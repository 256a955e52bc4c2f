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
        counts_CK: Labels in each bin.
        present_CK: Those of them that are present.
        probability_CK: Sum of their probabilities.
    """

    counts_CK: NDArray[np.int64]
    present_CK: NDArray[np.int64]
    probability_CK: Floats

    @property
    def ece(self) -> float:
        """Expected calibration error of all labels together."""
        return float(_ece(self.overall)[0])

    @property
    def ece_C(self) -> Floats:
        """Expected calibration error of each class; nan where nothing is known.

        ECE = sum over bins of (share of labels) x |share present - mean probability|.
        """
        return _ece(self)

    @property
    def overall(self) -> "Reliability":
        """All classes as one."""
        return Reliability(
            self.counts_CK.sum(axis=0, keepdims=True),
            self.present_CK.sum(axis=0, keepdims=True),
            self.probability_CK.sum(axis=0, keepdims=True),
        )

    def curve(self) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Mean probability, share present and number of labels of each bin of all classes."""
        whole = self.overall
        counts_K = whole.counts_CK[0]
        return (
            ratio(whole.probability_CK[0], counts_K),
            ratio(whole.present_CK[0], counts_K),
            counts_K,
        )


def _ece(bins: Reliability) -> Floats:
    gaps_CK = np.abs(bins.present_CK - bins.probability_CK)
    return ratio(gaps_CK.sum(axis=1), bins.counts_CK.sum(axis=1))


def reliability(
    probabilities_NC: NDArray[Any], targets_NC: NDArray[np.int8], bins: int = 10
) -> Reliability:
    """Sort labels into equal bins of probability; an edge belongs to the bin below it.

    Args:
        probabilities_NC: In 0..1.
        targets_NC: 1 present, 0 absent, -1 unknown.
        bins: K.
    """
    classes = targets_NC.shape[1]
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    counts, present = (np.zeros((classes, bins), np.int64) for _ in range(2))
    probability = np.zeros((classes, bins))
    for c in range(classes):
        known_N = targets_NC[:, c] >= 0
        scores = probabilities_NC[known_N, c].astype(np.float64)
        place = np.searchsorted(edges, scores)
        counts[c] = np.bincount(place, minlength=bins)
        present[c] = np.bincount(place[targets_NC[known_N, c] == 1], minlength=bins)
        probability[c] = np.bincount(place, scores, minlength=bins)
    return Reliability(counts, present, probability)


def share_interval(hits_K: Any, counts_K: Any) -> tuple[Floats, Floats]:
    """Exact 95 % interval of shares (Clopper and Pearson 1934); 0 to 1 of nothing."""
    hits, misses = np.asarray(hits_K), np.asarray(counts_K) - hits_K
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 1), misses + 1, 0.025), 0.0)
    high = np.where(misses > 0, betaincinv(hits + 1, np.maximum(misses, 1), 0.975), 1.0)
    return low, high
