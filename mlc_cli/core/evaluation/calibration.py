"""Probabilities that mean what they say, by scale and bias of the logits.

Temperature (Guo et al. 2017) is one scale for all classes. Platt scaling (Platt 1999) is scale and
bias of each class; those of a class are pulled towards the ones common to all, since a rare class
tells too little of its own.

Names of arrays: N images, C classes, K bins, B draws. Targets: 1 present, 0 absent, -1 unknown.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from mlc_cli.core.evaluation.bootstrap import Interval, draw_weights, interval
from mlc_cli.core.evaluation.metrics import Floats, ratio
from mlc_cli.core.evaluation.probabilities import logit, sigmoid

Affine = tuple[Floats, Floats]
"""Scale and bias of the logits, C each."""
Fit = Callable[[Floats, NDArray[np.int8]], Affine]
BINS = 15
_LEAST, _MOST = 1e-2, 1e2
_WEAK = 1e-3  # keeps the common scale finite where labels are separated without a fault


def log_losses(logits: Floats, targets: NDArray[np.int8]) -> Floats:
    """-log of the probability of what is there."""
    return np.logaddexp(0.0, np.where(targets == 1, -logits, logits))


def _fit(
    logits: Floats, present: NDArray[np.bool_], prior: tuple[float, float], strength: float
) -> tuple[float, float]:
    """Scale and bias that minimise log loss + strength / 2 x squared distance from a prior."""
    signs, middle = np.where(present, -1.0, 1.0), np.array(prior)

    def loss(both: Floats) -> tuple[float, Floats]:
        turned = signs * (both[0] * logits + both[1])
        slopes = signs * sigmoid(turned)
        away = both - middle
        value = np.logaddexp(0.0, turned).sum() + strength / 2 * away @ away
        return float(value), np.array([slopes @ logits, slopes.sum()]) + strength * away

    bounds = [(_LEAST, _MOST), (None, None)]
    found = minimize(loss, middle, jac=True, method="L-BFGS-B", bounds=bounds,
                     options={"ftol": 1e-12, "gtol": 1e-8})  # fmt: skip
    return float(found.x[0]), float(found.x[1])


def temperature(logits_NC: Floats, targets_NC: NDArray[np.int8]) -> Affine:
    """One scale for all classes, no bias."""
    known_NC, classes = targets_NC >= 0, targets_NC.shape[1]
    logits, targets = logits_NC[known_NC], targets_NC[known_NC]

    def loss(log_scale: Floats) -> float:
        return float(log_losses(np.exp(log_scale[0]) * logits, targets).mean())

    edges = (float(np.log(_LEAST)), float(np.log(_MOST)))
    scale = float(np.exp(minimize(loss, np.zeros(1), method="L-BFGS-B", bounds=[edges]).x[0]))
    return np.full(classes, scale), np.zeros(classes)


def platt(strength: float) -> Fit:
    """Scale and bias of each class, pulled towards the common ones.

    Args:
        strength: Of the pull; 1 is as much as some four labels say at a probability of one half.
    """

    def fit(logits_NC: Floats, targets_NC: NDArray[np.int8]) -> Affine:
        known_NC = targets_NC >= 0
        common = _fit(logits_NC[known_NC], targets_NC[known_NC] == 1, (1.0, 0.0), _WEAK)
        pairs = [
            _fit(logits_N[known_N], targets_N[known_N] == 1, common, strength)
            for logits_N, targets_N, known_N in zip(
                logits_NC.T, targets_NC.T, known_NC.T, strict=True
            )
        ]
        scale_C, bias_C = np.array(pairs).T
        return scale_C, bias_C

    return fit


METHODS: dict[str, Fit] = {
    "temperature": temperature,
    **{f"platt {strength:g}": platt(strength) for strength in (0.1, 1.0, 10.0, 100.0)},
}
"""By name; the number is the strength of the pull."""


def out_of_fold_logits(
    fit: Fit, logits_NC: Floats, targets_NC: NDArray[np.int8], fold_N: NDArray[np.int64]
) -> Floats:
    """Logits of each fold by what the others give, N×C."""
    result_NC = np.empty_like(logits_NC)
    for fold in range(int(fold_N.max()) + 1):
        inside_N = fold_N == fold
        scale_C, bias_C = fit(logits_NC[~inside_N], targets_NC[~inside_N])
        result_NC[inside_N] = scale_C * logits_NC[inside_N] + bias_C
    return result_NC


def log_loss(logits_NC: Floats, targets_NC: NDArray[np.int8]) -> float:
    """Mean over known labels."""
    known_NC = targets_NC >= 0
    return float(log_losses(logits_NC[known_NC], targets_NC[known_NC]).mean())


def moved(thresholds_C: Floats | None, scale_C: Floats, bias_C: Floats) -> Floats:
    """Thresholds that decide as before; 0 (always) and 1 (never) stay, and none is one half."""
    before_C = np.full(len(scale_C), 0.5) if thresholds_C is None else thresholds_C
    after_C = sigmoid(scale_C * logit(before_C) + bias_C)
    return np.where((before_C > 0) & (before_C < 1), after_C, before_C)


def errors(
    probabilities_NC: Floats, targets_NC: NDArray[np.int8], seed: int, draws: int = 200
) -> dict[str, tuple[float, Interval]]:
    """Calibration errors of all known labels together, with 95 % intervals over images.

    `ECE` has bins of equal width, `adaptive ECE` (Nguyen and O'Connor 2015) bins of equally many
    labels, and `Brier` is the mean squared difference.
    """
    known_NC = targets_NC >= 0
    weights_BN = draw_weights(len(targets_NC), draws, seed).astype(np.float64)
    shares = np.linspace(0, 1, BINS + 1)[1:-1]
    squares_N = np.where(known_NC, (probabilities_NC - (targets_NC == 1)) ** 2, 0).sum(axis=1)
    quantiles = np.quantile(probabilities_NC[known_NC], shares)
    values = {
        "ECE": _ece(probabilities_NC, targets_NC, shares, weights_BN),
        "adaptive ECE": _ece(probabilities_NC, targets_NC, quantiles, weights_BN),
        "Brier": ratio(weights_BN @ squares_N, weights_BN @ known_NC.sum(axis=1)),
    }
    return {name: (float(all_B[0]), interval(all_B)) for name, all_B in values.items()}


def _ece(
    probabilities_NC: Floats, targets_NC: NDArray[np.int8], edges: Floats, weights_BN: Any
) -> Floats:
    """ECE in each draw, B: the gaps of an image are summed by bin before images are drawn."""
    images, known_NC = len(targets_NC), targets_NC >= 0
    bins_NC = np.searchsorted(edges, probabilities_NC)
    places = (np.arange(images)[:, None] * BINS + bins_NC)[known_NC]
    gaps = ((targets_NC == 1) - probabilities_NC)[known_NC]
    gaps_NK = np.bincount(places, gaps, minlength=images * BINS).reshape(images, BINS)
    total_B = weights_BN @ known_NC.sum(axis=1)
    return ratio(np.abs(weights_BN @ gaps_NK).sum(axis=1), total_B)
