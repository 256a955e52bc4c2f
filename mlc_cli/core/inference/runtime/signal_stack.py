"""The stack that handlers of signals run on.

OpenVINO's CPU plugin puts an alternate stack in place when it is loaded, and each `ov.Core` loads
it anew. When a plugin ends, it puts back what it found and frees its own. So of two that overlap
without being nested, the second puts back the freed stack of the first (seen in 2026.4), and the
next signal with a handler, be it Ctrl-C or the end of a reader process, is a segmentation fault.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Stack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Put back, at the end, the alternate stack of this thread; only on Linux.

    For what makes cores of its own; everything else shares one.
    """
    if sys.platform != "linux":
        yield
        return
    libc, stack = ctypes.CDLL(None), _Stack()
    libc.sigaltstack(None, ctypes.byref(stack))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(stack), None)
