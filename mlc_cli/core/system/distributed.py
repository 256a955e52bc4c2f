"""Several processes as one: what they add up, hand round and agree on.

Numbers on the host go through gloo, gradients through the library of their device (NCCL on CUDA).
Alone, every method gives back what it was given, without any work.
"""

import os
import re
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from mlc_cli.core.system.processes import dist_info
from mlc_cli.errors import ProcessError

T = TypeVar("T")
_SILENCE = "timed? ?out|unreachable|no route"
_CAUSES = (
    ("duplicate gpu", "process {rank} and another one use the same GPU",
     "Start one process for each GPU: --nproc_per_node is at most their number, and"
     " CUDA_VISIBLE_DEVICES is the same for all."),
    ("no socket interface|network interface|unable to find address|resolve|hostname",
     "process {rank} finds no network to the others",
     "Name the interface: GLOO_SOCKET_IFNAME=eth0 NCCL_SOCKET_IFNAME=eth0, as `ip addr` shows it."),
    (f"{_SILENCE}|closed by peer|connection reset|connection closed|connection refused|broken pipe"
     "|remote process|has been destroyed|wait timeout|aborted|recvvalue failed|failed to recv"
     "|failed to send|socket",
     "process {rank} waits for another one, which has ended",
     "It was killed, most often for lack of memory, or its machine is out of reach."),
)  # fmt: skip
"""Signs in what torch says, and what they mean."""
PATIENCE = 6.0
"""Seconds after which a process gives up waiting for one to which no connection is left."""
_waits: list[float] = []
"""When this process began what it does together with others, if it does."""


@dataclass(frozen=True)
class Group:
    """The processes that a launcher started and that have joined, or one alone.

    All methods are called by all processes, in the same order. When one of them has ended, the
    others get a `ProcessError` instead of an answer. Alone, nothing here needs torch.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def totals(self, *values: float) -> list[float]:
        """Sums of numbers over all processes, in one message."""
        if self.size == 1:
            return list(values)
        with torch_distributed() as dist:
            import torch  # noqa: PLC0415

            summed = torch.tensor(values, dtype=torch.float64)
            dist.all_reduce(summed)
        return summed.tolist()

    def total(self, count: int) -> int:
        """Sum of a whole number over all processes."""
        return int(self.totals(count)[0])

    def any(self, flag: bool) -> bool:  # noqa: FBT001 - the question is the name
        """Whether it is true for any process."""
        return self.total(flag) > 0

    def barrier(self) -> None:
        """Wait until all processes are here."""
        self.total(0)

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank."""
        found = self.gather_to_main(value)
        return self.broadcast(lambda: found)

    def gather_to_main(self, value: T) -> list[T]:
        """The values of all processes, by rank, in the leading one; nothing in the others."""
        if self.size == 1:
            return [value]
        values: list[T | None] | None = [None] * self.size if self.is_main else None
        with torch_distributed() as dist:
            dist.gather_object(value, values)
        return values or []  # type: ignore[return-value]

    def broadcast(self, make: Callable[[], T]) -> T:
        """What the leading process makes, for all."""
        values = [make() if self.is_main else None]
        if self.size > 1:
            with torch_distributed() as dist:
                dist.broadcast_object_list(values, 0)
        return values[0]  # type: ignore[return-value]

    def shard(self, items: Iterable[T], batch_size: int) -> Iterator[T]:
        """This process's part of a stream that all see: every so many batches one."""
        for number, item in enumerate(items):
            if number // batch_size % self.size == self.rank:
                yield item

    def in_order(self, batches: Iterator[T]) -> Iterator[T]:
        """What all processes make of their batches, in order, in the leading one.

        It ends for all where one has no more, be it at the end of the stream or at a signal.
        """
        if self.size == 1:
            yield from batches
            return
        complete = True
        while complete:
            batch = next(batches, None)
            complete = self.total(batch is not None) == self.size
            for made in self.gather_to_main(batch):
                if made is None:
                    break
                yield made

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Inside, the leading process is alone; the others follow when it is done."""
        if not self.is_main:
            self.barrier()
        yield
        if self.is_main:
            self.barrier()


ALONE = Group()


def current() -> Group:
    """The group that this process has joined, or itself alone; torch is imported for several."""
    if dist_info().size == 1:
        return ALONE
    from torch import distributed as dist  # noqa: PLC0415

    return Group(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else ALONE


@contextmanager
def joined() -> Iterator[Callable[[], bool]]:
    """Inside, the processes that a launcher started are a group.

    Yields:
        A function for a process that fails: whether it is the first of all to ask, and so the
        one to say what went wrong. The others fail of that, or of the same thing.
    """
    import torch  # noqa: PLC0415
    from torch.distributed.rendezvous import rendezvous  # noqa: PLC0415

    info = dist_info()  # SLURM and Open MPI have names of their own for it
    store, rank, size = next(rendezvous("env://", info.rank, info.size))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with torch_distributed() as dist:
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)
        # The leader keeps the store: were it to end here, others could not finish joining.
        current().barrier()
    if sys.platform == "linux":
        threading.Thread(target=_give_up, args=(_notice_silence(),), daemon=True).start()

    answers: list[bool] = []

    def ask() -> None:
        try:
            answers.append(int(store.add("mlc/failed", 1)) == 1)
        except RuntimeError as error:
            # its keeper is out of reach, or has failed before and is gone
            answers.append(bool(re.search(_SILENCE, str(error), re.IGNORECASE)))

    def fails_first() -> bool:
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(PATIENCE)  # what is written to a machine out of reach fails half a minute later
        return answers[0] if answers else True

    yield fails_first
    dist.destroy_process_group()  # after a failure nobody would answer


def _notice_silence() -> dict[int, int]:
    """Let Linux end connections to a machine that is silent for half a minute.

    By itself it waits for two hours, and gloo for one half; a process at work is not silent, since
    its system answers for it.

    Returns:
        Handles and inodes of the connections.
    """
    times = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_USER_TIMEOUT: 30_000}
    found = {}
    for handle in (int(path.name) for path in Path("/proc/self/fd").iterdir()):
        with suppress(OSError):  # closed meanwhile, or no connection
            if stat.S_ISSOCK((state := os.fstat(handle)).st_mode):
                with socket.socket(fileno=os.dup(handle)) as connection:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    for option, value in times.items():
                        connection.setsockopt(socket.IPPROTO_TCP, option, value)
                    found[handle] = state.st_ino
    return found


def _give_up(connections: dict[int, int]) -> None:
    """End this process when it waits for one to which the connection is gone.

    gloo, which closes the connection, does not always wake who waits (seen in torch 2.14, where it
    would be half an hour); nothing in Python could.
    """
    polls, before = 0, 0.0
    while True:
        time.sleep(PATIENCE / 3)
        since = next(iter(_waits), 0.0)
        stuck = since == before != 0 and not all(_is_open(*one) for one in connections.items())
        polls, before = polls + 1 if stuck else 0, since
        if polls == 3:
            _, message, repair = _CAUSES[-1]
            sys.stderr.write(f"Error: {message.format(rank=dist_info().rank)}\n{repair}\n")
            sys.stderr.flush()
            os._exit(1)


def _is_open(handle: int, inode: int) -> bool:
    try:
        return os.fstat(handle).st_ino == inode
    except OSError:
        return False


@contextmanager
def torch_distributed() -> Iterator[ModuleType]:
    """Inside, what goes wrong between processes gets a message."""
    from torch import OutOfMemoryError  # noqa: PLC0415
    from torch import distributed as dist  # noqa: PLC0415

    try:
        with lost_processes_named():
            yield dist
    except (OutOfMemoryError, NotImplementedError):
        raise
    except RuntimeError as error:
        raise ProcessError(
            f"the processes cannot talk to each other: {str(error).strip().splitlines()[0]:.300}",
            "--debug shows all of it.",
        ) from error


@contextmanager
def lost_processes_named() -> Iterator[None]:
    """Inside, the end of another process, of which torch tells in many ways, gets a message."""
    _waits.append(time.monotonic())
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        for sign, message, repair in _CAUSES:
            if dist_info().size > 1 and re.search(sign, text, re.IGNORECASE):
                raise ProcessError(message.format(rank=dist_info().rank), repair) from error
        raise
    finally:
        _waits.pop()
