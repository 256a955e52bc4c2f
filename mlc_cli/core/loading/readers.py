"""Processes that read images, the same for all splits of a job."""

import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.context import ForkServerContext, ForkServerProcess
from types import ModuleType
from typing import Any, NamedTuple

import cv2
import torch

from mlc_cli.core.loading.dataset import Batch, ImageDataset, Key
from mlc_cli.core.system.interrupts import stop_signals
from mlc_cli.errors import MlcError

WAIT_SECONDS = 600
"""Readers that give nothing for so long are given up."""
AHEAD = 4
"""Batches that each process reads ahead."""
_SPLITS: list["Split"] = []
"""In a process that reads: what it may be asked for."""


class Split(NamedTuple):
    """Images that are read, and whether their pixels may come by shared memory."""

    dataset: ImageDataset
    shared_memory: bool


class Request(NamedTuple):
    """A batch to be read: the number of its split, and its images."""

    split: int
    keys: list[Key]


class Readers:
    """Reads the batches that are asked for, and ahead those that are known to follow.

    Args:
        workers: Processes that read; without any, this one does, when it is asked.
        device: Where the images go: for a GPU they come in page-locked memory, from where a copy
            need not be waited for.
    """

    def __init__(self, workers: int, device: torch.device | None = None) -> None:
        self.workers = workers
        self._device = device if device and device.type == "cuda" else None
        self._splits: list[Split] = []
        self._pool: ProcessPoolExecutor | None = None
        self._pinning: ThreadPoolExecutor | None = None
        self._coming: Iterator[Request] = iter(())
        self._ahead: deque[tuple[Request, list[Future[Batch]]]] = deque()

    def add(self, split: Split) -> int:
        """The number for requests of one more split."""
        self.close()
        self._splits.append(split)
        return len(self._splits) - 1

    def follow(self, requests: Iterable[Request]) -> None:
        """Read these, in this order, from now on; what was begun is given up."""
        for _, futures in self._ahead:
            for future in futures:
                future.cancel()
        self._ahead.clear()
        self._coming = iter(requests)

    def read(self, wanted: Callable[[], Iterator[Request]]) -> Iterator[Batch]:
        """Batches in order; what is followed is given up if others come next.

        They are `wanted`, the same each time that it is called.

        Raises:
            MlcError: A process died, or gives nothing.
        """
        try:
            for number, request in enumerate(wanted()):
                try:
                    if self._next() != request:
                        self.follow(itertools.islice(wanted(), number, None))
                        self._next()
                    batch = self._take()
                except (BrokenProcessPool, OSError, MemoryError) as error:
                    self.close()
                    raise _named(error) from error
                yield batch
        except BaseException:
            self.follow(())
            raise

    def close(self) -> None:
        """End the processes; what is asked for later starts others."""
        self.follow(())
        if self._pool:
            for process in [*(self._pool._processes or {}).values()]:  # noqa: SLF001 - Python < 3.14
                process.kill()
            self._pool.shutdown(cancel_futures=True)
        if self._pinning:
            self._pinning.shutdown(cancel_futures=True)
        self._pool = self._pinning = None

    def _next(self) -> Request | None:
        """What comes next, while it and others behind it are read."""
        depth = max(1, self.workers * AHEAD)
        while len(self._ahead) < depth and (request := next(self._coming, None)):
            self._ahead.append((request, self._begin(request) if self.workers else []))
        return self._ahead[0][0] if self._ahead else None

    def _begin(self, request: Request) -> list[Future[Batch]]:
        """The reading of a batch, and its way into page-locked memory."""
        if self._pool is None:
            # CUDA and NCCL, with their threads and locks, survive no fork
            forked = not torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
            context = multiprocessing.get_context("fork") if forked else _ForkServer()
            if not forked:  # it is set for all of this program
                context.set_forkserver_preload([__name__])
            self._pool = ProcessPoolExecutor(self.workers, context, _start, (self._splits,))
            if self._device:
                device = torch.cuda.set_device
                self._pinning = ThreadPoolExecutor(1, "pin", device, (self._device,))
        read = self._pool.submit(_read, request)
        return [read, self._pinning.submit(_pinned, read)] if self._pinning else [read]

    def _take(self) -> Batch:
        (split, keys), futures = self._ahead.popleft()
        if not futures:
            return self._splits[split].dataset.batch(keys)
        return _received(futures[-1].result(WAIT_SECONDS))


def _read(request: Request) -> Batch:
    """A batch as it is sent: pixels as their place in shared memory, other arrays as copies.

    Where another program has filled the memory since it was measured, pixels are copied, too.
    """
    dataset, shared_memory = _SPLITS[request.split]
    images, targets, indices, *faults = dataset.batch(request.keys)
    sent: list[Any] = [array.numpy() for array in (images, targets, indices)]
    if shared_memory:
        with suppress(RuntimeError, OSError):
            sent[0] = images.share_memory_()  # type: ignore[no-untyped-call]
    return Batch(*sent, *faults)


def _received(sent: Batch) -> Batch:
    images, targets, indices = map(torch.as_tensor, sent[:3])
    return Batch(images, targets, indices, *sent[3:])


def _pinned(read: Future[Batch]) -> Batch:
    batch = _received(read.result())
    images, targets = batch.images_NHWC.pin_memory(), batch.targets_NC.pin_memory()
    return batch._replace(images_NHWC=images, targets_NC=targets)


def _start(splits: list[Split]) -> None:
    """Make ready a process that reads.

    It has one thread, since all share the cores with the training. A signal to all processes is
    the affair of the one that trains, and saves its state first; with that one it ends.
    """
    _SPLITS[:] = splits
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    for number in stop_signals():
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)


class _Process(ForkServerProcess):
    """Does not import the program that starts it, which might begin the same training again."""

    def start(self) -> None:
        program, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = program


class _ForkServer(ForkServerContext):
    Process = _Process


def _named(error: Exception) -> MlcError:
    """What became of a process that reads, with the repair."""
    fewer = "Use fewer of them (`--set data.workers=1`) or no cache (`--set data.cache=none`)."
    if isinstance(error, TimeoutError):
        return MlcError(
            f"no image was read for {WAIT_SECONDS // 60} minutes: the files are out of reach, or a"
            " process that reads them stands still",
            "Check the disk or network of the images; `--set data.workers=0` reads without others.",
        )
    cause = f"{error} {error.__cause__}"
    if "ancdata" in cause or "Too many open files" in cause:
        return MlcError("too many open files", f"Raise the limit (`ulimit -n 4096`). {fewer}")
    if not isinstance(error, BrokenProcessPool):
        return MlcError(f"a process that reads images failed: {error!r}", fewer)
    return MlcError(
        "a process that reads images died, most often for lack of memory",
        f"{fewer} In a container, give it more (Docker: --memory, --shm-size=2g or --ipc=host).",
    )
