"""Probabilities and logits: the one way from one to the other."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlc_cli.errors import TrainingError

EPSILON = 1e-12
"""How near to 0 and 1 a probability may be: beyond it the logit would not be finite."""


def logit(probabilities: ArrayLike) -> NDArray[np.float64]:
    """log(p / (1 - p)) in float64, within ±27.6."""
    inside = np.clip(np.asarray(probabilities, np.float64), EPSILON, 1 - EPSILON)
    return np.asarray(np.log(inside) - np.log1p(-inside), np.float64)


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Float64 probabilities of logits.

    In float32 the sigmoid is 1 from a logit of 17 on, and images of which the model is certain
    would tie.
    """
    with np.errstate(over="ignore"):  # the exponential of 710 is infinite, and 1 / inf right
        return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))), np.float64)


def probabilities(logits_NC: NDArray[np.float32]) -> NDArray[np.float64]:
    """Float64 probabilities of the logits of a model.

    Raises:
        TrainingError: A logit is not finite: the model has diverged.
    """
    wrong = np.count_nonzero(~np.isfinite(logits_NC).all(axis=1))
    if wrong:
        raise TrainingError(
            f"the model's output is not finite for {wrong} of {len(logits_NC)} images",
            "Its weights have diverged: train with a smaller --lr, or --set precision=fp32.",
        )
    return sigmoid(logits_NC)
