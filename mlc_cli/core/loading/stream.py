"""Images of unknown number, read ahead in threads while the model is at work.

OpenCV decodes and resizes without holding Python's lock, so that threads are enough: they start
at once, need no copies between processes, and take frames of videos as well as files.
"""

import os
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from mlc_cli.core.images.decode import OnDamaged, look
from mlc_cli.core.images.geometry import Geometry
from mlc_cli.core.images.scaled import Pixels
from mlc_cli.core.images.thumbnails import small_jpeg
from mlc_cli.core.loading.sources import Item
from mlc_cli.core.system.places import gather
from mlc_cli.core.system.remote import AT_ONCE
from mlc_cli.core.system.threads import in_threads
from mlc_cli.errors import BadImageError, DataError

T = TypeVar("T")
_POLL_SECONDS = 0.1
_PREVIEW_QUALITY = 92


@dataclass(frozen=True)
class Picture:
    """An image at the model's input size, or the reason why it cannot be.

    The preview is the image in its own shape as JPEG, if one was asked for; `damage` is what is
    wrong with an image that can be used.
    """

    item: Item
    pixels: Pixels | None
    error: str = ""
    preview: bytes = b""
    damage: str = ""

    def shown(self) -> "Picture":
        """The same without pixels, which are large: what is left to do when it is predicted."""
        return replace(self, item=replace(self.item, frame=None, content=None), pixels=None)


@dataclass(frozen=True)
class PictureReader:
    """Reads images as the evaluation does; previews have this longest side, or are not made.

    What is damaged in an image is told by its picture; if it is not to be used, as the error.
    """

    geometry: Geometry
    max_pixels: float = 200e6
    preview_side: int = 0
    on_damaged: OnDamaged = "warn"

    def __call__(self, item: Item) -> Picture:
        """Read one image; what goes wrong is in the result.

        Raises:
            BadImageError: It is damaged, and that is to be an error.
        """
        if item.error:
            return Picture(item, None, item.error)
        try:
            pixels, damage = item.frame, ""
            if pixels is None:
                how = self.geometry
                part = partial(how.part, least_side=self.preview_side)
                found = look(item.path, self.max_pixels, part, content=item.content, bits=how.bits)
                pixels, damage = found.pixels, found.damage
        except BadImageError as error:
            return Picture(item, None, error.reason)
        if damage and self.on_damaged == "error":
            raise BadImageError(item.name, damage, damaged=True)
        if damage and self.on_damaged == "skip":
            return Picture(item, None, damage)
        side = self.preview_side
        preview = small_jpeg(pixels, side, _PREVIEW_QUALITY) if side else b""
        return Picture(item, self.geometry.fit(pixels), preview=preview, damage=damage)


def fetched(items: Iterable[Item]) -> Iterator[Item]:
    """Items with the contents of those that are elsewhere, of which many are read at once."""

    def fetch(item: Item) -> Item:
        return replace(item, content=gather([item.path]).get(item.path))

    return in_threads(fetch, items, AT_ONCE)


def read_batches(
    items: Iterable[Item],
    read: Callable[[Item], Picture],
    *,
    batch_size: int,
    threads: int,
    live: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Generator[list[Picture]]:
    """Batches of pictures in the order of the items, read in several threads at once.

    The last may have fewer pictures. `live` gives a batch that is not full when no further item
    comes for a moment; `stopped` is asked while waiting, and ends the batches early.
    """
    depth = batch_size + threads  # the next batch is read while this one is used
    waiting: list[Future[Picture]] = []
    for future in in_background(_start(items, read, threads), depth, stopped):
        if future is not None:
            waiting.append(future)
        if len(waiting) == batch_size or (live and waiting and future is None):
            yield [one.result() for one in waiting]
            waiting = []
    if waiting and not stopped():
        yield [one.result() for one in waiting]


def _start(
    items: Iterable[Item], read: Callable[[Item], Picture], threads: int
) -> Generator[Future[Picture]]:
    """Hand the items to threads, in order."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="read")
    try:
        for item in items:
            yield pool.submit(read, item)
    finally:
        pool.shutdown(wait=False, cancel_futures=False)


def in_background(
    items: Iterable[T], depth: int, stopped: Callable[[], bool] = lambda: False
) -> Generator[T | None]:
    """Run an iteration in a thread, at most `depth` results ahead of the one who asks.

    `None` is given whenever no result came for a moment; `stopped` is asked while waiting.

    An error inside is raised here. The thread is a daemon: one that waits for standard input
    keeps no program alive.
    """
    results: queue.Queue[T | BaseException] = queue.Queue()
    room, over = threading.Semaphore(depth), threading.Event()
    worker = threading.Thread(target=_fill, args=(results, items, room, over), daemon=True)
    worker.start()
    try:
        while not stopped():
            try:
                result = results.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                yield None
                continue
            if isinstance(result, StopIteration):
                return
            if isinstance(result, BaseException):
                raise result
            room.release()
            yield result
    finally:
        over.set()
        room.release()


def _fill(
    results: "queue.Queue[T | BaseException]",
    items: Iterable[T],
    room: threading.Semaphore,
    over: threading.Event,
) -> None:
    """Give all items and the end, with the error that caused it if any."""
    end: BaseException = StopIteration()
    try:
        for item in items:
            results.put(item)
            room.acquire()
            if over.is_set():
                break
    except BaseException as caught:  # is raised again in the other thread
        end = caught
    if isinstance(items, Generator):
        items.close()
    results.put(end)


def stdin_lines() -> Iterator[str]:
    """Lines of standard input through a reader of its own.

    Python's own would be waited for at exit while a thread is reading from it.
    """
    try:
        handle = os.dup(0)
    except OSError:
        raise DataError("standard input is closed", "Send it paths, one a line.") from None
    with open(handle, encoding="utf-8-sig", errors="surrogateescape") as stream:  # noqa: PTH123
        yield from stream
