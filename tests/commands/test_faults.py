"""Every command at the faults of a machine: a full disk, a folder that nobody may write to, a
closed pipe, signals.

Commands run in forks of a server that has only imported. A signal comes in the middle: an
undisturbed run counts the events that Python tells of, and another one is hit after some of them.
"""

import hashlib
import os
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from mlc_cli.core.runs.checkpoint import read_card
from mlc_cli.main import COMMANDS, main
from tests import launch
from tests.jobs.test_download import COCO, zipped
from tests.web import serving

CALLS = {
    "choose": (
        "--data data --weights-dir weights --backbones lcnet_100 --backbones +test_resnet --offline"
        " --sizes 32 --set seconds=0.01 --set data.workers=0 --set data.cache=none"
        " --set download.cache=cache",
        "--output OUT",
    ),
    "train": ("--data data --epochs 1 TINY", "--output OUT"),
    "eval": ("--report --set workers=0", "--output OUT"),
    "thresholds": ("--set workers=0", "--output OUT"),
    "calibrate": ("--folds 2 --set workers=0", "--output OUT"),
    "compare": ("runs/train-1 runs/train-2", "--html OUT"),
    "tune": ("--data data --trials 1 --epochs 1 --set optim.lr=1e-3|1e-2 TINY", "--output OUT"),
    "export": ("--no-check --ir", "--output OUT"),
    "predict": ("data/images/val --gallery page.html --draw drawn", "--output OUT"),
    "dataset-download": ("coco14 MIRROR --set download.cache=cache", "OUT"),
    "dataset-convert": ("mlc data OUT --link copy", ""),
    "dataset-check": ("data", "--fix OUT"),
    "benchmark": ("runs/train-1/best.safetensors --seconds 0.01 --set rounds=1", "--output OUT"),
    "presets": ("", None),
    "cache": ("", None),
    "settings": ("train", None),
}
"""Arguments of each command, and what makes it write to a place; `None` for those that do not."""
STOPS = {signal.SIGINT: 0.3, signal.SIGTERM: 0.5, signal.SIGHUP: 0.7}
"""Signals, and after which part of a command they come."""
SECONDS = 120
"""After so long a command hangs."""


class Fault(NamedTuple):
    """What happens to a command.

    Attributes:
        stdout: Where its standard output goes; a pipe that nobody reads if empty.
        limit: Bytes that a file may have, the rest of the disk is full; -1 for no limit.
        number: A signal.
        after: Events before it comes.
    """

    stdout: str = os.devnull
    limit: int = -1
    number: int = 0
    after: int = -1


class Ended(NamedTuple):
    """How a command ended: exit code, what it said on standard error, events, what is left."""

    code: int | str | None
    err: str
    events: int
    left: list[str]


def run(home: Path, folder: Path, command: list[str], fault: Fault) -> Ended:
    """Run a command in a copy of a folder; in a process of its own."""
    shutil.copytree(home, folder, symlinks=True)
    os.chdir(folder)
    reading, writing = os.pipe()
    os.write(writing, b"\n")
    out = os.open(fault.stdout, os.O_WRONLY) if fault.stdout else _unread()
    os.dup2(writing, 2)
    os.dup2(out, 1)
    sys.stdout, sys.stderr = (open(n, "w", closefd=False) for n in (1, 2))  # noqa: SIM115
    sys.argv = ["mlc", *command]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if fault.limit >= 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault.limit, fault.limit))
    events = [0]

    def count(*_: object) -> None:
        events[0] += 1
        if events[0] == fault.after:
            os.kill(os.getpid(), fault.number)

    sys.addaudithook(count)
    code: int | str | None = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    seen = events[0]
    try:
        sys.stdout.flush()
    except OSError:  # Python says so, and ends with a code of its own
        code = 120
    sys.stderr.flush()
    left = [path.name for path in folder.rglob(".*") if path.name != ".downloaded.json"]
    return Ended(code or 0, os.read(reading, 1 << 16).decode().lstrip(), seen, left)


def _unread() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def all_ended(home: Path, places: Path, runs: dict[str, tuple[str, Fault]]) -> dict[str, Ended]:
    """Run commands beside each other, each in a copy of a folder; how they ended, by name."""
    started = {
        name: launch.start(partial(run, home, places / name, command.split(), fault))
        for name, (command, fault) in runs.items()
    }
    return {name: launch.Started([], [r]).results(SECONDS)[0] for name, (_, r) in started.items()}


def written(folder: Path, since: Path) -> int:
    """Size of the largest file of a folder that is not as it is in another, nor a link."""
    found = ((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    new = [
        of.st_size
        for path, of in found
        if of.st_nlink == 1 and not _same(since / path.relative_to(folder), of.st_mtime)
    ]
    return max(new)


def _same(path: Path, time: float) -> bool:
    return path.exists() and path.stat().st_mtime == time


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, dataset_at) -> Path:
    """A data set and a finished run."""
    folder = tmp_path_factory.mktemp("faults")
    dataset_at(folder / "data", 16, 12)
    return folder


@pytest.fixture(scope="module")
def words(home: Path, tiny: list[str], tmp_path_factory) -> Iterator[dict[str, str]]:
    """What stands for flags in the calls."""
    with serving() as web, pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        mirror = ["--mirror", f"{web.url}/m/"]
        for name, (file, content) in COCO.items():
            data = zipped(content)
            web.put(f"/m/{file}", data)
            digest = hashlib.sha256(data).hexdigest()
            mirror += ["--set", f"files.{name}.checksum=sha256:{digest}"]
            mirror += ["--set", f"files.{name}.bytes={len(data)}"]
        found = {"TINY": " ".join(tiny), "MIRROR": " ".join(mirror)}
        command = f"train {CALLS['train'][0].replace('TINY', found['TINY'])}"
        choose = f"choose {CALLS['choose'][0]}"
        place = tmp_path_factory.mktemp("trained") / "here"
        (ended,) = all_ended(home, place.parent, {"here": (command, Fault())}).values()
        assert ended.code == 0, ended.err
        shutil.copytree(place / "runs", home / "runs", symlinks=True)
        (home / "weights").mkdir()
        best = home / "runs/train-1/best.safetensors"
        shutil.copy(best, home / "weights/test_resnet.safetensors")
        shutil.copytree(home / "runs/train-1", home / "runs/train-2")
        (ended,) = all_ended(home, place.parent, {"first": (choose, Fault())}).values()
        assert ended.code == 0, ended.err
        shutil.copytree(place.parent / "first/cache", home / "cache")  # speeds are measured once
        yield found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_fault_is_one_line_and_a_signal_an_orderly_end(
    name: str, home: Path, words: dict[str, str], tmp_path: Path
) -> None:
    arguments, writes = CALLS[name]

    def call(out: str) -> str:
        text = f"{name} {arguments} {writes or ''}"
        for word, meaning in {**words, "OUT": out}.items():
            text = text.replace(word, meaning)
        return text

    whole = all_ended(home, tmp_path, {"whole": (call("out"), Fault())})["whole"]
    assert (whole.code, whole.left) == (0, []), whole.err
    told = f"{name} {arguments}".replace("OUT", "out")
    for word, meaning in words.items():
        told = told.replace(word, meaning)
    faults = {
        "full output": (told, Fault("/dev/full")),
        "full help": (f"{name} --help", Fault("/dev/full")),
        "unread": (told, Fault("")),
    }
    faults |= {
        f"signal {n}": (call("out"), Fault(number=n, after=int(part * whole.events)))
        for n, part in STOPS.items()
    }
    if writes is not None:
        faults["full disk"] = call("out"), Fault(limit=0)
        half = written(tmp_path / "whole", home) // 2
        faults["nearly full disk"] = call("out"), Fault(limit=half)
        faults["locked"] = call("/sys/mlc/x"), Fault()
    ended = all_ended(home, tmp_path, faults)
    for fault, (code, err, _, left) in ended.items():
        assert "Traceback" not in err, (fault, err)
        assert left == [], (fault, left)
        read_card(tmp_path / fault / "runs/train-1/best.safetensors")
        if fault.startswith("signal"):
            assert (code, "interrupted" in err) == (130, True), (fault, err)
        else:
            # a file in no folder is refused before the work
            early = fault == "locked" and ("--html" in err or "--output /sys" in err)
            assert code == (2 if early else 1), (fault, code, err)
            assert err.count("Error:") == (fault != "unread"), (fault, err)
    assert "No space left" in ended["full output"].err
