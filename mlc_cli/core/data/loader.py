"""Batches of a split, in an order that depends on the seed and the epoch alone."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from mlc_cli.core.data.dataset import Batch, Collate, ImageDataset, Key
from mlc_cli.errors import BadImageError, DataError, MlcError

OnBadImage = Literal["error", "skip"]
GRACE_SECONDS = 30


class EpochSampler(Sampler[list[Key]]):
    """Keys of the batches of an epoch.

    Args:
        images: Number of images.
        batch_size: Images a batch.
        seed: Of the order; `None` keeps the order of the file.
        drop_last: Leave out a last batch that is not full.
    """

    def __init__(self, images: int, batch_size: int, seed: int | None, *, drop_last: bool) -> None:
        self._images = images
        self._batch_size = min(batch_size, images)
        self._seed = seed
        self._drop_last = drop_last
        self.epoch = 0
        self.first_batch = 0

    def __len__(self) -> int:
        full, rest = divmod(self._images, self._batch_size)
        return full if self._drop_last or not rest else full + 1

    def __iter__(self) -> Iterator[list[Key]]:
        order = np.arange(self._images)
        if self._seed is not None:
            np.random.default_rng((self._seed, self.epoch)).shuffle(order)
        for batch in range(self.first_batch, len(self)):
            chosen = order[batch * self._batch_size : (batch + 1) * self._batch_size]
            yield [(self.epoch, int(index)) for index in chosen]


class Batches:
    """Batches of a split, read ahead by worker processes that live as long as this object.

    Args:
        dataset: The split.
        batch_size: Images a batch, at most.
        workers: Processes that read; 0 reads in this one.
        shuffle_seed: Seed of the order; `None` keeps the order of the file.
        drop_last: Leave out a last batch that is not full.
        pin_memory: Use page-locked memory, from which copies to a GPU need not be waited for.
        on_bad_image: Raise at an image that cannot be read, or go on without it.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        batch_size: int,
        *,
        workers: int,
        shuffle_seed: int | None = None,
        drop_last: bool = False,
        pin_memory: bool = False,
        on_bad_image: OnBadImage = "error",
    ) -> None:
        self.dataset = dataset
        self.bad_images: dict[str, str] = {}
        self._on_bad_image = on_bad_image
        self._sampler = EpochSampler(len(dataset), batch_size, shuffle_seed, drop_last=drop_last)
        self._loader: DataLoader[Batch] = DataLoader(
            dataset,  # type: ignore[arg-type]
            batch_sampler=self._sampler,
            num_workers=workers,
            collate_fn=Collate(dataset.annotation),
            pin_memory=pin_memory,
            worker_init_fn=_start_worker if workers else None,
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers else None,
            multiprocessing_context=_fork() if workers else None,
        )

    def __len__(self) -> int:
        return len(self._sampler)

    def epoch(self, epoch: int = 0, first_batch: int = 0) -> Iterator[Batch]:
        """Batches of an epoch from `first_batch` on, those without a readable image too.

        So their count is the position to continue from.

        Raises:
            BadImageError: An image cannot be read and `on_bad_image` is `error`.
            DataError: No image at all can be read.
            MlcError: A worker process died.
        """
        self._sampler.epoch = epoch
        self._sampler.first_batch = first_batch
        readable = first_batch > 0
        for batch in self._alive():
            for bad in batch.bad:
                if self._on_bad_image == "error":
                    raise BadImageError(bad.path, bad.reason)
                self.bad_images[bad.path] = bad.reason
            readable = readable or len(batch.indices_N) > 0
            yield batch
        if not readable:
            raise DataError(f"{self.dataset.annotation.source}: no image can be read")

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
    except (RuntimeError, ConnectionError, EOFError) as error:
        if isinstance(error, RuntimeError) and not str(error).startswith("DataLoader worker (pid"):
            raise
        raise MlcError(
            "a process that reads images died, most often for lack of memory",
            "Use fewer of them (`--set data.workers=1`) or no cache (`--set data.cache=none`).",
        ) from error


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
