"""Splitting images so that every class is shared out evenly.

Iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011): the rarest class first, each of its
images goes where that class is wanted most. What is shared out are units: images, or groups of
images that stay together.

Names of arrays: N images, C classes, K parts, U units; pairs are (unit, class) with a count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def stratify(targets_NC: NDArray[np.int8], shares: Sequence[float], seed: int) -> Ints:
    """Share images out to parts.

    Args:
        targets_NC: 1 present; everything else counts as not present.
        shares: Wanted part of the images of each of the K parts; they are scaled to sum to 1.
        seed: Decides between equals.

    Returns:
        Part of each image, 0 to K - 1.
    """
    owners, labels = np.nonzero(targets_NC == 1)
    units_N = np.arange(len(targets_NC))
    return share_out(Units.of_images(units_N, owners, labels, targets_NC.shape[1]), shares, seed)


@dataclass(frozen=True)
class Units:
    """What is shared out: which classes each unit has on how many of its images.

    Attributes:
        owners: Unit of each pair, ascending.
        labels: Class of each pair.
        counts: Images of the unit that have the class.
        sizes_U: Images of each unit.
        classes: Number of classes.
    """

    owners: Ints
    labels: Ints
    counts: Ints
    sizes_U: Ints
    classes: int

    @classmethod
    def of_images(cls, unit_N: Ints, owners: Ints, labels: Ints, classes: int) -> "Units":
        """Put images together.

        Args:
            unit_N: Unit of each image, from 0 without gaps.
            owners: Image of each label.
            labels: Class of each label.
            classes: Number of classes.
        """
        codes, counts = np.unique(unit_N[owners] * classes + labels, return_counts=True)
        return cls(*np.divmod(codes, classes), counts, np.bincount(unit_N), classes)


def share_out(units: Units, shares: Sequence[float], seed: int) -> Ints:
    """Share units out to parts.

    Args:
        units: Images, or groups of images.
        shares: Wanted part of the images of each of the K parts; they are scaled to sum to 1.
        seed: Decides between equals.

    Returns:
        Part of each unit, 0 to K - 1.
    """
    return _Sharing(units, shares, np.random.default_rng(seed)).run()


class _Sharing:
    """What is wanted and left while units are shared out one by one."""

    def __init__(self, units: Units, shares: Sequence[float], rng: np.random.Generator) -> None:
        share_K = np.asarray(shares, np.float64) / np.sum(shares)
        self._units = units
        self._rng = rng
        self._left_C = np.zeros(units.classes)
        np.add.at(self._left_C, units.labels, units.counts)
        self._wanted_CK = _wanted_CK(self._left_C, share_K)
        self._wanted_K = units.sizes_U.sum() * share_K
        self._part_U = np.full(len(units.sizes_U), -1, np.int64)
        self._starts_U = np.searchsorted(units.owners, np.arange(len(units.sizes_U) + 1))

    def run(self) -> Ints:
        units, by_class = self._units, np.argsort(self._units.labels, kind="stable")
        starts_C = np.searchsorted(units.labels[by_class], np.arange(units.classes + 1))
        while (self._left_C > 0).any():
            rarest = int(np.where(self._left_C > 0, self._left_C, np.inf).argmin())
            pairs = by_class[starts_C[rarest] : starts_C[rarest + 1]]
            pairs = self._largest_first(pairs[self._part_U[units.owners[pairs]] < 0], units.counts)
            for unit in units.owners[pairs].tolist():
                self._place(unit, self._wanted_CK[rarest])
        for unit in self._largest_first(np.flatnonzero(self._part_U < 0), units.sizes_U).tolist():
            self._place(unit, self._wanted_K)
        return self._part_U

    def _largest_first(self, choices: Ints, sizes: Ints) -> Ints:
        """In random order, but large ones while there is room for them; equals stay as drawn."""
        drawn = self._rng.permutation(choices)
        return drawn[np.argsort(-sizes[drawn], kind="stable")]

    def _place(self, unit: int, first_K: NDArray[np.float64]) -> None:
        part = _most_wanted(first_K, self._wanted_K, self._rng)
        own = slice(self._starts_U[unit], self._starts_U[unit + 1])
        labels, counts = self._units.labels[own], self._units.counts[own]
        self._part_U[unit] = part
        self._wanted_CK[labels, part] -= counts
        self._wanted_K[part] -= self._units.sizes_U[unit]
        self._left_C[labels] -= counts


def _wanted_CK(count_C: NDArray[np.float64], share_K: NDArray[np.float64]) -> NDArray[np.float64]:
    """Images of each class for each part: by share, but one for each part where that is possible.

    Three images and shares of 0.8, 0.1 and 0.1 would else all go to the first part.
    """
    parts = len(share_K)
    by_share = count_C[:, None] * share_K
    one_each = 1 + (count_C - parts)[:, None] * share_K
    scarce_C = (count_C >= parts) & (by_share.min(axis=1) < 1)
    return np.where(scarce_C[:, None], one_each, by_share)


def _most_wanted(
    first_K: NDArray[np.float64], second_K: NDArray[np.float64], rng: np.random.Generator
) -> int:
    """Part with the largest first value, then the largest second, then at random."""
    best = np.flatnonzero(first_K == first_K.max())
    if len(best) > 1:
        best = best[second_K[best] == second_K[best].max()]
    return int(best[0] if len(best) == 1 else rng.choice(best))
