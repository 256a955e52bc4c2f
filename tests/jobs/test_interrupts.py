"""Ctrl-C and termination at any moment: one line, code 130, and nothing half done is left."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ENDS = (130, -signal.SIGINT)
"""Python ends as if by SIGINT if it was interrupted in `exec`; to a shell that is 130 as well."""

COMMANDS = {
    "export": "export --ir --set workers=1",
    "dataset-convert": "dataset-convert mlc data copied --link copy",
    "dataset-check": "dataset-check data --fix fixed --html page.html",
    "predict": "predict data/images --output out.jsonl --draw drawn --gallery gallery.html",
    "eval": "eval --report --set workers=1",
    "thresholds": "thresholds --set workers=1",
}


PROGRAM = """
import sys
from mlc_cli.main import main
print("up", file=sys.stderr, flush=True)
main()
"""


def started(command: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *command.split()],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stderr
    assert process.stderr.readline() == "up\n"
    return process


def leftovers() -> list[Path]:
    return list(Path().rglob(".*"))


def assert_ended_well(process: "subprocess.Popen[str]") -> None:
    _, err = process.communicate(timeout=60)
    if "written" not in err and "exported to" not in err:  # else it was done before the signal
        assert process.returncode in ENDS, err
        assert "interrupted" in err
        assert "Traceback" not in err
    assert leftovers() == []
    assert not Path("copied").exists() or Path("copied/train.json").exists()
    assert not Path("fixed").exists() or Path("fixed/left_out.json").exists()


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_export_leaves_nothing_behind(number: signal.Signals) -> None:
    process = started("export --ir")
    while not leftovers() and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode in ENDS, err
    assert err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
    assert out == ""
    assert leftovers() == []
    assert list(Path("runs/train-1/export").iterdir()) == []


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_signal_at_any_moment_leaves_nothing_half_done(command: str) -> None:
    rng = random.Random(command)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        for folder in ("copied", "fixed"):
            shutil.rmtree(folder, ignore_errors=True)
        process = started(COMMANDS[command])
        time.sleep(rng.uniform(0.1, 4))
        os.kill(process.pid, number)
        assert_ended_well(process)
