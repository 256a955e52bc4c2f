"""What several processes do together, in real groups of processes."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mlc_cli.core.system.distributed import ALONE, Group, current, joined
from mlc_cli.errors import ProcessError
from tests import launch

Together = Callable[..., list[Any]]


def normalised(rank: int) -> nn.Module:
    """Layers whose running statistics tell the rank."""
    model = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    for module in model[:2]:  # type: ignore[attr-defined]
        nn.init.constant_(module.running_mean, rank)
        nn.init.constant_(module.running_var, 4 + rank)
    model[1].eval()
    return model


def gradients(group: Group) -> list[list[float] | None]:
    """Of three parameters: all have one, the second process has one, nobody has one."""
    parameters = [nn.Parameter(torch.zeros(2)) for _ in range(3)]
    parameters[0].grad = torch.tensor([1.0, 2.0]) * (group.rank + 1)
    if group.rank == 1:
        parameters[1].grad = torch.tensor([5.0, 7.0])
    group.sum_gradients(parameters)
    return [None if p.grad is None else p.grad.tolist() for p in parameters]


def statistics(group: Group) -> tuple[list[float], float]:
    """Mean and variance of a layer whose statistics move, and mean of one whose stand still."""
    model = normalised(group.rank)
    group.average_statistics(model[:2])
    moving, standing = model[0], model[1]  # type: ignore[index]
    return [moving.running_mean[0].item(), moving.running_var[0].item()], standing.running_mean[
        0
    ].item()


def copied(group: Group) -> torch.Tensor:
    torch.manual_seed(group.rank)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # fmt: skip
    nn.init.constant_(model[1].running_mean, group.rank)
    group.broadcast_module(model)
    return torch.cat([v.double().flatten() for v in model.state_dict().values()])


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
            "sum": group.sum(torch.tensor([1.0, rank])).tolist(),
            "gather": group.gather({"rank": rank}),
            "to leader": group.gather_to_main(torch.tensor([rank])),
            "from leader": group.broadcast(lambda: f"made by {rank}"),
            "gradients": gradients(group),
            "moving": statistics(group)[0],
            "standing": statistics(group)[1],
            "copied": copied(group),
            "shard": list(group.shard(range(11), 2)),
            "in turn": list(group.in_order(batches)),
        }

    first, second = together(work)
    assert (first.pop("leads"), second.pop("leads")) == (True, False)
    assert torch.equal(first.pop("copied"), second.pop("copied"))
    assert (first.pop("to leader"), second.pop("to leader")) == ([0, 1], [])
    assert first.pop("shard") == [0, 1, 4, 5, 8, 9]
    assert second.pop("shard") == [2, 3, 6, 7, 10]
    assert first.pop("in turn") == [["0-0"], ["1-0"], ["0-1"], ["1-1"], ["0-2"]]
    assert second.pop("in turn") == []
    assert (first.pop("standing"), second.pop("standing")) == (0.0, 1.0)
    assert first == second
    assert first == {
        "total": 3,
        "total of flags": 2,
        "any": [True, False],
        "sum": [2.0, 1.0],
        "gather": [{"rank": 0}, {"rank": 1}],
        "from leader": "made by 0",
        "gradients": [[3.0, 6.0], [5.0, 7.0], None],
        "moving": [0.5, 4.5],
    }
    assert (tmp_path / "order").read_text() == "01"


def test_alone_everything_stays_as_it_is() -> None:
    assert current() is ALONE
    model = normalised(3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ALONE.average_statistics(model[:2])
    ALONE.broadcast_module(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert gradients(ALONE) == [[1.0, 2.0], None, None]
    assert (ALONE.total(3), ALONE.any(False), ALONE.gather(7)) == (3, False, [7])
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


def test_processes_that_slurm_starts_join() -> None:
    def work() -> int:
        names = {
            "RANK": "SLURM_PROCID",
            "WORLD_SIZE": "SLURM_STEP_NUM_TASKS",
            "LOCAL_RANK": "SLURM_LOCALID",
            "LOCAL_WORLD_SIZE": "SLURM_NTASKS_PER_NODE",
        }
        for name, other in names.items():
            os.environ[other] = os.environ.pop(name)
        with joined():
            return current().total(10 + current().rank)

    assert launch.start_together(work).results() == [21, 21]
