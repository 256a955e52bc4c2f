"""How many cores there are to work on."""

import os

from mlc_cli.core.system.processes import dist_info


def usable_cores() -> int:
    """Cores for this process: those that it may run on, shared with its like on the machine."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, cores // dist_info().local_size)
