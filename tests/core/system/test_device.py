import os
from collections.abc import Iterator

import pytest
import torch

from mlc_cli.core.system.device import make_deterministic, pick_device, pick_workers, seed_step
from mlc_cli.errors import UsageError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
with_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def test_cpu_is_picked_by_name() -> None:
    assert pick_device("cpu") == CPU


@no_gpu
def test_auto_is_the_cpu_without_a_gpu() -> None:
    assert pick_device("auto") == CPU


@pytest.mark.gpu
@with_gpu
def test_auto_is_the_gpu_where_there_is_one() -> None:
    assert pick_device("auto") == torch.device("cuda", torch.cuda.current_device())


@no_gpu
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:3"])
def test_missing_gpu_is_an_error_that_counts_them(name: str) -> None:
    with pytest.raises(UsageError, match=f"device '{name}': this machine has 0 CUDA devices"):
        pick_device(name)


@pytest.mark.parametrize("name", ["", "gpu", "cuda:x", "mps", "xpu", "meta", "CPU"])
def test_unknown_device_is_an_error(name: str) -> None:
    with pytest.raises(UsageError, match=f"device '{name}' is") as caught:
        pick_device(name)
    assert "auto, cpu, cuda" in caught.value.hint


@pytest.mark.parametrize(
    ("cores", "on_cpu", "on_gpu"), [(1, 1, 1), (2, 1, 1), (8, 4, 7), (64, 4, 16)]
)
def test_workers_follow_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, on_cpu: int, on_gpu: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert pick_workers("auto", CPU) == on_cpu
    assert pick_workers("auto", CUDA) == on_gpu


@pytest.mark.parametrize("wanted", [0, 3, 40])
def test_given_number_of_workers_is_taken(wanted: int) -> None:
    assert pick_workers(wanted, CPU) == wanted


@pytest.fixture
def _restore(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")  # whatever is set is taken back
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic = torch.backends.cudnn.benchmark = False


@pytest.mark.usefixtures("_restore")
@pytest.mark.parametrize("on", [True, False])
def test_deterministic_algorithms_are_switched(on: bool) -> None:
    make_deterministic(on=on)
    assert torch.are_deterministic_algorithms_enabled() == on
    assert torch.backends.cudnn.deterministic == on
    assert torch.backends.cudnn.benchmark == (not on)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_random_numbers_of_a_step_depend_on_seed_and_step_alone() -> None:
    def draw(seed: int, step: int) -> float:
        seed_step(seed, step)
        return float(torch.rand(()))

    first = draw(1, 5)
    draw(9, 9)
    assert draw(1, 5) == first
    assert len({draw(seed, step) for seed in range(5) for step in range(20)}) == 100


def gpus(monkeypatch: pytest.MonkeyPatch, number: int) -> list[int]:
    """So many seem to be there; those that are made the current one."""
    chosen: list[int] = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: number)
    monkeypatch.setattr(torch._C, "_cuda_setDevice", chosen.append, raising=False)
    return chosen


def test_one_process_takes_the_first_gpu_or_the_one_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = gpus(monkeypatch, 2)
    picked = [pick_device(name) for name in ("auto", "cuda", "cuda:1")]
    assert picked == [torch.device("cuda:0"), torch.device("cuda:0"), torch.device("cuda:1")]
    assert chosen == [0, 0, 1]


@pytest.fixture
def second_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a process that torchrun has started with three others."""
    for name, value in {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4",
                        "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("second_of_four")
def test_each_of_several_processes_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = gpus(monkeypatch, 2)
    own = torch.device("cuda:1")
    assert [pick_device(name) for name in ("auto", "cuda", "cuda:1")] == [own] * 3
    assert chosen == [1] * 3
    assert pick_device("cpu") == CPU
    with pytest.raises(UsageError, match="each takes a GPU of its own"):
        pick_device("cuda:0")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UsageError, match="this machine has 1 CUDA devices") as caught:
        pick_device("auto")
    assert "--nproc_per_node" in caught.value.hint


def test_the_rank_decides_too_and_the_first_draws_what_one_alone_does() -> None:
    def draw(*place: int) -> float:
        seed_step(*place)
        return torch.rand(1).item()

    assert draw(3, 5, 0) == draw(3, 5)
    assert len({draw(3, 5), draw(3, 5, 1), draw(3, 5, 2), draw(3, 6, 1)}) == 4
