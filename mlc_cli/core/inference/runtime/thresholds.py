"""Thresholds inside a graph: subtracted there, so that one threshold of 0.5 serves all classes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.inference.runtime.metadata import ExportInfo

_EDGE = 1e-6  # the logit of 0 or 1 is not finite


def threshold_logits(thresholds_C: Sequence[float]) -> NDArray[np.float32]:
    """What is subtracted from the logits, C: the logits of the thresholds."""
    inside_C = np.clip(np.array(thresholds_C, np.float64), _EDGE, 1 - _EDGE)
    return (np.log(inside_C) - np.log1p(-inside_C)).astype(np.float32)


def unfold(logits_NC: NDArray[np.float32], info: ExportInfo) -> NDArray[np.float32]:
    """Logits as the model meant them, of what a graph gives."""
    if not info.folded or info.card.thresholds is None:
        return logits_NC
    return logits_NC + threshold_logits(info.card.thresholds)
