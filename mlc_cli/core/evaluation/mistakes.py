"""Which decisions are wrong: the worst of each class, and which go together.

Names of arrays: N images, C classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.evaluation.metrics import Floats


@dataclass(frozen=True)
class Mistakes:
    """Wrong decisions of a class.

    Attributes:
        extra: Images that are predicted but lack the label, the highest score first.
        extra_total: How many there are in all.
        missed: Images that have the label but are not predicted, the lowest score first.
        missed_total: How many there are in all.
    """

    extra: list[int]
    extra_total: int
    missed: list[int]
    missed_total: int

    @property
    def total(self) -> int:
        """Wrong decisions in all."""
        return self.extra_total + self.missed_total


def worst_mistakes(
    scores_NC: NDArray[Any],
    targets_NC: NDArray[np.int8],
    decisions_NC: NDArray[np.bool_],
    limit: int,
) -> list[Mistakes]:
    """Find the worst mistakes of each class, at most `limit` of each kind."""
    result = []
    for c in range(targets_NC.shape[1]):
        extra = np.flatnonzero(decisions_NC[:, c] & (targets_NC[:, c] == 0))
        missed = np.flatnonzero(~decisions_NC[:, c] & (targets_NC[:, c] == 1))
        by_extra = np.argsort(-scores_NC[extra, c].astype(np.float64), kind="stable")[:limit]
        by_missed = np.argsort(scores_NC[missed, c], kind="stable")[:limit]
        result.append(
            Mistakes(extra[by_extra].tolist(), len(extra), missed[by_missed].tolist(), len(missed))
        )
    return result


@dataclass(frozen=True)
class ErrorPair:
    """One label is missed and, in the same image, another one is wrongly predicted.

    Attributes:
        missed: Index of the class that is missed.
        extra: Index of the class that is predicted in its place.
        count: Images in which both happen.
        missed_total: Images in which the first happens.
        expected: Images in which both would happen if the mistakes had nothing to do with each
            other: missed_total x (images in which the second happens) / N.
    """

    missed: int
    extra: int
    count: int
    missed_total: int
    expected: float


def joint_mistakes(
    targets_NC: NDArray[np.int8], decisions_NC: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], Floats]:
    """Count images in which one label is missed and another is wrongly predicted.

    Returns:
        counts_CC[m, e] of images that miss m and wrongly have e; and how many would be expected by
        chance.
    """
    missed_NC = (~decisions_NC & (targets_NC == 1)).astype(np.float32)
    extra_NC = (decisions_NC & (targets_NC == 0)).astype(np.float32)
    counts_CC = (missed_NC.T @ extra_NC).astype(np.int64)
    missed_C = missed_NC.sum(axis=0, dtype=np.float64)
    extra_C = extra_NC.sum(axis=0, dtype=np.float64)
    return counts_CC, np.outer(missed_C, extra_C) / max(1, len(targets_NC))


def error_pairs(
    targets_NC: NDArray[np.int8], decisions_NC: NDArray[np.bool_], limit: int
) -> tuple[list[ErrorPair], NDArray[np.int64]]:
    """Pairs of mistakes that come together more often than by chance, the most excess first.

    At most so many, each seen twice or more; beside them all counts of `joint_mistakes`.
    """
    counts_CC, expected_CC = joint_mistakes(targets_NC, decisions_NC)
    missed_C = (~decisions_NC & (targets_NC == 1)).sum(axis=0)
    excess_CC = np.where(counts_CC >= 2, counts_CC - expected_CC, 0.0)
    order = np.argsort(-excess_CC, axis=None, kind="stable")[:limit]
    pairs = [
        ErrorPair(int(m), int(e), int(counts_CC[m, e]), int(missed_C[m]), float(expected_CC[m, e]))
        for m, e in zip(*np.unravel_index(order, excess_CC.shape), strict=True)
        if excess_CC[m, e] > 0
    ]
    return pairs, counts_CC
