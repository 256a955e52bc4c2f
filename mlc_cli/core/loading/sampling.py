"""Which images an epoch shows, and in which order: by the seed and the epoch alone."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.loading.dataset import Key
from mlc_cli.core.loading.orders import InBlocks, Keyed
from mlc_cli.core.system.distributed import ALONE, Group

LARGE = 10**7
"""Images from which an order is not made at once, but evaluated as it goes."""
Order = NDArray[np.int64] | Keyed | InBlocks


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
    np.maximum.at(factors_N, split.positives.owners(), factors_C[split.positives.indices])
    return factors_N


class EpochSampler:
    """Keys of the batches of an epoch: those of this process, where there are several.

    A shuffled batch is shared by all processes, in parts that differ by one image at most, so
    that a step sees the same images however many processes make it. In the order of the file
    whole batches are shared out, so that a model sees the very batches that one process would
    give it; who has none left gets an empty one.

    Args:
        batch_size: Images a batch, all processes together.
        seed: Of the order; `None` keeps the order of the file.
        drop_last: Leave out a last batch that is not full.
        repeats_N: How often a shuffled epoch shows each image, at least 1; by default once.
        part: Of the images that a shuffled epoch shows: it begins where the one before ended, so
            that all are shown equally often.
        starts_B: First image of each block, and the number of images: a shuffled epoch reads by
            blocks.

    Attributes:
        group: Who shares them.
        drawn: Images of an epoch, those that come again counted again; the same in all epochs.
    """

    def __init__(  # noqa: PLR0913 - of what, in which order, and for whom
        self,
        images: int,
        batch_size: int,
        seed: int | None = None,
        *,
        drop_last: bool = False,
        repeats_N: NDArray[np.float64] | None = None,
        part: float = 1.0,
        starts_B: NDArray[np.int64] | None = None,
        group: Group = ALONE,
    ) -> None:
        self._images = images
        self._seed = seed
        self._drop_last = drop_last
        self._starts_B = starts_B
        self._repeats = None if repeats_N is None else _whole_and_rest(repeats_N)
        self._pass = images
        if self._repeats:
            self._pass = int(self._repeats[0].sum() + self._repeats[1][-1])
        self.drawn = max(1, round(part * self._pass))
        self._batch_size = min(batch_size, self.drawn)
        self.group = group
        self._orders: dict[int, Order] = {}

    def __len__(self) -> int:
        full, rest = divmod(self.drawn, self._batch_size)
        batches = full if self._drop_last or not rest else full + 1
        return batches if self._seed is not None else -(-batches // self.group.size)

    def keys(self, epoch: int, first_batch: int = 0) -> Iterator[list[Key]]:
        """Keys of each batch of an epoch, from one on."""
        for batch in range(first_batch, len(self)):
            yield [(epoch, draw) for draw in self._own(epoch, batch).tolist()]

    @property
    def images_per_batch(self) -> int:
        """Most images of a batch in this process."""
        return self._batch_size if self._seed is None else -(-self._batch_size // self.group.size)

    def images_of(self, epoch: int, batches: range) -> list[int]:
        """Positions of the images of some batches, those of all processes."""
        return [d % self._images for batch in batches for d in self._batch(epoch, batch).tolist()]

    def _order_of(self, number: int, seed: int) -> Order:
        """Draws of a pass over all images; that before is kept."""
        if number not in self._orders:
            before = {one: own for one, own in self._orders.items() if one == number - 1}
            self._orders = before | {number: self._shuffled(number, seed)}
        return self._orders[number]

    def _shuffled(self, number: int, seed: int) -> Order:
        rng = np.random.default_rng((seed, number))
        if self._starts_B is not None:
            return InBlocks(self._starts_B, (seed, number))
        if self._pass > LARGE:
            order = Keyed(self._pass, rng)
            return order if not self._repeats else self._draw(*self._repeats, rng)[order[:]]
        positions = rng.permutation(self._pass)
        return self._draw(*self._repeats, rng)[positions] if self._repeats else positions

    def _draw(
        self,
        whole_N: NDArray[np.int64],
        ends_N: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> NDArray[np.int64]:
        """Draws of a pass: the position of an image, plus `images` for each time it came before.

        What the factors have beyond whole times is drawn systematically: where the images lie on
        the line, marks a whole time apart hit them.
        """
        marks_N = np.floor(ends_N + rng.random())
        times_N = whole_N + np.diff(marks_N, prepend=0).astype(np.int64)
        images = np.repeat(np.arange(self._images), times_N)
        before = np.arange(len(images)) - np.repeat(np.cumsum(times_N) - times_N, times_N)
        return images + before * self._images

    def _batch(self, epoch: int, batch: int) -> NDArray[np.int64]:
        """Draws of a batch; by blocks they are sorted, so that processes share blocks, too."""
        start, stop = (min((batch + n) * self._batch_size, self.drawn) for n in (0, 1))
        if self._seed is None or start == stop:
            return np.arange(start, stop)
        first, last = epoch * self.drawn + start, epoch * self.drawn + stop
        parts = [
            self._order_of(number, self._seed)[
                max(0, first - number * self._pass) : last - number * self._pass
            ]
            for number in range(first // self._pass, -(-last // self._pass))
        ]
        draws = np.concatenate(parts)
        return draws if self._starts_B is None else np.sort(draws)

    def _own(self, epoch: int, batch: int) -> NDArray[np.int64]:
        rank, size = self.group.rank, self.group.size
        if self._seed is None:
            return self._batch(epoch, batch * size + rank)
        shared = self._batch(epoch, batch)
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
