"""Thresholds inside a graph: subtracted there, so that one threshold of 0.5 serves all classes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.evaluation.probabilities import logit
from mlc_cli.core.inference.runtime.metadata import ExportInfo


def threshold_logits(thresholds_C: Sequence[float]) -> NDArray[np.float32]:
    """What is subtracted from the logits, C: the logits of the thresholds."""
    return logit(thresholds_C).astype(np.float32)


def unfold(logits_NC: NDArray[np.float32], info: ExportInfo) -> NDArray[np.float32]:
    """Logits as the model meant them, of what a graph gives."""
    if not info.folded or info.card.thresholds is None:
        return logits_NC
    return logits_NC + threshold_logits(info.card.thresholds)
