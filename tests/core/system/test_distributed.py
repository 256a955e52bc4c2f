"""What several processes do together, in real groups of processes."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mlc_cli.core.system import distributed
from mlc_cli.core.system.distributed import ALONE, Group, current, joined, lost_processes_named
from mlc_cli.errors import ProcessError
from tests import launch

Together = Callable[..., list[Any]]


def test_what_processes_add_up_hand_round_and_agree_on(tmp_path: Path, together: Together) -> None:
    def work(group: Group) -> dict[str, Any]:
        rank = group.rank
        with group.main_first():
            if rank == 0:
                time.sleep(0.2)
            (tmp_path / "order").open("a").write(f"{rank}")
        batches = iter([[f"{rank}-{n}"] for n in range(2 if rank else 3)])
        return {
            "leads": group.is_main,
            "total": group.total(rank + 1),
            "total of flags": group.total(True),
            "any": [group.any(rank == 1), group.any(False)],
            "totals": group.totals(0.5, rank, True),
            "gather": group.gather({"rank": rank}),
            "to leader": group.gather_to_main(torch.tensor([rank])),
            "from leader": group.broadcast(lambda: f"made by {rank}"),
            "shard": list(group.shard(range(11), 2)),
            "in turn": list(group.in_order(batches)),
        }

    first, second = together(work)
    assert (first.pop("leads"), second.pop("leads")) == (True, False)
    assert (first.pop("to leader"), second.pop("to leader")) == ([0, 1], [])
    assert first.pop("shard") == [0, 1, 4, 5, 8, 9]
    assert second.pop("shard") == [2, 3, 6, 7, 10]
    assert first.pop("in turn") == [["0-0"], ["1-0"], ["0-1"], ["1-1"], ["0-2"]]
    assert second.pop("in turn") == []
    assert first == second
    assert first == {
        "total": 3,
        "total of flags": 2,
        "any": [True, False],
        "totals": [1.0, 1.0, 2.0],
        "gather": [{"rank": 0}, {"rank": 1}],
        "from leader": "made by 0",
    }
    assert (tmp_path / "order").read_text() == "01"


def test_alone_everything_stays_as_it_is() -> None:
    assert current() is ALONE
    assert (ALONE.total(3), ALONE.any(False), ALONE.gather(7)) == (3, False, [7])
    assert ALONE.totals(1.5, True) == [1.5, True]
    assert ALONE.gather_to_main("x") == ["x"]
    assert ALONE.broadcast(lambda: 5) == 5
    assert list(ALONE.shard("abc", 2)) == ["a", "b", "c"]
    assert list(ALONE.in_order(iter("abc"))) == ["a", "b", "c"]


@pytest.mark.parametrize("lost", [0, 1])
def test_the_end_of_a_process_is_an_error_in_the_others(together: Together, lost: int) -> None:
    def work(group: Group) -> str:
        if group.rank == lost:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            for _ in range(3):
                group.barrier()
        except ProcessError as error:
            return error.message
        return "nothing"

    told = together(work)
    assert told[1 - lost] == f"process {1 - lost} waits for another one, which has ended"


def test_who_is_not_woken_when_a_connection_ends_gives_up(tmp_path: Path) -> None:
    def work() -> str:
        distributed.PATIENCE = 0.6
        os.dup2(os.open(tmp_path / os.environ["RANK"], os.O_CREAT | os.O_WRONLY), 2)
        with joined():
            if current().rank:
                os.kill(os.getpid(), signal.SIGKILL)
            with lost_processes_named():
                time.sleep(60)  # as gloo does in a wait that nothing ends
        return "went on"

    assert launch.start_together(work).results(60) == [None, None]
    told = (tmp_path / "0").read_text()
    assert "process 0 waits for another one, which has ended\nIt was killed" in told


def test_an_interface_that_is_not_there_is_told_with_the_variable_that_names_it() -> None:
    def work() -> str:
        os.environ["GLOO_SOCKET_IFNAME"] = "eth77"
        try:
            with joined():
                return "joined"
        except ProcessError as error:
            return f"{error.message}: {error.hint}"

    for told in launch.start_together(work).results():
        assert "finds no network to the others: Name the interface: GLOO_SOCKET_IFNAME" in told


def test_two_processes_on_one_gpu_are_told_how_many_to_start(monkeypatch) -> None:
    info = SimpleNamespace(rank=1, size=2)
    monkeypatch.setattr("mlc_cli.core.system.distributed.dist_info", lambda: info)
    words = "Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 5000"  # NCCL's
    own = "process 1 and another one use the same GPU"
    with pytest.raises(ProcessError, match=own) as caught, lost_processes_named():
        raise RuntimeError(words)
    assert "--nproc_per_node" in caught.value.hint


def test_the_leader_may_end_as_soon_as_it_has_joined(tmp_path: Path) -> None:
    def work() -> bool:
        join = torch.distributed.init_process_group

        def join_slowly(*arguments: Any, **options: Any) -> None:
            join(*arguments, **options)
            if options["rank"] == 1:
                time.sleep(0.3)
                (tmp_path / "joined").touch()

        torch.distributed.init_process_group = join_slowly
        with joined():
            return (tmp_path / "joined").exists()

    assert launch.start_together(work).results() == [True, True]


def test_of_processes_that_fail_one_is_the_first() -> None:
    def work() -> bool:
        with joined() as fails_first:
            first = fails_first()
            current().barrier()
            return first

    assert sorted(launch.start_together(work).results()) == [False, True]


def test_who_fails_and_gets_no_answer_speaks() -> None:
    def work() -> str | bool:
        distributed.PATIENCE = 0.5
        with joined() as fails_first:
            pids = current().gather(os.getpid())
            if current().rank == 0:  # which keeps the word on who speaks
                os.kill(os.getpid(), signal.SIGSTOP)
                return "went on"
            time.sleep(0.3)
            first = fails_first()
            os.kill(pids[0], signal.SIGCONT)
            return first

    assert launch.start_together(work).results(60) == ["went on", True]


def test_processes_that_slurm_starts_join() -> None:
    def work() -> int:
        names = {
            "RANK": "SLURM_PROCID",
            "WORLD_SIZE": "SLURM_STEP_NUM_TASKS",
            "LOCAL_RANK": "SLURM_LOCALID",
            "LOCAL_WORLD_SIZE": "SLURM_STEP_TASKS_PER_NODE",
        }
        for name, other in names.items():
            os.environ[other] = os.environ.pop(name)
        with joined():
            return current().total(10 + current().rank)

    assert launch.start_together(work).results() == [21, 21]
