"""What the C libraries behind OpenCV say of a file, heard in place of being printed.

libjpeg decodes on behind a hole in its data and prints a line to C's `stderr`, which names no file.
While images are decoded, that variable (not the file handle 2, so that nothing else is touched)
is a file in memory, of which is read afterwards what one decoding has added.
"""

import ctypes
import os
import platform
import threading
from collections.abc import Callable
from typing import TypeVar

import cv2

T = TypeVar("T")
_DAMAGED = ("Corrupt JPEG data", "Premature end of JPEG")
_UNBUFFERED = 2  # _IONBF of stdio.h
_MOST = 200  # bytes of a line that are of interest


class Ear:
    """Hears what is printed while a function runs, in any number of threads at once.

    What several have heard at the same time cannot be told apart: each of them then runs again,
    alone. Only glibc has a `stderr` that can be exchanged; elsewhere nothing is heard.
    """

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._running = self._started = self._wait_alone = self._end = 0
        self._sink = 0  # FILE * in memory, made when it is first needed in this process
        self._handle = -1
        self._stderr = ctypes.c_void_p()
        if platform.libc_ver()[0] == "glibc":
            self._stderr = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr")
        self._before = self._stderr.value
        self._level = 0

    def after_fork(self) -> None:
        """Begin anew in a forked process, where nothing runs: it shares the file of its parent."""
        self._stderr.value = self._before
        self._turn = threading.Condition()
        self._running = self._wait_alone = self._sink = self._end = 0

    def heard(self, run: Callable[[], T]) -> tuple[T, str]:
        """Result of a function and what was printed meanwhile, its first line."""
        if not self._before:
            return run(), ""
        with self._turn:
            self._turn.wait_for(lambda: not self._wait_alone)
            place = self._start()
            others, number = self._running > 1, self._started
        result, text = self._finish(run, place)
        if not text or not (others or number != self._started):
            return result, text
        with self._turn:
            self._wait_alone += 1
            self._turn.wait_for(lambda: not self._running)
            place = self._start()
        try:
            return self._finish(run, place)
        finally:
            with self._turn:
                self._wait_alone -= 1
                self._turn.notify_all()

    def _start(self) -> int:
        """Count one more, and say where the file ended when last something was heard."""
        if not self._sink:
            self._open()
        if not self._running:
            if self._end:
                os.ftruncate(self._handle, 0)
                self._end = 0
            self._stderr.value = self._sink
            self._level = cv2.utils.logging.setLogLevel(0)
        self._running += 1
        self._started += 1
        return self._end

    def _finish(self, run: Callable[[], T], place: int) -> tuple[T, str]:
        text = None
        try:
            result = run()
            text = os.pread(self._handle, _MOST, place)
        finally:
            with self._turn:
                self._running -= 1
                if text != b"":  # also when it failed, and nobody has looked
                    self._end = os.fstat(self._handle).st_size
                if not self._running:
                    self._stderr.value = self._before
                    cv2.utils.logging.setLogLevel(self._level)
                self._turn.notify_all()
        return result, text.partition(b"\n")[0].decode(errors="replace")

    def _open(self) -> None:
        libc = ctypes.CDLL(None)
        libc.fdopen.restype = ctypes.c_void_p
        self._handle = os.memfd_create("warnings")
        self._sink = libc.fdopen(self._handle, b"a")  # each line goes to the end
        libc.setvbuf(ctypes.c_void_p(self._sink), None, _UNBUFFERED, 0)


_EAR = Ear()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_EAR.after_fork)


def with_damage(decode: Callable[[], T]) -> tuple[T, str]:
    """Result of a decoder, and how the file is damaged, in words; empty if it is not known to be.

    Told are holes, cuts and most of zeroed data in a JPEG, which its decoder reads over.
    """
    result, text = _EAR.heard(decode)
    return result, text if text.startswith(_DAMAGED) else ""
