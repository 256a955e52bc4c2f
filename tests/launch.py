"""Processes as a launcher such as torchrun starts them.

They are forked from a server that has only imported: torch refuses to train in the fork of a
process in which autograd has started threads, and CUDA works in no fork of one that has used it.
"""

import os
import pickle
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import cloudpickle
import cv2
import torch

SERVER = get_context("forkserver")
JOBS = ("train", "export", "predict", "thresholds", "calibrate", "benchmark", "check", "download")
LATER = ("rich.table", "onnxscript", "torch.onnx._internal.exporter._core")
"""What jobs import when they need it, and what takes longest."""
SERVER.set_forkserver_preload(["mlc_cli.main", *(f"mlc_cli.jobs.{job}" for job in JOBS), *LATER])
"""It counts for the whole process: what sets another before the first start slows all of them."""


def use_one_core() -> None:
    """Leave the others to tests beside this one; to the bit, results depend on it as well."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def start(
    work: Callable[[], Any], variables: Mapping[str, str] | None = None
) -> tuple[BaseProcess, Connection]:
    """Start a process that works as this one would: in its folder, with its variables and more.

    Returns:
        The process, and where its result or the error that it raised will arrive, pickled.
    """
    receiving, sending = SERVER.Pipe(duplex=False)
    around = (sys.path, Path.cwd(), {**os.environ, **(variables or {})})
    process = SERVER.Process(target=_run, args=(cloudpickle.dumps(work), around, sending))
    process.start()
    sending.close()
    return process, receiving


def _run(work: bytes, around: tuple[list[str], Path, dict[str, str]], result: Connection) -> None:
    use_one_core()
    sys.path[:], folder, variables = around
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    try:
        made = pickle.loads(work)()
    except BaseException as error:
        made = error
    result.send_bytes(cloudpickle.dumps(made))


class Command:
    """`mlc` in a process of its own, as the executable runs it, but for the time of its imports."""

    def __init__(self, *arguments: str) -> None:
        self._folder = folder = Path(tempfile.mkdtemp())

        def work() -> None:
            from mlc_cli.main import main  # noqa: PLC0415 - in the process

            os.setsid()
            for number, name in enumerate(("out", "err"), 1):
                os.dup2(os.open(folder / name, os.O_CREAT | os.O_WRONLY, 0o600), number)
            sys.argv = ["mlc", *arguments]
            (folder / "up").touch()
            main()

        self._process, self._result = start(work)
        while self.runs and not (folder / "up").exists():
            time.sleep(0.01)

    def kill(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send it a signal, or to all processes that it has started, too; it may have ended."""
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self._process.pid or 0, number)

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def ended(self, seconds: float = 60) -> tuple[int, str, str]:
        """Wait for its end; exit code, standard output and error."""
        self._process.join(seconds)
        assert not self.runs, "a process hangs"
        code = self._process.exitcode or 0
        if code == 0 and self._result.poll():
            match pickle.loads(self._result.recv_bytes()):
                case SystemExit(code=given):
                    code = given or 0
                case KeyboardInterrupt():
                    code = -signal.SIGINT
                case BaseException():
                    code = 1
        out, err = ((self._folder / name).read_text() for name in ("out", "err"))
        shutil.rmtree(self._folder)
        return code, out, err


@dataclass
class Started:
    """Processes that a launcher has started."""

    pids: list[int]
    _results: list[Connection]

    def results(self, seconds: float = 300) -> list[Any]:
        """What the processes gave back, by rank; the error for those that raised one."""
        return [self._result(result, seconds) for result in self._results]

    @staticmethod
    def _result(result: Connection, seconds: float) -> Any:
        assert result.poll(seconds), "a process hangs"
        try:
            return pickle.loads(result.recv_bytes())
        except EOFError:
            return None


def start_together(work: Callable[[], Any], size: int = 2) -> Started:
    """Do the same in several processes, in the environment that torchrun gives them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pids, results = [], []
    for rank in range(size):
        process, result = start(work, {
            "RANK": f"{rank}", "WORLD_SIZE": f"{size}", "LOCAL_RANK": f"{rank}",
            "LOCAL_WORLD_SIZE": f"{size}", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": f"{port}",
        })  # fmt: skip
        assert process.pid
        pids.append(process.pid)
        results.append(result)
    return Started(pids, results)
