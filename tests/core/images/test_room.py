"""Memory for large images, shared by threads."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlc_cli.core.images import room
from mlc_cli.core.images.room import Room

MB = 2**20


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "free_memory", lambda: 1000 * MB)


@pytest.mark.parametrize(("needed", "at_once"), [(60, 8), (100, 2), (240, 1), (900, 1)])
def test_all_together_stay_below_a_quarter_and_one_alone_may_always(
    needed: int, at_once: int
) -> None:
    shared, most, now = Room(), 0, 0
    lock = threading.Lock()
    together = threading.Barrier(at_once, timeout=60)

    def use(_: int) -> None:
        nonlocal most, now
        with shared.take(needed * MB):
            with lock:
                now += 1
                most = max(most, now)
            together.wait()  # that so many come in
            time.sleep(0.02)  # in which one more could
            with lock:
                now -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(16)))
    assert most == at_once


def test_more_than_there_is_is_refused_with_numbers() -> None:
    with pytest.raises(MemoryError, match=r"needs 2\.1 GB of memory, of which 1\.0 are free"):
        Room().take(2000 * MB).__enter__()


def test_what_was_taken_is_given_back_after_an_error() -> None:
    shared = Room()
    with pytest.raises(ZeroDivisionError), shared.take(900 * MB):
        raise ZeroDivisionError
    with shared.take(900 * MB):
        pass
