"""What is drawn for each class: precision over recall, and where the scores lie."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.evaluation.metrics import Floats, ratio
from mlc_cli.core.evaluation.ranking import rank_positives


class Curve(NamedTuple):
    """Precision over recall of a class, from high thresholds to low ones."""

    recall: Floats
    precision: Floats


def pr_curve(scores_N: NDArray[Any], targets_N: NDArray[np.int8], points: int) -> Curve:
    """Precision over recall at the scores of positives, thinned out to at most `points`."""
    ranked = rank_positives(scores_N, targets_N)
    hits, first = np.unique(ranked.hits_P, return_index=True)
    ranks = ranked.sorted_rank_P[first]
    if len(hits) > points:
        chosen = np.linspace(0, len(hits) - 1, points).round().astype(np.int64)
        hits, ranks = hits[chosen], ranks[chosen]
    return Curve(hits / max(1, len(ranked.scores_P)), ratio(hits, ranks))


def score_shares(
    probabilities_N: NDArray[Any], targets_N: NDArray[np.int8], bins: int
) -> tuple[Floats, Floats]:
    """Shares of the present and of the absent labels in equal bins of probability.

    Returns:
        Two arrays that each sum to 1, or are 0 where there are no such labels.
    """
    place_N = np.clip((probabilities_N * bins).astype(np.int64), 0, bins - 1)
    counts = [np.bincount(place_N[targets_N == state], minlength=bins) for state in (1, 0)]
    present, absent = (count / max(1, count.sum()) for count in counts)
    return present, absent
