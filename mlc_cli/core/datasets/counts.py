"""A split in numbers.

Names of arrays: C classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.annotations import Annotation

MOST_LABELS = 10
"""Labels from which images are counted together in histograms."""


@dataclass(frozen=True)
class SplitCounts:
    """A split in numbers.

    Attributes:
        histogram: Images by their number of labels, 0 to `MOST_LABELS` and more.
        positives_C: Images that have each class.
        unknown_C: Images whose state of each class is unknown.
    """

    images: int
    histogram: list[int]
    positives_C: NDArray[np.int64]
    unknown_C: NDArray[np.int64]

    @property
    def labels(self) -> int:
        """Labels of all images together."""
        return int(self.positives_C.sum())

    @property
    def labels_an_image(self) -> float:
        """Their mean number."""
        return self.labels / self.images

    @property
    def without(self) -> int:
        """Images without labels."""
        return self.histogram[0]

    @property
    def unknown(self) -> int:
        """Labels of unknown state of all images together."""
        return int(self.unknown_C.sum())


def count_split(annotation: Annotation) -> SplitCounts:
    """Count the images and labels of a split."""
    sizes_N = np.minimum(annotation.positives.sizes_N(), MOST_LABELS)
    return SplitCounts(
        images=len(annotation),
        histogram=np.bincount(sizes_N, minlength=MOST_LABELS + 1).tolist(),
        positives_C=annotation.positives.counts_C(len(annotation.classes)),
        unknown_C=annotation.unknown_C(),
    )
