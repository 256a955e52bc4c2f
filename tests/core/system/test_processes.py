"""Which of several processes this is."""

import pytest

from mlc_cli.core.system.cores import usable_cores
from mlc_cli.core.system.processes import DistInfo, dist_info, own_gpu
from mlc_cli.errors import UsageError

TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "localhost",
    "MASTER_PORT": "29500",
}


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.usefixtures("launched")
def test_the_place_is_the_one_that_the_launcher_gave() -> None:
    assert dist_info() == DistInfo(rank=5, size=8, local_rank=1, local_size=4)


def test_without_a_launcher_a_process_is_alone() -> None:
    assert dist_info() == DistInfo(rank=0, size=1, local_rank=0, local_size=1)


@pytest.mark.parametrize("missing", [name for name in TORCHRUN if name != "WORLD_SIZE"])
def test_several_that_cannot_find_each_other_are_refused(
    launched: pytest.MonkeyPatch, missing: str
) -> None:
    launched.delenv(missing)
    with pytest.raises(UsageError, match=f"8 processes were started, and {missing} is not set"):
        dist_info()


@pytest.mark.parametrize("left", [{"WORLD_SIZE"}, set(TORCHRUN) - {"MASTER_PORT"}])
def test_one_process_needs_no_others(launched: pytest.MonkeyPatch, left: set[str]) -> None:
    for name in set(TORCHRUN) - left:
        launched.delenv(name)
    launched.setenv("WORLD_SIZE", "1")
    assert dist_info() == DistInfo()


SLURM = {"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1",
         "SLURM_STEP_TASKS_PER_NODE": "4(x2)", "SLURM_NODEID": "1"}  # fmt: skip
OPEN_MPI = {"OMPI_COMM_WORLD_RANK": "5", "OMPI_COMM_WORLD_SIZE": "8",
            "OMPI_COMM_WORLD_LOCAL_RANK": "1", "OMPI_COMM_WORLD_LOCAL_SIZE": "4"}  # fmt: skip


@pytest.mark.parametrize("variables", [SLURM, OPEN_MPI], ids=["slurm", "open-mpi"])
def test_other_launchers_are_understood(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="MASTER_ADDR, MASTER_PORT are not set"):
        dist_info()
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", "29500")
    assert dist_info() == DistInfo(rank=5, size=8, local_rank=1, local_size=4)


@pytest.mark.parametrize(("node", "size"), [(0, 3), (1, 3), (2, 2)])
def test_nodes_of_slurm_may_have_different_numbers_of_tasks(
    monkeypatch: pytest.MonkeyPatch, node: int, size: int
) -> None:
    uneven = {"SLURM_STEP_TASKS_PER_NODE": "3(x2),2", "SLURM_NODEID": str(node)}
    for name, value in (SLURM | uneven | {"MASTER_ADDR": "a", "MASTER_PORT": "1"}).items():
        monkeypatch.setenv(name, value)
    assert dist_info().local_size == size


@pytest.mark.parametrize(("visible", "gpu"), [(None, 1), ("0,1,2,3", 1), ("0", 0), ("GPU-8f2c", 0)])
def test_a_process_that_sees_its_own_gpu_alone_takes_it(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, gpu: int
) -> None:
    for name, value in (SLURM | {"MASTER_ADDR": "a", "MASTER_PORT": "1"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert own_gpu() == gpu


def test_a_process_of_torchrun_never_takes_the_gpu_of_another(
    launched: pytest.MonkeyPatch,
) -> None:
    launched.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert own_gpu() == 1, "which is then refused"


def test_a_batch_script_of_slurm_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_LOCALID": "0"}.items():
        monkeypatch.setenv(name, value)
    assert dist_info() == DistInfo()


def test_the_command_says_it_in_a_line(mlc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = mlc("presets")
    assert outcome.code == 2
    assert "2 processes were started, and RANK" in outcome.err


def test_processes_of_a_machine_share_its_cores(
    launched: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(10)))
    assert usable_cores() == 2
    launched.setenv("LOCAL_WORLD_SIZE", "64")
    assert usable_cores() == 1
    launched.setenv("WORLD_SIZE", "1")
    launched.delenv("RANK")
    assert usable_cores() == 10
