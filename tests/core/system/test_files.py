"""Files appear whole or not at all."""

import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mlc_cli.core.system.files import (
    check_output,
    read_bytes,
    read_text,
    write_atomic,
    write_json,
    write_text,
)
from mlc_cli.errors import DataError, MlcError, UsageError


def test_text_and_json_are_written_in_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "été.txt", "日本\n")
    assert (tmp_path / "été.txt").read_bytes() == "日本\n".encode()
    write_json(tmp_path / "a.json", {"é": [1, None]})
    assert '"é"' in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "été.txt"]


def test_text_is_read_without_mark_and_with_plain_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbf\xc3\xa9\r\nb\rc\n")
    assert read_text(tmp_path / "a") == "é\nb\nc\n"
    (tmp_path / "a").write_bytes("é".encode("latin-1"))
    with pytest.raises(DataError, match=r"not UTF-8 text \(byte 0\)"):
        read_text(tmp_path / "a")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("pipe", "regular"), ("", "directory"), ("none", "No such file")):
        with pytest.raises(DataError, match=reason):
            read_bytes(tmp_path / name)


def test_a_file_is_readable_by_others(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "x")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_json_refuses_what_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError, RuntimeError])
def test_a_writer_that_fails_leaves_the_old_file_alone(tmp_path: Path, error: type) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("half of the n")
        raise error("enough")

    expected = MlcError if error in (OSError, RuntimeError) else error
    with pytest.raises(expected, match="enough"):
        write_atomic(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_while_writing_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    seen = []

    def write(temporary: Path) -> None:
        temporary.write_text("new")
        seen.append((path.read_text(), temporary.parent == path.parent))

    write_atomic(path, write)
    assert seen == [("old", True)]
    assert path.read_text() == "new"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none" / "a"
    with pytest.raises(MlcError, match="cannot be written: No such file") as caught:
        write_text(path, "x")
    assert str(path) in caught.value.message


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(MlcError, match="cannot be written"):
        write_text(tmp_path / "a", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import torch
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.runs.checkpoint import save_checkpoint
from mlc_cli.core.system.files import write_atomic, write_text
from mlc_cli.errors import MlcError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
folder, tensor = Path(sys.argv[1]), torch.zeros(100_000)
card = ModelCard(["a"], {}, (1, 1), (0, 0, 0), (1, 1, 1), 1.0)
for write in (
    lambda: write_text(folder / "a", "x" * 100_000),
    lambda: write_atomic(folder / "b", lambda path: torch.save(tensor, path)),
    lambda: save_checkpoint(folder / "c", {"a": tensor}, card),
):
    try:
        write()
    except MlcError as error:
        print(error.message)
"""


def test_a_full_disk_is_a_message_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line.split(" cannot")[0][-1] for line in done.stdout.splitlines()] == ["a", "b", "c"]
    assert list(tmp_path.iterdir()) == []


def write_often(path: Path, letter: str, times: int) -> None:
    for _ in range(times):
        write_text(path, letter * 200_000)


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_text(path, "a" * 200_000)
    writers = [
        multiprocessing.get_context("spawn").Process(target=write_often, args=(path, letter, 40))
        for letter in "bc"
    ]
    threads = [threading.Thread(target=write_often, args=(path, "d", 40))]
    for worker in (*writers, *threads):
        worker.start()
    seen = set()
    while any(worker.is_alive() for worker in (*writers, *threads)):
        text = path.read_text()
        assert len(text) == 200_000
        seen.add(frozenset(text))
    for worker in (*writers, *threads):
        worker.join()
    assert all(len(letters) == 1 for letters in seen)
    assert [process.exitcode for process in writers] == [0, 0]
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_has_a_place_before_the_work_for_it(tmp_path: Path) -> None:
    check_output("--html", None)
    check_output("--html", str(tmp_path / "a.html"))
    for place, words in ((tmp_path, "is a folder"), (tmp_path / "none" / "a.html", "no such")):
        with pytest.raises(UsageError, match=f"--html {place}: .*{words}"):
            check_output("--html", place)
