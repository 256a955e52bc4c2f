"""Pairs of 64-bit hashes that differ in few bits, without comparing all with all."""

from collections.abc import Iterator
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BITS = 64
_Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]
_NONE: _Pairs = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8))


class Near(NamedTuple):
    """Pairs of different hashes, as indexes with `first_P` < `second_P`, and the bits that differ.

    There were more than were asked for where `complete` is false.
    """

    first_P: NDArray[np.int64]
    second_P: NDArray[np.int64]
    distances_P: NDArray[np.uint8]
    complete: bool


def near_pairs(hashes_U: NDArray[np.uint64], distance: int, most: int) -> Near:
    """All pairs of hashes that differ in at most so many bits (0 to 63), if they are not too many.

    Two hashes that differ in at most d bits are equal in at least one of d + 1 bands of bits
    (the pigeonhole principle), so only those that share a band are compared.
    """
    edges = np.linspace(0, BITS, distance + 2).astype(int).tolist()
    masks = [np.uint64(((1 << stop) - 1) ^ ((1 << start) - 1)) for start, stop in pairwise(edges)]
    bands = (
        _pairs_within(hashes_U, mask, masks[:band], distance) for band, mask in enumerate(masks)
    )
    parts, found = [_NONE], 0
    for part in chain.from_iterable(bands):
        parts.append(part)
        found += len(part[0])
        if found > most:
            break
    one, other, counts = (np.concatenate(column)[:most] for column in zip(*parts, strict=True))
    first, second = np.minimum(one, other), np.maximum(one, other)
    order = np.lexsort((second, first))
    return Near(first[order], second[order], counts[order], found <= most)


def _pairs_within(
    hashes_U: NDArray[np.uint64], mask: np.uint64, earlier: list[np.uint64], distance: int
) -> Iterator[_Pairs]:
    """Compare hashes that are equal under a mask, each with its next, next but one, and so on."""
    keys_U = hashes_U & mask
    order_U = np.argsort(keys_U, kind="stable")
    keys_U, sorted_U = keys_U[order_U], hashes_U[order_U]
    ends_U = np.searchsorted(keys_U, keys_U, side="right")
    rows, step = np.arange(len(hashes_U)), 0
    while True:
        step += 1
        rows = rows[rows + step < ends_U[rows]]
        if not len(rows):
            return
        bits = sorted_U[rows] ^ sorted_U[rows + step]
        counts = np.bitwise_count(bits)
        close = np.flatnonzero(counts <= distance)
        for other in earlier:  # a pair belongs to the first band in which it is equal
            close = close[(bits[close] & other) != 0]
        yield order_U[rows[close]], order_U[rows[close] + step], counts[close]
