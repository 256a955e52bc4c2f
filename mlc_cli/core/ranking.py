"""Where the positives of each class stand among its scores: what AP and thresholds are made of.

Names of arrays: N images, C classes, P positives of a class, K known images of a class. Targets are
int8: 1 present, 0 absent, -1 unknown.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.cores import usable_cores

BLOCK_BYTES = 64 * 2**20
_BAND_ROWS = 256
_KEYS: dict[str, type[np.unsignedinteger[Any]]] = {"float32": np.uint32, "float64": np.uint64}


@dataclass(frozen=True)
class RankedPositives:
    """The P positives of a class among all known images.

    Attributes:
        scores_P: Scores of the positives, ascending.
        hits_P: Positives with at least this score.
        ranks_P: Known images with at least this score.
        lower_P: Next lower score of a known image; -inf if there is none.
    """

    scores_P: NDArray[Any]
    hits_P: NDArray[np.int64]
    ranks_P: NDArray[np.int64]
    lower_P: NDArray[Any]


def rank_positives(scores_N: NDArray[Any], targets_N: NDArray[np.int8]) -> RankedPositives:
    """Rank the positives of one class; equal scores share the lowest rank."""
    known_K = np.sort(scores_N[targets_N >= 0])
    scores_P = np.sort(scores_N[targets_N == 1])
    return _ranked(scores_P, np.searchsorted(known_K, scores_P, side="left"), known_K)


def _ranked(
    scores_P: NDArray[Any], places_P: NDArray[np.int64], known_K: NDArray[Any]
) -> RankedPositives:
    """From the place of the first equal of each positive among the known scores, ascending."""
    lower_P = known_K[places_P - 1]
    lower_P[places_P == 0] = -np.inf
    return RankedPositives(
        scores_P=scores_P,
        hits_P=len(scores_P) - _first_of_equals(scores_P),
        ranks_P=len(known_K) - places_P,
        lower_P=lower_P,
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

    def rank_block(start: int, stop: int) -> None:
        block = scores_NC[:, start:stop], targets_NC[:, start:stop]
        for c, ranked in enumerate(_rank_keyed(*block) if keyed else _rank_each(*block), start):
            work(c, ranked)

    over_class_blocks(scores_NC, rank_block)


def _rank_each(scores_NC: NDArray[Any], targets_NC: NDArray[np.int8]) -> Iterable[RankedPositives]:
    return map(rank_positives, np.ascontiguousarray(scores_NC.T), targets_NC.T)


def _rank_keyed(scores_NC: NDArray[Any], targets_NC: NDArray[np.int8]) -> Iterator[RankedPositives]:
    """Rank scores that are not negative, by one sort of whole numbers for each class."""
    keys_CN = _keys(scores_NC, targets_NC)
    keys_CN.sort(axis=1)
    unknown = np.iinfo(keys_CN.dtype).max
    for keys_N in keys_CN:
        keys_K = keys_N[: np.searchsorted(keys_N, keys_N.dtype.type(unknown))]
        places_P = np.flatnonzero((keys_K & 1) == 0)
        keys_K >>= 1
        known_K = keys_K.view(scores_NC.dtype)
        scores_P = known_K[places_P]
        yield _ranked(scores_P, places_P[_first_of_equals(scores_P)], known_K)


def _keys(scores_NC: NDArray[Any], targets_NC: NDArray[np.int8]) -> NDArray[Any]:
    """C×N whole numbers in the order of the scores, the positives first among equals.

    The bits of floats that are not negative, read as whole numbers, are in the order of the floats,
    and the sign is free: shifted out, it makes room for the label. Unknown entries come last. The
    transpose is made in bands of rows that stay in the cache.
    """
    unsigned = _KEYS[scores_NC.dtype.name]
    unknown = targets_NC.size > 0 and targets_NC.min() < 0
    keys_CN = np.empty(scores_NC.shape[::-1], unsigned)
    for row in range(0, len(scores_NC), _BAND_ROWS):
        band = slice(row, row + _BAND_ROWS)
        keys = scores_NC[band].view(unsigned) << 1
        keys |= targets_NC[band] != 1
        if unknown:
            keys[targets_NC[band] < 0] = np.iinfo(unsigned).max
        keys_CN[:, band] = keys.T
    return keys_CN


def over_class_blocks(scores_NC: NDArray[Any], work: Callable[[int, int], None]) -> None:
    """Call `work` on ranges of classes, in threads: numpy sorts without the interpreter lock."""
    images, classes = scores_NC.shape
    threads = min(8, usable_cores())
    fitting = BLOCK_BYTES // max(1, images * scores_NC.itemsize)
    width = max(1, min(fitting, -(-classes // threads)))
    starts = range(0, classes, width)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda start: work(start, min(start + width, classes)), starts))
