"""Splitting images so that every class is shared out evenly.

Iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011): the rarest class first, each of its
images goes where that class is wanted most. What is shared out are units: images, or groups of
images that stay together.

Images of several classes go where the rarest of them is wanted, so that another class of theirs can
end up in one part alone. That is repaired afterwards, as far as one exchange at a time goes.

Names of arrays: N images, C classes, K parts, U units; pairs are (unit, class) with a count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def stratify(targets_NC: NDArray[np.int8], shares: Sequence[float], seed: int) -> Ints:
    """Part of each image, 0 to K - 1, by its targets (1 present, all else not present).

    Shares are scaled to sum to 1; the seed decides between equals.
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
        """Put images together, by the unit of each image and the image and class of each label."""
        codes, counts = np.unique(unit_N[owners] * classes + labels, return_counts=True)
        return cls(*np.divmod(codes, classes), counts, np.bincount(unit_N), classes)

    def by_class(self) -> list[Ints]:
        """Pairs of each class."""
        order = np.argsort(self.labels, kind="stable")
        return np.split(order, np.searchsorted(self.labels[order], np.arange(1, self.classes)))

    def by_unit(self) -> list[Ints]:
        """Classes of each unit."""
        starts = np.searchsorted(self.owners, np.arange(1, len(self.sizes_U)))
        return np.split(self.labels, starts)


def share_out(units: Units, shares: Sequence[float], seed: int) -> Ints:
    """Part of each unit, 0 to K - 1; the shares are scaled to sum to 1.

    Where a part lacks a class that another has on two units or more, there is no unit left to move,
    and no two to exchange, that would change this without taking the last unit of some class from
    a part, or sizes further from what is wanted than they are and than one image.
    """
    sharing = _Sharing(units, shares, np.random.default_rng(seed))
    sharing.run()
    return _Repair(sharing).run()


class _Sharing:
    """What is wanted and left while units are shared out one by one."""

    def __init__(self, units: Units, shares: Sequence[float], rng: np.random.Generator) -> None:
        share_K = np.asarray(shares, np.float64) / np.sum(shares)
        self.units, self.rng = units, rng
        self._left_C = np.zeros(units.classes)
        np.add.at(self._left_C, units.labels, units.counts)
        self._wanted_CK = _wanted_CK(self._left_C, share_K)
        self.wanted_K = units.sizes_U.sum() * share_K
        self.part_U = np.full(len(units.sizes_U), -1, np.int64)
        self._starts_U = np.searchsorted(units.owners, np.arange(len(units.sizes_U) + 1))

    def run(self) -> None:
        """Share out all units."""
        units, pairs_C = self.units, self.units.by_class()
        while (self._left_C > 0).any():
            rarest = int(np.where(self._left_C > 0, self._left_C, np.inf).argmin())
            pairs = pairs_C[rarest]
            pairs = self._largest_first(pairs[self.part_U[units.owners[pairs]] < 0], units.counts)
            for unit in units.owners[pairs].tolist():
                self._place(unit, self._wanted_CK[rarest])
        for unit in self._largest_first(np.flatnonzero(self.part_U < 0), units.sizes_U).tolist():
            self._place(unit, self.wanted_K)

    def _largest_first(self, choices: Ints, sizes: Ints) -> Ints:
        """In random order, but large ones while there is room for them; equals stay as drawn."""
        drawn = self.rng.permutation(choices)
        return drawn[np.argsort(-sizes[drawn], kind="stable")]

    def _place(self, unit: int, first_K: NDArray[np.float64]) -> None:
        part = _most_wanted(first_K, self.wanted_K, self.rng)
        own = slice(self._starts_U[unit], self._starts_U[unit + 1])
        labels, counts = self.units.labels[own], self.units.counts[own]
        self.part_U[unit] = part
        self._wanted_CK[labels, part] -= counts
        self.wanted_K[part] -= self.units.sizes_U[unit]
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


class _Repair:
    """Exchanges that give parts a class which they lack and another part has twice."""

    def __init__(self, sharing: _Sharing) -> None:
        units, part_U = sharing.units, sharing.part_U
        self._units, self._rng, self._part_U = units, sharing.rng, part_U
        self._excess_K = -sharing.wanted_K  # what a part was given is no longer wanted
        # The sum of the numbers of all units that have a class names the unit where there is one.
        self._count_CK = np.zeros((units.classes, len(self._excess_K)), np.int64)
        self._sum_CK = np.zeros_like(self._count_CK)
        cells = units.labels, part_U[units.owners]
        np.add.at(self._count_CK, cells, 1)
        np.add.at(self._sum_CK, cells, units.owners)

    def run(self) -> Ints:
        if len(self._lacks()):
            self._labels_U = self._units.by_unit()
            self._pairs_C = self._units.by_class()
            while sum(self._supply(*lack) for lack in self._lacks().tolist()):
                pass  # what was exchanged for one class may make room for another
        return self._part_U

    def _lacks(self) -> Ints:
        """Classes and the parts that lack them though another could give; rare classes first."""
        count_CK = self._count_CK
        lacks = np.argwhere((count_CK == 0) & (count_CK.max(axis=1, keepdims=True) > 1))
        return lacks[np.argsort(count_CK.sum(axis=1)[lacks[:, 0]], kind="stable")]

    def _supply(self, label: int, part: int) -> bool:
        """Whether a part was given a class."""
        if self._count_CK[label, part]:
            return False
        owners, there = self._owners(label), np.flatnonzero(self._part_U == part)
        for giver in np.flatnonzero(self._count_CK[label] > 1).tolist():
            have = owners[self._part_U[owners] == giver]
            if self._exchange(have, there) or self._give(have, giver, part):
                return True
        return False

    def _exchange(self, ones: Ints, others: Ints) -> bool:
        """Whether a unit of one part could change places with a unit of another."""
        few, many = (ones, others) if len(ones) <= len(others) else (others, ones)
        for unit in self._rng.permutation(few).tolist():
            partners = self._partners(unit, many)
            if len(partners):
                partner = int(self._rng.choice(partners))
                here, there = self._part_U[[unit, partner]].tolist()
                self._move(unit, there)
                self._move(partner, here)
                return True
        return False

    def _partners(self, unit: int, choices: Ints) -> Ints:
        """Those of another part that a unit can change places with."""
        sizes_U, own = self._units.sizes_U, self._labels_U[unit]
        here, there = self._part_U[[unit, choices[0]]].tolist()
        choices = choices[self._stay_near(sizes_U[unit] - sizes_U[choices], here, there)]
        last_C = self._count_CK[:, there] == 1
        last_C[own] = False
        choices = choices[~np.isin(choices, self._sum_CK[last_C, there])]
        for label in own[self._count_CK[own, here] == 1].tolist():
            choices = np.intersect1d(choices, self._owners(label))
        return choices

    def _give(self, have: Ints, giver: int, taker: int) -> bool:
        """Whether a unit could go to another part."""
        last_C = self._count_CK[:, giver] == 1
        free = have[~np.isin(have, self._sum_CK[last_C, giver])]
        free = free[self._stay_near(self._units.sizes_U[free], giver, taker)]
        if len(free):
            self._move(int(self._rng.choice(free)), taker)
        return bool(len(free))

    def _owners(self, label: int) -> Ints:
        return self._units.owners[self._pairs_C[label]]

    def _stay_near(self, change: Ints, giver: int, taker: int) -> NDArray[np.bool_]:
        """Whether parts stay within an image of what is wanted, or get no further from it."""
        before = np.abs(self._excess_K[[giver, taker]]).max()
        after = np.maximum(
            np.abs(self._excess_K[giver] - change), np.abs(self._excess_K[taker] + change)
        )
        near: NDArray[np.bool_] = after <= max(1, before) + 1e-6  # shares are rounded
        return near

    def _move(self, unit: int, part: int) -> None:
        labels, old = self._labels_U[unit], self._part_U[unit]
        for one, sign in ((old, -1), (part, 1)):
            self._excess_K[one] += sign * self._units.sizes_U[unit]
            self._count_CK[labels, one] += sign
            self._sum_CK[labels, one] += sign * unit
        self._part_U[unit] = part
