"""Metrics of scores at thresholds, in one step."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.evaluation.metrics import (
    DecisionMetrics,
    Floats,
    check_scores,
    metrics_of_decisions,
)


def decision_metrics(
    scores_NC: NDArray[Any], targets_NC: NDArray[np.int8], thresholds: Floats | float = 0.5
) -> DecisionMetrics:
    """Metrics at one threshold for all classes or one for each."""
    check_scores(scores_NC, targets_NC)
    return metrics_of_decisions(scores_NC >= np.asarray(thresholds, np.float64), targets_NC)
