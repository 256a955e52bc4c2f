"""Work in threads."""

import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from mlc_cli.core.system import threads
from mlc_cli.core.system.threads import in_threads


def test_results_come_in_order_and_are_not_read_far_ahead() -> None:
    started: list[int] = []

    def work(item: int) -> int:
        started.append(item)
        time.sleep(0.001 * (item % 3))
        return item

    results = in_threads(work, range(1000), 3)
    assert [next(results) for _ in range(5)] == list(range(5))
    assert len(started) < 100
    results.close()
    assert list(in_threads(work, range(200), 3)) == list(range(200))


def test_an_error_in_a_thread_is_raised_here() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError(str(item))
        return item

    with pytest.raises(ValueError, match="3"):
        list(in_threads(work, range(10), 2))
    assert threading.active_count() < 20


def test_an_interrupt_waits_until_the_pool_has_let_go_of_its_locks(monkeypatch) -> None:
    finished = []

    class Pool(ThreadPoolExecutor):
        def submit(self, *args: object, **named: object) -> Future:
            signal.raise_signal(signal.SIGINT)
            finished.append(super().submit(*args, **named))
            return finished[-1]

    monkeypatch.setattr(threads, "ThreadPoolExecutor", Pool)
    with pytest.raises(KeyboardInterrupt):
        list(in_threads(str, range(10), 2))
    assert len(finished) == 10
