"""Images that are there more than once: the same bytes, or nearly the same picture.

Names of arrays: R rows of files that can be used, K contents (files with different bytes), U hashes
that are different.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.annotations import Label
from mlc_cli.core.datasets.inspection.collection import Collection
from mlc_cli.core.datasets.inspection.near import near_pairs
from mlc_cli.core.datasets.inspection.scan import Files

MOST_PAIRS = 100_000
MOST_COMPARED = 1_000


class Copies(NamedTuple):
    """Rows of files with the same bytes, in order, and whether their labels contradict."""

    rows: tuple[int, ...]
    contradict: bool


class Alike(NamedTuple):
    """Rows of two nearly equal pictures, each the first of its copies.

    Their hashes differ in `distance` bits of 64.
    """

    first: int
    second: int
    distance: int
    contradict: bool


@dataclass(frozen=True)
class Duplicates:
    """What is there more than once.

    Of many pictures that are all alike, each is in a pair, but not all pairs are there; the closest
    come first. There were too many to collect where `complete` is false.
    """

    copies: tuple[Copies, ...]
    alike: tuple[Alike, ...]
    complete: bool


def find_duplicates(collection: Collection, files: Files, distance: int) -> Duplicates:
    """Find copies, and pictures whose hashes differ in at most `distance` bits of 64."""
    rows = np.flatnonzero(files.usable_N)
    _, first_K, content_R, sizes_K = np.unique(
        files.facts_N["digest"][rows], return_index=True, return_inverse=True, return_counts=True
    )
    by_content = np.split(rows[np.argsort(content_R, kind="stable")], np.cumsum(sizes_K)[:-1])
    groups = sorted(tuple(group.tolist()) for group in by_content if len(group) > 1)
    copies = [Copies(group, _contradict(collection, group)) for group in groups]
    bounds = [collection.rows(name).stop for name in collection.names]
    splits_K = np.zeros(len(first_K), np.int64)
    np.bitwise_or.at(splits_K, content_R, 1 << np.searchsorted(bounds, rows, side="right"))
    kept = np.argsort(first_K)
    kept = kept[~files.facts_N["flat"][rows[first_K[kept]]]]
    rows_K = rows[first_K[kept]]
    facts_K = files.facts_N[rows_K]
    contents = _Contents(rows_K, splits_K[kept], facts_K["coarse"], facts_K["fine"])
    found, complete = contents.pairs(distance)
    alike = [
        Alike(first, second, bits, _contradict(collection, (first, second)))
        for first, second, bits in sorted(found, key=lambda pair: (pair[2], pair[0], pair[1]))
    ]
    return Duplicates(tuple(copies), tuple(alike), complete)


def _contradict(collection: Collection, rows: tuple[int, ...]) -> bool:
    labels = [collection.labels(row) for row in rows]
    present = frozenset[Label]().union(*(one.present for one in labels))
    return any(one.absent(present) for one in labels)


@dataclass(frozen=True)
class _Contents:
    """Different files, without those of one shade, in the order of their first rows.

    `splits_K` has a bit for each split that has one.
    """

    rows_K: NDArray[np.int64]
    splits_K: NDArray[np.int64]
    coarse_K: NDArray[np.uint64]
    fine_K4: NDArray[np.uint64]

    def pairs(self, distance: int) -> tuple[set[tuple[int, int, int]], bool]:
        """Pairs of rows with their distance, and whether these are all."""
        hashes_U, member_K, counts_U = np.unique(
            self.coarse_K, return_inverse=True, return_counts=True
        )
        near = near_pairs(hashes_U, distance, MOST_PAIRS)
        meetings = [(u, u, 0) for u in np.flatnonzero(counts_U > 1).tolist()]
        meetings += zip(
            near.first_P.tolist(), near.second_P.tolist(), near.distances_P.tolist(), strict=True
        )
        wanted_U = np.zeros(len(hashes_U), np.bool_)
        wanted_U[[u for u, _, _ in meetings]] = wanted_U[[v for _, v, _ in meetings]] = True
        members: dict[int, list[int]] = {}
        for k in np.flatnonzero(wanted_U[member_K]).tolist():
            members.setdefault(int(member_K[k]), []).append(k)
        found = {
            (int(self.rows_K[k]), int(self.rows_K[other]), bits)
            for u, v, bits in meetings
            for one, two in self._compared(members[u], members[v])
            for k, other in [sorted((one, two))]
            if k < other and self._fine_distance(k, other) <= fine_limit(distance)
        }
        return found, near.complete

    def _compared(self, us: list[int], vs: list[int]) -> Iterator[tuple[int, int]]:
        """Contents of two hashes that are compared: all with all, if they are not too many.

        Otherwise each is compared with the first of the others in every split: if it has an equal
        in another split, it finds one.
        """
        if len(us) * len(vs) <= MOST_COMPARED:
            yield from product(us, vs)
        else:
            yield from product(us, self._first_in_splits(vs))
            yield from product(vs, self._first_in_splits(us))

    def _first_in_splits(self, contents: list[int]) -> set[int]:
        """The first of some contents in each split."""
        firsts: dict[int, int] = {}
        for k in contents:
            splits = int(self.splits_K[k])
            for number in range(splits.bit_length()):
                if splits >> number & 1:
                    firsts.setdefault(number, k)
        return set(firsts.values())

    def _fine_distance(self, one: int, other: int) -> int:
        return int(np.bitwise_count(self.fine_K4[one] ^ self.fine_K4[other]).sum())


def fine_limit(distance: int) -> int:
    """Bits of 256 in which nearly equal pictures differ at most.

    As large a part as of the 64, and some more, as fine detail suffers first: of photographs that
    were saved anew, resized or made brighter, all are within it; of sparse drawings, whose coarse
    hashes are often close by chance, hardly any.
    """
    return 4 * distance + 12
