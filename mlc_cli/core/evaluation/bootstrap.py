"""How much metrics would change with other images of the same kind.

The bootstrap (Efron 1979): images are drawn with replacement, as many as there are, and the metrics
are computed anew; the middle 95 % of many such draws is the interval. An image that is drawn twice
is ranked beside itself, which makes average precision in draws higher than it is: the mean of the
draws is moved to the value of all images. A draw is kept as the number of times that each image is
in it, so that nothing is copied and scores are sorted once. Counts are summed as float32, in which
they are exact up to 16 million images.

Names of arrays: N images, C classes, B all images and then each draw, G groups of equal scores that
hold a positive.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.evaluation.metrics import (
    DecisionMetrics,
    Floats,
    counted,
    mean_average_precision,
    metrics_of_counts,
    ratio,
)
from mlc_cli.core.system.cores import usable_cores
from mlc_cli.core.system.threads import in_threads

Weights = NDArray[np.uint16]
CELLS = 4_000_000
FEW = 6
"""Positives below which there is no interval: even if all of five agree, chance does that, too."""
SUMMARY = tuple(field.name for field in fields(DecisionMetrics) if not field.name.endswith("_C"))


@dataclass(frozen=True)
class Interval:
    """A range that holds 95 % of the draws; nan where too little is known for one."""

    low: float
    high: float


UNDEFINED = Interval(float("nan"), float("nan"))


@dataclass(frozen=True)
class Intervals:
    """How sure the metrics of a split are.

    Attributes:
        mean_ap: Of the mean average precision.
        ap_C: Of the average precision of each class.
        decisions: Of the summary of each way to decide, by its name and the metric's.
    """

    mean_ap: Interval
    ap_C: list[Interval]
    decisions: dict[str, dict[str, Interval]]


def bootstrap(
    scores_NC: NDArray[Any],
    targets_NC: NDArray[np.int8],
    decisions: Mapping[str, NDArray[np.bool_]],
    *,
    draws: int = 200,
    seed: int = 0,
) -> Intervals:
    """Find 95 % intervals of all metrics, and of ways to decide: a name, and decisions N×C."""
    weights_BN = draw_weights(len(targets_NC), draws, seed)
    ap_BC = resampled_ap(scores_NC, targets_NC, weights_BN)
    maps = [mean_average_precision(ap_C) for ap_C in ap_BC]
    positives_C = (targets_NC == 1).sum(axis=0)
    return Intervals(
        mean_ap=interval(maps) if positives_C.sum() >= FEW else UNDEFINED,
        ap_C=[
            interval(ap_B) if positives >= FEW else UNDEFINED
            for ap_B, positives in zip(ap_BC.T, positives_C, strict=True)
        ],
        decisions={
            name: _summary(resampled_decisions(made_NC, targets_NC, weights_BN))
            for name, made_NC in decisions.items()
        },
    )


def centred(values_B: Any) -> Floats:
    """The draws that are defined, without the first, moved so that their mean is the first."""
    values = np.asarray(values_B, np.float64)
    drawn = values[1:][np.isfinite(values[1:])]
    return drawn + (values[0] - drawn.mean()) if len(drawn) else drawn


def interval(values_B: Any, *, least: float = 0.0) -> Interval:
    """The 2.5th and the 97.5th percentile around the first value, from `least` to 1."""
    drawn = centred(values_B)
    if not np.isfinite(drawn).any():
        return UNDEFINED
    low, high = np.quantile(drawn, (0.025, 0.975)).clip(least, 1)
    return Interval(float(low), float(high))


def _summary(metrics_B: list[DecisionMetrics]) -> dict[str, Interval]:
    return {name: interval([getattr(metrics, name) for metrics in metrics_B]) for name in SUMMARY}


def draw_weights(images: int, draws: int, seed: int) -> Weights:
    """How often each image is in each draw, B×N, first of all once; every row sums to N."""
    rng = np.random.default_rng(seed)
    weights_BN = np.ones((draws + 1, images), np.uint16)
    for row in weights_BN[1:] if images else ():
        row[:] = np.bincount(rng.integers(0, images, images), minlength=images)
    return weights_BN


def resampled_ap(
    scores_NC: NDArray[Any], targets_NC: NDArray[np.int8], weights_BN: Weights
) -> Floats:
    """Average precision of each class in each draw, B×C; nan where a draw has no positives."""
    result_BC = np.full((len(weights_BN), scores_NC.shape[1]), np.nan)

    def fill(c: int) -> None:
        result_BC[:, c] = _resampled_ap(scores_NC[:, c], targets_NC[:, c], weights_BN)

    list(in_threads(fill, range(scores_NC.shape[1]), min(8, usable_cores())))
    return result_BC


def _resampled_ap(
    scores_N: NDArray[Any], targets_N: NDArray[np.int8], weights_BN: Weights
) -> Floats:
    """AP = sum over groups of (positives in it) x (positives so far / known so far) / positives.

    Between two groups only the number of known images counts: it is summed over the sorted weights.
    """
    known = np.flatnonzero(targets_N >= 0)
    order = known[np.argsort(-scores_N[known].astype(np.float64), kind="stable")]
    present = targets_N[order] == 1
    if not present.any():
        return np.full(len(weights_BN), np.nan)
    sorted_scores = scores_N[order]
    last_of_group = np.append(sorted_scores[1:] != sorted_scores[:-1], True)
    group = np.cumsum(last_of_group) - last_of_group
    wanted = np.unique(group[present])
    ends_G = np.flatnonzero(last_of_group)[wanted]
    known_starts_G = np.append(0, ends_G[:-1] + 1)
    positives = order[present]
    positive_starts_G = np.searchsorted(group[present], wanted)
    order = order[: ends_G[-1] + 1]
    result_B = np.full(len(weights_BN), np.nan)
    step = max(1, CELLS // max(1, len(order)))
    for first in range(0, len(weights_BN), step):
        rows_BN = weights_BN[first : first + step]
        known_BG = _sums(rows_BN, order, known_starts_G).cumsum(axis=1)
        new_BG = _sums(rows_BN, positives, positive_starts_G)
        precision_BG = ratio(new_BG.cumsum(axis=1), known_BG)
        gained_B = np.where(new_BG > 0, new_BG * precision_BG, 0).sum(axis=1)
        result_B[first : first + step] = ratio(gained_B, new_BG.sum(axis=1))
    return result_B


def _sums(rows_BN: Weights, order: NDArray[np.int64], starts_G: NDArray[np.int64]) -> Floats:
    """Sums of weights in stretches of the order: as float32, which is four times as fast."""
    ordered_BN = rows_BN.take(order, axis=1).astype(np.float32)
    return np.add.reduceat(ordered_BN, starts_G, axis=1).astype(np.float64)


def resampled_decisions(
    decisions_NC: NDArray[np.bool_], targets_NC: NDArray[np.int8], weights_BN: Weights
) -> list[DecisionMetrics]:
    """Metrics of decisions in each draw."""
    weights = weights_BN.astype(np.float32)
    counts_BC = _counts(decisions_NC, targets_NC, weights)
    right_NC = (decisions_NC == (targets_NC == 1)) | (targets_NC < 0)
    known_N = (targets_NC >= 0).any(axis=1)  # of the others, none is right or wrong
    exact_B = ratio(
        weights @ (right_NC.all(axis=1) & known_N).astype(np.float32),
        weights @ known_N.astype(np.float32),
    )
    return [
        metrics_of_counts(counts, float(exact))
        for *counts, exact in zip(*counts_BC, exact_B, strict=True)
    ]


def _counts(
    decisions_NC: NDArray[np.bool_], targets_NC: NDArray[np.int8], weights: NDArray[np.float32]
) -> list[NDArray[np.int64]]:
    images, classes = targets_NC.shape
    totals = [np.zeros((len(weights), classes), np.int64) for _ in range(4)]
    width = max(1, CELLS // max(1, images))
    for start in range(0, classes, width):
        block = np.s_[:, start : start + width]
        flags = counted(decisions_NC[block], targets_NC[block])
        for total, ones in zip(totals, flags, strict=True):
            total[block] = weights @ ones.astype(np.float32)
    return totals
