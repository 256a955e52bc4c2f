"""What `mlc --help` costs, and what an installed package carries."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlc_cli.main import COMMANDS

HEAVY = ("torch", "timm", "cv2", "numpy", "sklearn", "tensorboard", "openvino", "onnxruntime")


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=" ".join)
def test_help_imports_nothing_heavy(command: tuple[str, ...]) -> None:
    script = (
        "import sys; sys.argv = ['mlc', *sys.argv[1:]]\n"
        "import atexit; atexit.register(lambda: print('LOADED', *sorted(sys.modules)))\n"
        "from mlc_cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split("LOADED")[1].split()
    assert set(HEAVY) & set(loaded) == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(mlc, command: str) -> None:
    outcome = mlc(command, "--help")
    assert outcome.code == 0
    assert f"Example: mlc {command}" in outcome.out


def test_version(mlc) -> None:
    assert mlc("--version").out.startswith("mlc ")


def test_runs_as_a_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlc_cli", "--version"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
