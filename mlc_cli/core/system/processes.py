"""What a launcher such as torchrun says of this process: the one place that knows the rank."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class DistInfo:
    """Which of several processes this is.

    Attributes:
        rank: Number of the process, from 0; 0 leads.
        size: Processes in all.
        local_rank: Number among those of this machine.
        local_size: Processes on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def dist_info() -> DistInfo:
    """What the launcher says of this process in its environment; alone without a launcher."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    if any(name not in os.environ for name in (*names, "MASTER_ADDR", "MASTER_PORT")):
        return DistInfo()
    return DistInfo(*(int(os.environ[name]) for name in names))
