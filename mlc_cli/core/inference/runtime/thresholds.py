"""Thresholds inside a graph: subtracted there, so that one threshold of 0.5 serves all classes."""

import torch
from torch import Tensor

from mlc_cli.core.inference.runtime.metadata import ExportInfo

_EDGE = 1e-6  # the logit of 0 or 1 is not finite


def threshold_logits(thresholds_C: list[float]) -> Tensor:
    """What is subtracted from the logits, float32 C: the logits of the thresholds."""
    inside_C = torch.tensor(thresholds_C, dtype=torch.float64).clamp(_EDGE, 1 - _EDGE)
    return inside_C.logit().float()


def unfold(logits_NC: Tensor, info: ExportInfo) -> Tensor:
    """Logits as the model meant them, of what a graph gives."""
    if not info.folded or info.card.thresholds is None:
        return logits_NC
    return logits_NC + threshold_logits(info.card.thresholds)
