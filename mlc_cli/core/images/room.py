"""Memory that large images may take at a time, in all threads of a process together."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mlc_cli.core.system.cores import free_memory

_SMALL = 64 * 2**20
"""What takes fewer bytes is not waited for."""
_PART = 4
"""A quarter of the memory that is free is for images."""


class Room:
    """Hands out memory, first come, first served, as long as there is any."""

    def __init__(self) -> None:
        self.empty()

    def empty(self) -> None:
        """Begin anew, in a forked process too, where nobody else holds any."""
        self._change = threading.Condition()
        self._taken = 0.0

    @contextmanager
    def take(self, needed: float) -> Iterator[None]:
        """Inside, so many bytes may be used; one image alone may have all that is free.

        Raises:
            MemoryError: So many are not free.
        """
        if needed < _SMALL:
            yield
            return
        with self._change:
            self._change.wait_for(
                lambda: not self._taken or self._taken + needed < free_memory() / _PART
            )
            if needed > (free := free_memory()):
                raise MemoryError(
                    f"needs {needed / 1e9:.1f} GB of memory, of which {free / 1e9:.1f} are free"
                )
            self._taken += needed
        try:
            yield
        finally:
            with self._change:
                self._taken -= needed
                self._change.notify_all()


FILES, PIXELS = Room(), Room()
"""For contents, then for what is decoded: who has the second waits for nobody."""


def _begin_anew() -> None:
    FILES.empty()
    PIXELS.empty()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
