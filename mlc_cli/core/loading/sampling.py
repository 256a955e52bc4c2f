"""Which images an epoch shows, and in which order: by the seed and the epoch alone."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.loading.dataset import Key
from mlc_cli.core.system.distributed import ALONE, Group


def repeat_factors(split: Annotation, part: float) -> NDArray[np.float64]:
    """How often an epoch is to show each image, so that rare classes are seen more.

    r_c = max(1, sqrt(part / f_c)) for a class that is present in a part f_c of the images in
    which it is known; an image takes the largest of its classes, and 1 without any (repeat factor
    sampling: Gupta, Dollar & Girshick 2019, "LVIS").
    Classes in a larger part of the images than `part`, in 0..1, are not repeated; the factors, at
    least 1, have the shape N.
    """
    positives_C = split.positives.counts_C(len(split.classes))
    known_C = len(split) - split.unknown_C()
    factors_C = np.sqrt(part * known_C / np.maximum(positives_C, 1))
    factors_N = np.ones(len(split))
    images = np.repeat(np.arange(len(split)), split.positives.sizes_N())
    np.maximum.at(factors_N, images, factors_C[split.positives.indices])
    return factors_N


class EpochSampler:
    """Keys of the batches of an epoch: those of this process, where there are several.

    A shuffled batch is shared by all processes, in parts that differ by one image at most, so
    that a step sees the same images however many processes make it. In the order of the file
    whole batches are shared out, so that a model sees the very batches that one process would
    give it; who has none left gets an empty one.

    Args:
        images: Number of images.
        batch_size: Images a batch, all processes together.
        seed: Of the order; `None` keeps the order of the file.
        drop_last: Leave out a last batch that is not full.
        repeats_N: How often a shuffled epoch shows each image, at least 1; by default once.
        part: Of the images that a shuffled epoch shows: it begins where the one before ended, so
            that all are shown equally often.
        group: Who shares them.

    Attributes:
        drawn: Images of an epoch, those that come again counted again; the same in all epochs.
    """

    def __init__(
        self,
        images: int,
        batch_size: int,
        seed: int | None,
        *,
        drop_last: bool,
        repeats_N: NDArray[np.float64] | None = None,
        part: float = 1.0,
        group: Group = ALONE,
    ) -> None:
        self._images = images
        self._seed = seed
        self._drop_last = drop_last
        self._whole_N, self._ends_N = _whole_and_rest(
            np.ones(images) if repeats_N is None else repeats_N
        )
        self._pass = int(self._whole_N.sum() + self._ends_N[-1])
        self.drawn = max(1, round(part * self._pass))
        self._batch_size = min(batch_size, self.drawn)
        self._group = group
        self._order = (-1, np.arange(images))

    def __len__(self) -> int:
        full, rest = divmod(self.drawn, self._batch_size)
        batches = full if self._drop_last or not rest else full + 1
        return batches if self._seed is not None else -(-batches // self._group.size)

    def keys(self, epoch: int, first_batch: int = 0) -> Iterator[list[Key]]:
        """Keys of each batch of an epoch, from one on."""
        order = self._order_of(epoch)
        for batch in range(first_batch, len(self)):
            yield [(epoch, int(draw)) for draw in self._own(order, batch)]

    @property
    def images_per_batch(self) -> int:
        """Most images of a batch in this process."""
        return self._batch_size if self._seed is None else -(-self._batch_size // self._group.size)

    def images_of(self, epoch: int, batches: range) -> list[int]:
        """Positions of the images of some batches, those of all processes."""
        order = self._order_of(epoch)
        return [int(d) % self._images for batch in batches for d in self._batch(order, batch)]

    def _order_of(self, epoch: int) -> NDArray[np.int64]:
        if self._seed is not None and self._order[0] != epoch:
            number, start = divmod(epoch * self.drawn, self._pass)
            order = self._shuffled(number, self._seed)
            if start + self.drawn > self._pass:
                order = np.append(order, self._shuffled(number + 1, self._seed))
            self._order = (epoch, order[start : start + self.drawn])
        return self._order[1]

    def _shuffled(self, number: int, seed: int) -> NDArray[np.int64]:
        """Draws of a pass over all images."""
        rng = np.random.default_rng((seed, number))
        order = rng.permutation(self._pass)
        return self._draw(rng)[order]

    def _draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draws of a pass: the position of an image, plus `images` for each time it came before.

        What the factors have beyond whole times is drawn systematically: where the images lie on
        the line, marks a whole time apart hit them.
        """
        marks_N = np.floor(self._ends_N + rng.random())
        times_N = self._whole_N + np.diff(marks_N, prepend=0).astype(np.int64)
        images = np.repeat(np.arange(self._images), times_N)
        before = np.arange(len(images)) - np.repeat(np.cumsum(times_N) - times_N, times_N)
        return images + before * self._images

    def _batch(self, order: NDArray[np.int64], batch: int) -> NDArray[np.int64]:
        return order[batch * self._batch_size : (batch + 1) * self._batch_size]

    def _own(self, order: NDArray[np.int64], batch: int) -> NDArray[np.int64]:
        rank, size = self._group.rank, self._group.size
        if self._seed is None:
            return self._batch(order, batch * size + rank)
        shared = self._batch(order, batch)
        return shared[rank * len(shared) // size : (rank + 1) * len(shared) // size]


def _whole_and_rest(
    repeats_N: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Whole times of each image; where their rests end, laid end to end on a line of whole length.

    The line is shortened by less than one time in all, so that every epoch has as many images.
    """
    whole_N = np.floor(repeats_N).astype(np.int64)
    ends_N = np.cumsum(repeats_N - whole_N)
    length = np.floor(ends_N[-1] + 1e-9)
    ends_N *= length / max(ends_N[-1], 1.0)
    ends_N[-1] = length
    return whole_N, ends_N
