"""Counting labels: by class and split, by image, and together.

Names of arrays: S splits, C classes of all splits together.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from mlc_cli.core.datasets.annotations import Label
from mlc_cli.core.datasets.counts import SplitCounts, count_split
from mlc_cli.core.datasets.inspection.collection import Collection

LEAST_TOGETHER = 5
"""Images that two labels must share before something is made of it."""


class Together(NamedTuple):
    """Two classes on the same images, the rarer one first.

    Attributes:
        share: Part of the images with the first that have the second, too.
        lift: How many times more often than by chance they are together.
    """

    first: int
    second: int
    images: int
    share: float
    lift: float


@dataclass(frozen=True)
class Statistics:
    """Labels of a collection in numbers; classes are those of all splits.

    `listed_SC` says whether a split lists a class; `labels` has a 1 for each label of an image.
    """

    classes: tuple[Label, ...]
    splits: dict[str, SplitCounts]
    positives_SC: NDArray[np.int64]
    unknown_SC: NDArray[np.int64]
    listed_SC: NDArray[np.bool_]
    labels: csr_array

    @property
    def images(self) -> int:
        """Images of all splits."""
        return sum(split.images for split in self.splits.values())

    @property
    def positives_C(self) -> NDArray[np.int64]:
        """Images with each label in all splits."""
        return np.asarray(self.positives_SC.sum(axis=0), np.int64)

    @property
    def shares_SC(self) -> NDArray[np.float64]:
        """Part of the images of known state that have each label; 0 where none is known."""
        images_S = np.array([split.images for split in self.splits.values()])
        known_SC = images_S[:, None] - self.unknown_SC
        return np.asarray(self.positives_SC / np.maximum(1, known_SC), np.float64)

    @cached_property
    def _together(self) -> csr_array:
        """Images with both of any two classes."""
        return csr_array(self.labels.T @ self.labels)

    def imbalance(self) -> float | None:
        """Positives of the most frequent class against those of the rarest that has any."""
        there = self.positives_C[self.positives_C > 0]
        return float(there.max() / there.min()) if len(there) else None

    def pairs(self, least: int = LEAST_TOGETHER) -> list[Together]:
        """Pairs of classes that share images, those with the highest lift first."""
        positives_C = self.positives_C
        upper = self._together.tocoo()
        kept = (upper.row < upper.col) & (upper.data >= least)
        found = []
        for a, b, images in zip(
            upper.row[kept].tolist(), upper.col[kept].tolist(), upper.data[kept].tolist(),
            strict=True,
        ):  # fmt: skip
            first, second = sorted((a, b), key=lambda c: (positives_C[c], c))
            share = images / int(positives_C[first])
            lift = share * self.images / int(positives_C[second])
            found.append(Together(first, second, int(images), share, lift))
        return sorted(found, key=lambda pair: (-pair.lift, -pair.images, pair.first))

    def matrix(self, classes: list[int]) -> NDArray[np.int64]:
        """Images with both of any two of some classes."""
        return np.asarray(self._together[classes][:, classes].toarray(), np.int64)


def count(collection: Collection) -> Statistics:
    """Count the labels of a collection."""
    classes = collection.classes
    column = {name: c for c, name in enumerate(classes)}
    splits = {name: count_split(split) for name, split in collection.splits.items()}
    shape = len(splits), len(classes)
    positives_SC, unknown_SC = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    listed_SC = np.zeros(shape, np.bool_)
    labels = []
    for s, (name, split) in enumerate(collection.splits.items()):
        columns_C = np.array([column[label] for label in split.classes])
        positives_SC[s, columns_C] = splits[name].positives_C
        unknown_SC[s, columns_C] = splits[name].unknown_C
        listed_SC[s, columns_C] = True
        columns = columns_C[split.positives.indices]
        ones = np.ones(len(columns), np.int64)
        size = len(split), len(classes)
        labels.append(csr_array((ones, columns, split.positives.starts), shape=size))
    stacked = vstack(labels, "csr") if labels else csr_array((0, 0), dtype=np.int64)
    return Statistics(classes, splits, positives_SC, unknown_SC, listed_SC, stacked)
