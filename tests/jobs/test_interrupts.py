"""Ctrl-C and termination at any moment: one line, code 130, and nothing half done is left."""

import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.launch import Command

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


def leftovers() -> list[Path]:
    return list(Path().rglob(".*"))


def assert_ended_well(process: Command) -> None:
    code, _, err = process.ended()
    if "written" not in err and "exported to" not in err:  # else it was done before the signal
        assert code in ENDS, err
        assert "interrupted" in err or code == -signal.SIGINT
        assert "Traceback" not in err
    assert leftovers() == []
    assert not Path("copied").exists() or Path("copied/train.json").exists()
    assert not Path("fixed").exists() or Path("fixed/left_out.json").exists()


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_export_leaves_nothing_behind(number: signal.Signals) -> None:
    process = Command("export", "--ir")
    while not leftovers() and process.runs:
        time.sleep(0.01)
    process.kill(number)
    code, out, err = process.ended()
    assert code in ENDS, err
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
        process = Command(*COMMANDS[command].split())
        time.sleep(rng.uniform(0, 2))
        process.kill(number)
        assert_ended_well(process)
