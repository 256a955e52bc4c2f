import threading
import time

import pytest

from mlc_cli.core.system.downloads.transfer import in_parallel
from mlc_cli.errors import Interrupted


def test_what_is_done_comes_first() -> None:
    def work(seconds: float, _: threading.Event) -> float:
        time.sleep(seconds)
        return seconds

    assert list(in_parallel(work, [0.3, 0.0, 0.1], 3)) == [0.0, 0.1, 0.3]
    assert list(in_parallel(work, [], 3)) == []


def test_no_more_than_so_many_at_once() -> None:
    running: list[int] = []
    most: list[int] = []

    def work(item: int, _: threading.Event) -> None:
        running.append(item)
        most.append(len(running))
        time.sleep(0.01)
        running.remove(item)

    list(in_parallel(work, range(12), 3))
    assert max(most) == 3


def test_the_first_error_ends_all() -> None:
    stopped: list[int] = []

    def work(item: int, stop: threading.Event) -> None:
        if item == 0:
            raise KeyError("the cause")
        if stop.wait(20):
            stopped.append(item)
            raise Interrupted("interrupted")

    started = time.monotonic()
    with pytest.raises(KeyError, match="the cause"):
        list(in_parallel(work, range(100), 4))
    assert time.monotonic() - started < 10
    assert 0 < len(stopped) <= 6  # those that had begun; the rest never does
