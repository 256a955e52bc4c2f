"""Trainings under torchrun's elastic launch, which starts all processes anew when one is lost."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from mlc_cli.core.training.recorder import before_last
from tests.runs import rows, weights

SETTINGS = ("model.backbone=test_vit", "batch_size=7", "optim.name=sgd", "optim.lr=0.02",
            "epochs=4", "save_steps=1")  # fmt: skip
ELASTIC = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


def launch(
    arguments: list[str], name: str, processes: int = 2, restarts: int = 4, **variables: str
) -> subprocess.Popen[str]:
    """Processes under torchrun, which starts them anew so many times."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "1:3", "--nproc_per_node"]
    command += [f"{processes}", "--max-restarts", f"{restarts}", "--rdzv-backend", "c10d"]
    command += ["--rdzv-endpoint", "localhost:0", "--rdzv-id", name]
    command += ["--rdzv-conf", "last_call_timeout=1"]  # seconds for further machines to join
    command += ["-m", "--", "mlc_cli", *arguments]
    command += ["--set", f"name={name}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    kept = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, env=environment, **kept)


def kill_one(launched: subprocess.Popen[str], run: Path, draw: random.Random) -> int:
    """Kill any of the processes at a step drawn at random; the step, counted in saved states."""
    steps, seen, last = draw.randrange(1, 15), 0, 0
    state = run / "trainer.pt"
    while seen < steps:
        assert launched.poll() is None, launched.communicate()[1]
        now = state.stat().st_mtime_ns if state.exists() else 0
        seen, last = seen + (now != last), now
        time.sleep(0.001)
    workers = psutil.Process(launched.pid).children()
    draw.choice([one for one in workers if "mlc_cli" in one.cmdline()]).kill()
    return seen


@pytest.fixture
def arguments(training: Callable[..., list[str]]) -> list[str]:
    """Arguments of a training without batch normalisation, in the working folder."""
    return training(31, 17, *SETTINGS)


def test_a_killed_process_changes_nothing(arguments: list[str], mlc: Callable[..., Any]) -> None:
    assert mlc(*arguments, "--set", "name=whole").code == 0
    launched = launch(arguments, "torn", **ELASTIC)
    kill_one(launched, Path("runs/torn-1"), random.Random(1))
    said = launched.communicate(timeout=300)[1]
    assert launched.returncode == 0, said
    assert [path.name for path in sorted(Path("runs").iterdir())] == ["latest", "torn-1", "whole-1"]
    assert "Signal 9" in said or "exitcode: -9" in said
    assert len(rows("runs/torn-1")) == len(rows("runs/whole-1")) == 4
    found, wanted = (weights(f"runs/{name}") for name in ("torn-1", "whole-1"))
    torch.testing.assert_close(found, wanted, atol=2e-5, rtol=0)


def test_two_states_are_kept_and_a_damaged_one_gives_way(
    arguments: list[str], mlc: Callable[..., Any]
) -> None:
    assert mlc(*arguments).code == 0
    whole, state = weights("runs/train-1"), Path("runs/train-1/trainer.pt")
    content = torch.load(before_last(state))
    assert content["position"]["epoch"] == 3
    assert content["position"]["batch"] == 4  # after the last step: the last is that of the epoch
    state.write_bytes(state.read_bytes()[:1000])
    Path("runs/train-1/eval.json").unlink()
    outcome = mlc("train", "--resume", "runs/train-1")
    assert outcome.code == 0, outcome.err
    assert "trainer.pt: cannot be continued" in outcome.err
    assert "continued from trainer-before.pt" in outcome.err
    assert torch.equal(weights("runs/train-1"), whole)


def test_a_launch_that_would_find_old_addresses_is_refused(arguments: list[str]) -> None:
    launched = launch(arguments, "torn", 1, 1, TORCH_DISABLE_SHARE_RDZV_TCP_STORE="0")
    said = launched.communicate(timeout=300)[1]
    assert launched.returncode == 1
    assert "set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1" in said
