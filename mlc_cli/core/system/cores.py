"""The cores and the memory that models on the CPU work with."""

import ctypes
import os
import platform
from contextlib import suppress
from pathlib import Path

import psutil

from mlc_cli.core.system.processes import dist_info

CPU_SLICE = 8
"""Images that fit the cache of a CPU: one takes two thirds of the time that it takes among 64."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h


_taken = 0


def take_cores(number: int) -> None:
    """Let this process work with so many cores from now on: others know of the rest."""
    global _taken  # noqa: PLW0603
    _taken = number


def usable_cores() -> int:
    """Cores for this process: those that it may run on, shared with its like on the machine."""
    return _taken or max(1, _allowed() // dist_info().local_size)


def shares_cores() -> bool:
    """Whether others of its like work beside this process."""
    return usable_cores() < _allowed()


def _allowed() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int:
    """Bytes that this process may still take: of the machine, and of its container."""
    free: int = psutil.virtual_memory().available
    with suppress(OSError, ValueError, KeyError):  # no container, or one without a limit
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / f"memory.{n}").read_text()) for n in ("max", "current"))
        state = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        free = min(free, limit - used + int(state["inactive_file"]))
    return max(0, free)


def keep_freed_memory() -> None:
    """Let glibc keep the memory that a step frees, for the next step to use.

    By default large tensors are mapped and unmapped each time, and the kernel clears every page
    anew: a training on the CPU spends a quarter of its time on that, inference a third.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)
