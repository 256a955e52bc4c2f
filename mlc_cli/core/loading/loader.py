"""Batches of a split, in an order that depends on the seed and the epoch alone."""

import logging
import shutil
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Literal

from mlc_cli.core.html.words import count
from mlc_cli.core.loading.dataset import Batch, ImageDataset
from mlc_cli.core.loading.readers import AHEAD, Readers, Request, Split
from mlc_cli.core.loading.sampling import EpochSampler
from mlc_cli.errors import BadImageError, DataError
from mlc_cli.text import listing

OnBadImage = Literal["error", "skip"]
SHARED_MEMORY = Path("/dev/shm")
_LOG = logging.getLogger(__name__)


class Batches:
    """Batches of a split, of the order and the sizes of a sampler; an epoch has `drawn` images.

    `workers` is a number of processes that read, or those that read other splits as well.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        sampler: EpochSampler,
        *,
        workers: int | Readers,
        on_bad_image: OnBadImage = "error",
    ) -> None:
        self.dataset = dataset
        self.group, self.drawn = sampler.group, sampler.drawn
        self.bad_images: dict[str, str] = {}
        self._damaged: dict[str, str] = {}
        self._on_bad_image = on_bad_image
        self.sampler = sampler
        self.readers = workers if isinstance(workers, Readers) else Readers(workers)
        shared = _fits_shared_memory(dataset, sampler, self.readers.workers)
        self._number = self.readers.add(Split(dataset, shared))

    def __len__(self) -> int:
        return len(self.sampler)

    def epoch(self, epoch: int = 0, first_batch: int = 0) -> Iterator[Batch]:
        """Batches of an epoch from `first_batch` on, those without a readable image too.

        So their count is the position to continue from, and the same in all processes.

        Raises:
            BadImageError: An image cannot be read and `on_bad_image` is `error`.
            DataError: No image at all can be read.
            MlcError: A worker process died.
        """
        readable, damaged = first_batch > 0, dict[str, str]()
        for batch in self.readers.read(partial(self.requests, epoch, first_batch)):
            for bad in batch.bad:
                if (self.dataset.on_damaged if bad.damaged else self._on_bad_image) == "error":
                    raise BadImageError(bad.path, bad.reason, damaged=bad.damaged)
                self.bad_images[bad.path] = bad.reason
            damaged |= {one.path: one.reason for one in batch.damaged}
            readable = readable or len(batch.indices_N) > 0
            yield batch
        for found, of_them in self.group.gather((self.bad_images, damaged)):
            self.bad_images |= found
            damaged |= of_them
        self._name(damaged)
        if not self.group.any(readable):
            raise DataError(f"{self.dataset.annotation.source}: no image can be read")

    def _name(self, damaged: dict[str, str]) -> None:
        """Say of images, once, that they are damaged, and used all the same."""
        fresh = {path: why for path, why in damaged.items() if path not in self._damaged}
        self._damaged |= fresh
        if fresh and self.group.is_main:
            named = sorted(f"{path}: {why}" for path, why in fresh.items())
            _say_once(
                f"{self.dataset.annotation.source}: {count(len(fresh), 'damaged image')}, used as"
                f" far as they go (on_damaged=skip leaves such out):\n{listing(named)}"
            )

    def close(self) -> None:
        """End the processes that read, for other splits too."""
        self.readers.close()

    def requests(self, epoch: int = 0, first_batch: int = 0) -> Iterator[Request]:
        """What is asked of the readers for an epoch from `first_batch` on."""
        return (Request(self._number, keys) for keys in self.sampler.keys(epoch, first_batch))


def _fits_shared_memory(dataset: ImageDataset, sampler: EpochSampler, workers: int) -> bool:
    """Whether what the workers read ahead takes at most half of the free shared memory."""
    height, width = dataset.geometry.size
    views = 1 + dataset.geometry.tiles**2
    needed = (workers * AHEAD + 2) * views * sampler.images_per_batch * height * width * 3
    if not workers or not SHARED_MEMORY.is_dir():
        return True
    free = shutil.disk_usage(SHARED_MEMORY).free
    if needed <= free / 2:
        return True
    _say_once(
        f"shared memory is small ({free / 1e6:.0f} MB free in {SHARED_MEMORY}): images take a"
        " slower way (Docker: --shm-size=2g or --ipc=host gives it more)"
    )
    return False


@cache
def _say_once(text: str) -> None:
    _LOG.warning(text)
