"""Ctrl-C and termination: as a question between two steps, and held back for a moment."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP


def stop_signals() -> list[signal.Signals]:
    """Signals that ask to stop; one that is ignored, as by `nohup`, stays ignored."""
    known = [signal.Signals[name] for name in _NAMES if name in signal.Signals.__members__]
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Inside, the first signal to stop is noted rather than obeyed; the second is obeyed.

    Yields:
        A function that says whether there was a signal.
    """
    noted: list[int] = []
    with _noted(noted, obey_second=True):
        yield lambda: bool(noted)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Inside, SIGINT, SIGTERM and SIGHUP wait; they come into effect at the end."""
    noted: list[int] = []
    with _noted(noted, obey_second=False):
        yield
    if noted:
        signal.raise_signal(noted[0])


@contextmanager
def _noted(noted: list[int], *, obey_second: bool) -> Iterator[None]:
    """Inside, signals are added to a list; only the main thread gets any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in stop_signals()}

    def restore(number: int) -> None:
        signal.signal(number, before[signal.Signals(number)] or signal.SIG_DFL)

    def note(number: int, _: FrameType | None) -> None:
        noted.append(number)
        if obey_second:
            restore(number)

    try:
        for number in before:
            signal.signal(number, note)
        yield
    finally:
        for number in before:
            restore(number)
