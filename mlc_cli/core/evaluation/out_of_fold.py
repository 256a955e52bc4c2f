"""Thresholds on images that they were not chosen on.

Names of arrays: N images, C classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.rules import FREE, BoundRules
from mlc_cli.core.evaluation.metrics import DecisionMetrics, metrics_of_decisions
from mlc_cli.core.evaluation.objectives import Objective
from mlc_cli.core.evaluation.thresholds import fit_overall, fit_thresholds, shrink

CHANCE = 0.005
"""Difference of CF1 + OF1 out of fold that tells nothing."""


def out_of_fold(
    probabilities_NC: NDArray[Any],
    targets_NC: NDArray[np.int8],
    objective: Objective,
    min_positives: int,
    *,
    strengths: Sequence[float],
    fold_N: NDArray[np.int64],
    rules: BoundRules = FREE,
) -> dict[float, DecisionMetrics]:
    """Choose thresholds on all folds but one and decide on that one, for each in turn.

    All decisions together give the metrics, so that rare classes count as they do in sample. Folds,
    best multilabel-stratified, are counted from 0; `strengths` are shrinkages to try.

    Returns:
        Decisions at thresholds of the other folds, by strength.
    """
    decisions = [np.zeros(targets_NC.shape, np.bool_) for _ in strengths]
    for fold in range(int(fold_N.max()) + 1):
        inside_N = fold_N == fold
        rest = probabilities_NC[~inside_N], targets_NC[~inside_N]
        thresholds = fit_thresholds(*rest, objective, min_positives, rules)
        overall = fit_overall(*rest, objective)
        for decided_NC, strength in zip(decisions, strengths, strict=True):
            thresholds_C = shrink(thresholds, overall, rest[1], strength)
            decided_NC[inside_N] = rules.decide(probabilities_NC[inside_N], thresholds_C)
    metrics = [metrics_of_decisions(decided_NC, targets_NC) for decided_NC in decisions]
    return dict(zip(strengths, metrics, strict=True))


def strongest_equivalent(tried: dict[float, DecisionMetrics]) -> float:
    """The strongest shrinkage that is as good out of fold as the best, but for chance.

    Folds drawn otherwise move CF1 + OF1 by about this much; of equals the stronger pull carries
    over better to other images.
    """
    sums = {s: np.nan_to_num(made.CF1 + made.OF1) for s, made in tried.items()}  # no positives
    return max(strength for strength in sums if sums[strength] >= max(sums.values()) - CHANCE)
