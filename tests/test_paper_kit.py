"""The script that runs the paper's table: its commands, not the days that they take."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.published import paper_presets

SCRIPT = Path(__file__).parent / "benchmarks" / "paper.py"


@pytest.mark.parametrize("small", [(), ("--small",)], ids=["whole", "small"])
def test_each_row_is_a_command_that_is_understood(mlc, tmp_path: Path, small) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--list", *small],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    commands = [shlex.split(line.partition("  mlc ")[2]) for line in done.stdout.splitlines()]
    assert [command[2] for command in commands] == paper_presets()
    for command in commands:
        outcome = mlc(*command, "--show-settings")
        assert outcome.code == 0, outcome.err
        assert f"name: {command[2]}" in outcome.out
        assert ("trust: true" in outcome.out) != bool(small)


def test_a_row_that_fails_is_said_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    done = subprocess.run(
        [sys.executable, SCRIPT, "--only", "effnetv2s-nus", "tresnetl-nus"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    table = (tmp_path / "runs/paper/table.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in table[2:]] == ["| effnetv2s-nus", "| tresnetl-nus"]
    for line in table[2:]:
        assert "no data: mlc dataset-download nus-wide" in line
