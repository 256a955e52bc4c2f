"""Batches of a split, in an order that depends on the seed and the epoch alone."""

import logging
import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from mlc_cli.core.html.words import count
from mlc_cli.core.loading.dataset import Batch, Collate, ImageDataset
from mlc_cli.core.loading.sampling import EpochSampler
from mlc_cli.core.system.distributed import ALONE, Group
from mlc_cli.errors import BadImageError, DataError, MlcError
from mlc_cli.text import listing

OnBadImage = Literal["error", "skip"]
GRACE_SECONDS = 30
WAIT_SECONDS = 600
"""A loader that gives nothing for so long is given up."""
AHEAD = 4
"""Batches that each worker reads ahead."""
SHARED_MEMORY = Path("/dev/shm")
_LOG = logging.getLogger(__name__)


class Batches:
    """Batches of a split, read ahead by worker processes that live as long as this object.

    Without workers they are read in this process. Order and sizes are those of `EpochSampler`; from
    page-locked memory, `pin_memory`, copies to a GPU need not be waited for.
    """

    def __init__(  # noqa: PLR0913 - what is read, how, and by whom
        self,
        dataset: ImageDataset,
        batch_size: int,
        *,
        workers: int,
        shuffle_seed: int | None = None,
        drop_last: bool = False,
        repeats_N: NDArray[np.float64] | None = None,
        pin_memory: bool = False,
        on_bad_image: OnBadImage = "error",
        group: Group = ALONE,
    ) -> None:
        self.dataset = dataset
        self.group = group
        self.bad_images: dict[str, str] = {}
        self._damaged: dict[str, str] = {}
        self._on_bad_image = on_bad_image
        self._sampler = EpochSampler(
            len(dataset),
            batch_size,
            shuffle_seed,
            drop_last=drop_last,
            repeats_N=repeats_N,
            group=group,
        )
        self._loader: DataLoader[Batch] = DataLoader(
            dataset,  # type: ignore[arg-type]
            batch_sampler=self._sampler,
            num_workers=workers,
            collate_fn=Collate(
                dataset.annotation, _fits_shared_memory(dataset, self._sampler, workers)
            ),
            pin_memory=pin_memory,
            worker_init_fn=_start_worker if workers else None,
            persistent_workers=workers > 0,
            timeout=WAIT_SECONDS if workers else 0,
            prefetch_factor=AHEAD if workers else None,
            multiprocessing_context=_fork() if workers else None,
        )

    def __len__(self) -> int:
        return len(self._sampler)

    @property
    def drawn(self) -> int:
        """Images of an epoch, those that come again counted again."""
        return self._sampler.drawn

    def epoch(self, epoch: int = 0, first_batch: int = 0) -> Iterator[Batch]:
        """Batches of an epoch from `first_batch` on, those without a readable image too.

        So their count is the position to continue from, and the same in all processes.

        Raises:
            BadImageError: An image cannot be read and `on_bad_image` is `error`.
            DataError: No image at all can be read.
            MlcError: A worker process died.
        """
        self._sampler.epoch = epoch
        self._sampler.first_batch = first_batch
        readable, damaged = first_batch > 0, dict[str, str]()
        for batch in self._alive():
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
        """End the worker processes; torch waits ten seconds for each that it finds by itself."""
        iterator = self._loader._iterator  # noqa: SLF001 - torch has no other way to end them
        if iterator is not None:
            iterator._shutdown_workers()  # type: ignore[attr-defined]  # noqa: SLF001
            self._loader._iterator = None  # noqa: SLF001

    def images_of(self, epoch: int, batches: range) -> list[int]:
        """Positions of the images of some batches, those of all processes."""
        return self._sampler.images_of(epoch, batches)

    def _alive(self) -> Iterator[Batch]:
        with dead_workers_named():
            yield from self._loader


@contextmanager
def dead_workers_named() -> Iterator[None]:
    """Inside, the death of a worker, which torch raises wherever it strikes, gets a message.

    Raises:
        MlcError: A worker process died.
    """
    try:
        yield
    except (RuntimeError, OSError, EOFError, MemoryError) as error:
        found = _named(error)
        if found is None:
            raise
        raise found from error


def _named(error: Exception) -> MlcError | None:
    text = str(error)
    fewer = "Use fewer of them (`--set data.workers=1`) or no cache (`--set data.cache=none`)."
    if text.startswith("DataLoader timed out"):
        return MlcError(
            f"no image was read for {WAIT_SECONDS // 60} minutes: the files are out of reach, or a"
            " process that reads them stands still",
            "Check the disk or network of the images; `--set data.workers=0` reads without others.",
        )
    if text.startswith("Caught ") and not isinstance(error, RuntimeError):
        return MlcError(f"a process that reads images failed: {text.splitlines()[-1]}", fewer)
    if "ancdata" in text:
        return MlcError("too many open files", f"Raise the limit (`ulimit -n 4096`). {fewer}")
    if isinstance(error, ConnectionError | EOFError) or text.startswith("DataLoader worker (pid"):
        return MlcError(
            "a process that reads images died, most often for lack of memory",
            f"{fewer} In a container, give it more (Docker: --memory, --shm-size=2g or"
            " --ipc=host).",
        )
    return None


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


def _fork() -> multiprocessing.context.BaseContext | None:
    """Forked workers share the cache; where there is no fork, the default way is used."""
    known = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork") if "fork" in known else None


def _start_worker(_: int) -> None:
    """One thread for each worker: they share the cores with the training."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, _outlive)


def _outlive(number: int, _: FrameType | None) -> None:
    """Live on for a while: where all processes get the signal, the training saves its state."""
    signal.signal(number, signal.SIG_DFL)
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGALRM, _leave)
        signal.alarm(GRACE_SECONDS)


def _leave(_number: int, _: FrameType | None) -> None:
    """End without a sign of a fault, which torch would raise in a process that ends, too."""
    os._exit(0)
