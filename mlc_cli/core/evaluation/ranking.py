"""Where the positives of each class stand among its scores: what AP and thresholds are made of.

Names of arrays: N images, C classes, P positives of a class, K known images of a class. Targets are
int8: 1 present, 0 absent, -1 unknown.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.system.cores import usable_cores
from mlc_cli.core.system.threads import in_threads

BLOCK_BYTES = 64 * 2**20
BLOCK_CELLS = 2**24
_BAND_ROWS = 2048
_KEYS: dict[str, type[np.unsignedinteger[Any]]] = {"float32": np.uint32, "float64": np.uint64}


@dataclass(frozen=True)
class RankedPositives:
    """The P positives of a class among all known images.

    Attributes:
        scores_P: Scores of the positives, ascending.
        hits_P: Positives with at least this score.
        sorted_rank_P: Known images with at least this score.
        above_P: Known images with a higher score.
        lower_P: Next lower score of a known image; -inf if there is none.
        known: All known images.
    """

    scores_P: NDArray[Any]
    hits_P: NDArray[np.int64]
    sorted_rank_P: NDArray[np.int64]
    above_P: NDArray[np.int64]
    lower_P: NDArray[Any]
    known: int


def rank_positives(scores_N: NDArray[Any], targets_N: NDArray[np.int8]) -> RankedPositives:
    """Rank the positives of one class; equal scores share the lowest rank."""
    known_K = np.sort(scores_N[targets_N >= 0])
    scores_P = np.sort(scores_N[targets_N == 1])
    places_P = np.searchsorted(known_K, scores_P, side="left")
    return _ranked(scores_P, _first_of_equals(scores_P), known_K, places_P)


def rank_all(scores_NC: NDArray[Any], targets_NC: NDArray[np.int8]) -> RankedPositives:
    """Rank the positives of all classes together; beside them a block of scores is in memory."""
    if scores_NC.size <= BLOCK_CELLS:
        return rank_positives(scores_NC.ravel(), targets_NC.ravel())
    by_class = scores_NC.flags.f_contiguous
    scores, targets = (scores_NC.T, targets_NC.T) if by_class else (scores_NC, targets_NC)
    step = max(1, BLOCK_CELLS // scores.shape[1])
    blocks = [slice(start, start + step) for start in range(0, len(scores), step)]
    scores_P = np.sort(np.concatenate([scores[b][targets[b] == 1] for b in blocks]))
    rank_P, known = np.zeros(len(scores_P), np.int64), 0  # of what is below, until the end
    above_P = np.zeros_like(rank_P)
    lower_P = np.full_like(scores_P, -np.inf)
    for block in blocks:
        known_K = np.sort(scores[block][targets[block] >= 0])
        places_P = np.searchsorted(known_K, scores_P)
        rank_P += places_P
        known += len(known_K)
        above_P += len(known_K) - np.searchsorted(known_K, scores_P, side="right")
        below_K = np.append(scores_P.dtype.type(-np.inf), known_K)
        np.maximum(lower_P, below_K[places_P], out=lower_P)
    np.subtract(known, rank_P, out=rank_P)
    hits_P = len(scores_P) - _first_of_equals(scores_P)
    return RankedPositives(scores_P, hits_P, rank_P, above_P, lower_P, known)


def _ranked(
    scores_P: NDArray[Any],
    first_P: NDArray[np.int64],
    known_K: NDArray[Any],
    places_P: NDArray[np.int64],
) -> RankedPositives:
    """From where the first equal of each positive is, among the positives and all that is known."""
    lower_P = known_K[places_P - 1]
    lower_P[places_P == 0] = -np.inf
    return RankedPositives(
        scores_P=scores_P,
        hits_P=len(scores_P) - first_P,
        sorted_rank_P=len(known_K) - places_P,
        above_P=len(known_K) - np.searchsorted(known_K, scores_P, side="right"),
        lower_P=lower_P,
        known=len(known_K),
    )


def _first_of_equals(ascending_P: NDArray[Any]) -> NDArray[np.int64]:
    """Position of the first value that equals each one."""
    places_P = np.arange(len(ascending_P))
    places_P[1:][ascending_P[1:] == ascending_P[:-1]] = 0
    return np.maximum.accumulate(places_P)


def over_classes(
    scores_NC: NDArray[Any],
    targets_NC: NDArray[np.int8],
    work: Callable[[int, RankedPositives], None],
) -> None:
    """Rank the positives of every class of finite scores; `work` gets the class and its ranks."""
    keyed = scores_NC.dtype.name in _KEYS and scores_NC.size > 0 and scores_NC.min() >= 0
    if not keyed:
        for c, (scores_N, targets_N) in enumerate(zip(scores_NC.T, targets_NC.T, strict=True)):
            work(c, rank_positives(np.ascontiguousarray(scores_N), targets_N))
        return
    images, classes = scores_NC.shape
    least = 1 if scores_NC.flags.f_contiguous else 64 // scores_NC.itemsize  # of one cache line
    width = max(least, BLOCK_BYTES // (images * scores_NC.itemsize))
    for start in range(0, classes, width):
        block = slice(start, start + width)
        keys_CN = _keys(scores_NC[:, block], targets_NC[:, block])
        for c, keys_N in enumerate(_sorted_rows(keys_CN), start):
            work(c, _rank_keys(keys_N, scores_NC.dtype))


def _threads() -> int:
    return min(8, usable_cores())


def _sorted_rows(keys_CN: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Rows, each sorted in place; threads sort on while the first ones are looked at.

    numpy sorts many rows without the interpreter lock. Ranking is made of small steps that would
    fight for it, and stays in one thread.
    """
    width = -(-len(keys_CN) // (4 * _threads()))
    parts = [keys_CN[row : row + width] for row in range(0, len(keys_CN), width)]

    def in_order(part: NDArray[Any]) -> NDArray[Any]:
        part.sort(axis=1)
        return part

    for part in in_threads(in_order, parts, _threads()):
        yield from part


def _rank_keys(keys_N: NDArray[Any], scores: np.dtype[Any]) -> RankedPositives:
    """Rank the positives of a class by its sorted keys, which are used up."""
    unknown = keys_N.dtype.type(np.iinfo(keys_N.dtype).max)
    keys_K = keys_N[: np.searchsorted(keys_N, unknown)]
    places_P = np.flatnonzero((keys_K & 1) == 0)
    keys_K >>= 1
    known_K = keys_K.view(scores)
    scores_P = known_K[places_P]
    first_P = _first_of_equals(scores_P)
    return _ranked(scores_P, first_P, known_K, places_P[first_P])


def _keys(scores_NC: NDArray[Any], targets_NC: NDArray[np.int8]) -> NDArray[Any]:
    """C×N whole numbers in the order of the scores, the positives first among equals.

    The bits of floats that are not negative, read as whole numbers, are in the order of the floats,
    and the sign is free: shifted out, it makes room for the label. Unknown entries come last. The
    transpose is made in bands of rows, in threads.
    """
    unsigned = _KEYS[scores_NC.dtype.name]
    unknown = targets_NC.size > 0 and targets_NC.min() < 0
    keys_CN = np.empty(scores_NC.shape[::-1], unsigned)

    def fill(row: int) -> None:
        band = slice(row, row + _BAND_ROWS)
        keys = scores_NC[band].view(unsigned) << 1
        keys |= targets_NC[band] != 1
        if unknown:
            keys[targets_NC[band] < 0] = np.iinfo(unsigned).max
        keys_CN[:, band] = keys.T

    list(in_threads(fill, range(0, len(scores_NC), _BAND_ROWS), _threads()))
    return keys_CN
