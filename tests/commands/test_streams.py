"""Standard output that is full, closed or in another encoding; what a machine runs out of."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mlc_cli.core.system.machine import machine_error, machine_errors_named
from mlc_cli.errors import MlcError

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def shell(command: str) -> "subprocess.CompletedProcess[str]":
    text = command.replace("mlc", f"{sys.executable} -m mlc_cli")
    return subprocess.run(
        ["bash", "-c", text], env=ENVIRONMENT, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("command", ["mlc --help", "mlc --version", "mlc presets"])
def test_a_full_disk_behind_standard_output_is_one_line(command: str) -> None:
    done = shell(f"{command} > /dev/full")
    assert done.returncode == 1
    assert done.stderr == "Error: standard output or a file: No space left on device\n"


def test_standard_output_that_is_closed_is_said() -> None:
    done = shell("mlc presets >&-")
    assert done.returncode == 1
    assert "standard output is closed" in done.stderr
    assert "Traceback" not in done.stderr


def test_standard_input_that_is_closed_is_said(tmp_path: Path) -> None:
    (tmp_path / "read.py").write_text(
        "from mlc_cli.core.loading.stream import stdin_lines\nnext(stdin_lines())"
    )
    done = shell(f"{sys.executable} {tmp_path}/read.py <&-")
    assert "DataError: standard input is closed" in done.stderr


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    done = shell(f"mkdir {tmp_path}/x; cd {tmp_path}/x; rmdir {tmp_path}/x; mlc presets")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the folder that this is called in is gone" in done.stderr


def test_a_closed_pipe_ends_without_a_word() -> None:
    done = shell("set -o pipefail; mlc presets | true; echo ${PIPESTATUS[0]}")
    assert done.stdout == "1\n"
    assert done.stderr == ""


def test_results_are_utf_8_whatever_the_locale() -> None:
    given, wanted = (
        shell(f"PYTHONIOENCODING={encoding} mlc presets").stdout for encoding in ("cp1252", "utf-8")
    )
    assert given == wanted != ""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "--batch-size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "data.input_size"),
        (MemoryError(), "optim.accumulate"),
        (RuntimeError("could not create a primitive"), "too little memory"),
        (RuntimeError("can't start new thread"), "--pids-limit"),
        (OSError(errno.EMFILE, "Too many open files", "a.jpg"), "ulimit -n"),
        (OSError(errno.EROFS, "Read-only file system", "run/train.log"), "run/train.log: Read"),
    ],
    ids=repr,
)
def test_what_a_machine_lacks_is_named_with_the_repair(error: Exception, words: str) -> None:
    found = machine_error(error)
    assert found
    assert words in f"{found.message} {found.hint}"
    assert found.exit_code == 1
    if not isinstance(error, OSError):  # an API's caller knows those
        with pytest.raises(MlcError) as caught, machine_errors_named():
            raise error
        assert caught.value.hint == found.hint
        assert caught.value.__cause__ is error


def test_a_library_that_memory_has_no_room_for_is_named() -> None:
    found = machine_error(ImportError("libtorch_cpu.so: failed to map segment from shared object"))
    assert found
    assert found.message.startswith("there is too little memory: libtorch_cpu.so")


def test_an_error_of_the_program_stays_one() -> None:
    assert machine_error(RuntimeError("shapes differ")) is None
    with pytest.raises(RuntimeError, match="shapes differ"), machine_errors_named():
        raise RuntimeError("shapes differ")
