"""Which of several processes this is."""

import pytest

from mlc_cli.core.system.cores import usable_cores
from mlc_cli.core.system.processes import DistInfo, dist_info

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


@pytest.mark.parametrize("missing", TORCHRUN)
def test_what_only_looks_like_a_launcher_is_none(
    launched: pytest.MonkeyPatch, missing: str
) -> None:
    launched.delenv(missing)
    assert dist_info() == DistInfo()


def test_processes_of_a_machine_share_its_cores(
    launched: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(10)))
    assert usable_cores() == 2
    launched.setenv("LOCAL_WORLD_SIZE", "64")
    assert usable_cores() == 1
    launched.delenv("RANK")
    assert usable_cores() == 10
