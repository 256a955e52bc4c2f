"""Two machines, which are two namespaces of the network, joined by a cable that is pulled.

Run by hand, as root and on an otherwise idle machine, since it counts seconds:

    pytest tests/fuzz/two_machines.py
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def machines() -> Iterator[list[str]]:
    """Names of both; each has an interface of its own name, and 10.77.0.1 or 10.77.0.2."""
    names = [f"mlc{os.getpid() % 100_000}{end}" for end in "ab"]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", names[0], "netns", names[0], "type", "veth",
           "peer", "name", names[1], "netns", names[1])  # fmt: skip
        for number, name in enumerate(names, 1):
            ip("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", name)
            ip("-n", name, "link", "set", name, "up")
            ip("-n", name, "link", "set", "lo", "up")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no namespaces of the network can be made here: {error}")
    else:
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def start(machine: str, rank: int, arguments: list[str]) -> "subprocess.Popen[str]":
    variables = {
        "RANK": f"{rank}", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": "10.77.0.1", "MASTER_PORT": "29500", "GLOO_SOCKET_IFNAME": machine,
        "PYTHONPATH": f"{REPOSITORY}", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    return subprocess.Popen(
        ["ip", "netns", "exec", machine, sys.executable, "-m", "mlc_cli", *arguments],
        env={**os.environ, **variables}, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_machine_that_is_cut_off_ends_the_training_of_both(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_dataset: Callable[..., Path],
    tiny: list[str],
    machines: list[str],
) -> None:
    make_dataset(31, 17)
    monkeypatch.chdir(tmp_path)
    arguments = ["train", "--data", "data", "--device", "cpu", *tiny, "--set", "epochs=100000"]
    started = [start(machine, rank, arguments) for rank, machine in enumerate(machines)]
    rows, until = tmp_path / "runs/train-1/metrics.jsonl", time.monotonic() + 400
    while not rows.exists() or len(rows.read_text().splitlines()) < 2:
        assert time.monotonic() < until, [p.kill() or p.communicate()[1] for p in started]
        time.sleep(0.1)
    assert json.loads(rows.read_text().splitlines()[0])["val/mAP"] >= 0
    ip("-n", machines[1], "link", "set", machines[1], "down")
    pulled = time.monotonic()
    for rank, process in enumerate(started):
        _, err = process.communicate(timeout=60)
        assert time.monotonic() - pulled < 60
        assert process.returncode == 1, err
        assert f"process {rank} waits for another one, which has ended" in err
        assert "its machine is out of reach" in err
        assert "Traceback" not in err
