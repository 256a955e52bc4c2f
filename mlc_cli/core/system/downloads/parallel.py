"""Several downloads at once, which end together."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(
    work: Callable[[T, threading.Event], R], items: Iterable[T], jobs: int
) -> Iterator[R]:
    """What comes of each item, in the order in which it comes.

    At the first error, and at Ctrl-C, the others are asked to stop and waited for.

    Args:
        work: Takes an item, and what is set when it shall stop.
        items: To work on.
        jobs: Threads.
    """
    stop = threading.Event()
    pool = ThreadPoolExecutor(jobs)
    try:
        for future in as_completed([pool.submit(work, item, stop) for item in items]):
            yield future.result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
