"""Work in threads, its results in order."""

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

from mlc_cli.core.system.interrupts import undisturbed

T = TypeVar("T")
R = TypeVar("R")
Answer = tuple[Any, BaseException | None]
"""A result, or the error that came in its place."""

_AHEAD, _AT_ONCE = 64, 16
"""Items that are handed over before the one who asks takes a result, and in one go."""


def in_threads(work: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Results in the order of the items, a bounded number of them ahead of the one who asks.

    A signal that comes inside of a lock that the threads share would leave it shut for ever: it
    waits while items are handed over, and results come through queues that have no such lock.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="mlc")
    waiting: deque[queue.SimpleQueue[Answer]] = deque()

    def run(item: T, answer: queue.SimpleQueue[Answer]) -> None:
        try:
            answer.put((work(item), None))
        except BaseException as error:  # is raised again in the thread of the one who asks
            answer.put((None, error))

    remaining = iter(items)
    try:
        while some := list(islice(remaining, _AT_ONCE)):
            with undisturbed():
                for item in some:
                    waiting.append(queue.SimpleQueue())
                    pool.submit(run, item, waiting[-1])
            while len(waiting) > _AHEAD + threads:
                yield _taken(waiting.popleft().get())
        while waiting:
            yield _taken(waiting.popleft().get())
    finally:
        with undisturbed():
            pool.shutdown(wait=False, cancel_futures=True)


def _taken(answer: Answer) -> Any:
    result, error = answer
    if error is not None:
        raise error
    return result
