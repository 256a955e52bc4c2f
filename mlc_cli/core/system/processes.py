"""What a launcher such as torchrun says of this process: the one place that knows the rank."""

import hashlib
import os
import re
import sys
from dataclasses import dataclass

from mlc_cli.errors import UsageError

_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_OTHER_NAMES = {
    "RANK": ("SLURM_PROCID", "OMPI_COMM_WORLD_RANK"),
    "WORLD_SIZE": ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"),
    "LOCAL_RANK": ("SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK"),
    "LOCAL_WORLD_SIZE": ("OMPI_COMM_WORLD_LOCAL_SIZE",),
}
"""What SLURM and Open MPI call what torchrun sets."""


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
    """What the launcher says of this process in its environment; alone without a launcher.

    Raises:
        UsageError: Several processes were started, and they do not know enough to find each other:
            each would train by itself.
    """
    given = {name: os.environ[name] for name in _NAMES if name in os.environ}
    for name, others in _OTHER_NAMES.items():
        found = [os.environ[other] for other in others if other in os.environ]
        if found and ("WORLD_SIZE" in os.environ or _is_step()):
            given.setdefault(name, found[0])
    if tasks := os.environ.get("SLURM_STEP_TASKS_PER_NODE") if _is_step() else None:
        each = re.findall(r"(\d+)(?:\(x(\d+)\))?", tasks)  # such as 8(x2),4
        sizes = [size for size, nodes in each for _ in range(int(nodes or 1))]
        given.setdefault("LOCAL_WORLD_SIZE", sizes[int(os.environ.get("SLURM_NODEID", "0"))])
    if int(given.get("WORLD_SIZE", "1")) > 1 and len(given) < len(_NAMES):
        missing = [name for name in _NAMES if name not in given]
        raise UsageError(
            f"{given['WORLD_SIZE']} processes were started, and {', '.join(missing)}"
            f" {'is' if len(missing) == 1 else 'are'} not set",
            "Start them with torchrun, which sets all, or set them for each process: MASTER_ADDR"
            " and MASTER_PORT are the host and a free port of the first one.",
        )
    if len(given) < len(_NAMES):
        return DistInfo()
    restarts = int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0"))
    if restarts and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        raise UsageError(
            "processes that are started anew would find the addresses of those before them",
            "For --max-restarts, set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 before torchrun starts,"
            " and give it --rdzv-backend c10d.",
        )
    return DistInfo(*(int(given[name]) for name in _NAMES[:4]))


def own_gpu() -> int:
    """Number of the GPU of this process among those that it sees.

    SLURM (`--gpus-per-task=1`) and scripts under Open MPI show each process its own alone; torchrun
    shows all of them all.
    """
    several = "," in os.environ.get("CUDA_VISIBLE_DEVICES", ",")
    return dist_info().local_rank if several or "LOCAL_RANK" in os.environ else 0


def launch_id() -> str:
    """One text for all processes that an elastic launch of torchrun ever starts; empty without."""
    run = os.environ.get("TORCHELASTIC_RUN_ID", "")
    if run == "none":  # not named: the launcher itself is what stays
        import psutil  # noqa: PLC0415 - most commands need it not

        run = f"{os.getppid()} {psutil.Process(os.getppid()).create_time()}"
    text = " ".join([run, *sys.argv[1:]])  # arguments may hold secrets
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest() if run else ""


def _is_step() -> bool:
    """Whether srun or mpirun has started several of this process."""
    sizes = (os.environ.get(name, "1") for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"))
    return any(int(size) > 1 for size in sizes)
