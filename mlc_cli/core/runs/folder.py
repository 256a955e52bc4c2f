"""Run folders: everything that one training leaves on disk."""

import json
import logging
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from shlex import quote
from typing import Any, TextIO

from mlc_cli.core.system.files import lock, write_text
from mlc_cli.core.system.processes import launch_id
from mlc_cli.errors import RunError

LATEST, LAUNCH = "latest", "launch.txt"
_TEMPORARY = re.compile(
    r"\.(settings\.yaml|metrics\.jsonl|(best|last)\.safetensors|trainer\.pt|(eval|per_class|scores)"
    r"[^.]*\.\w+|thresholds\.\w+|report\S*\.html)\.[a-z0-9_]{8}"
)
"""What `write_atomic` leaves behind in a run folder when it is killed."""
_LOG = logging.getLogger(__name__)


@dataclass
class RunFolder:
    """Names of the files of a run.

    Attributes:
        path: The folder.
        settings: Settings as resolved, in YAML.
        log: What was said during the training.
        metrics: One JSON object a line for each evaluated epoch.
        best: Checkpoint of the best epoch.
        last: Checkpoint of the last epoch, raw weights.
        trainer: State from which the training continues.
    """

    path: Path

    def __post_init__(self) -> None:
        path = self.path
        self.settings, self.log = path / "settings.yaml", path / "train.log"
        self.metrics, self.trainer = path / "metrics.jsonl", path / "trainer.pt"
        self.best, self.last = path / "best.safetensors", path / "last.safetensors"

    def find(self, data: str, output: object) -> str:
        """A folder of the run's settings, where it is now.

        A run that was moved or copied together with its data finds them from itself: the settings
        know where both were (`data`, and `output`, the folder of the run folders). What is below
        the working directory is named from there.
        """
        if not Path(data).is_absolute():
            return data
        found = Path(data)
        if not found.is_dir() and isinstance(output, str) and Path(output).is_absolute():
            way = os.path.relpath(data, output)
            here = Path(os.path.normpath(self.path.absolute().parent / way))
            found = here if here.is_dir() else found
        below = found.is_relative_to(Path.cwd())
        return str(found.relative_to(Path.cwd()) if below else found)

    def remove_leftovers(self) -> None:
        """Remove temporary files of writes that were cut short, and nothing else that is hidden."""
        for path in self.path.glob(".*"):
            if _TEMPORARY.fullmatch(path.name) and path.is_file():
                path.unlink()

    def lock(self) -> TextIO:
        """Keep other processes from training in the folder until the file is closed.

        The lock goes with the process, however that ends, and is not handed on to its children.

        Raises:
            RunError: Another process trains here.
        """
        stream = (self.path / "run.lock").open("a")
        if lock(stream.fileno(), "lockf"):
            return stream
        stream.close()
        raise RunError(
            f"{self.path}: is being trained by another process",
            "Wait for its end, or stop it; it saves its state at Ctrl-C or SIGTERM.",
        )

    def read_metrics(self) -> list[dict[str, Any]]:
        """Lines of the metrics file."""
        if not self.metrics.exists():
            return []
        rows: list[dict[str, Any]] = []
        for line in self.metrics.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                rows.append(dict(json.loads(line)))
            except (ValueError, TypeError):
                _LOG.warning(f"{self.metrics}: line {len(rows) + 1} is damaged; it ends before it")
                break
        return rows

    def is_done(self, epochs: int) -> bool:
        """Whether the training has come to its end, and its best weights were evaluated."""
        last = (self.read_metrics() or [{"epoch": -1, "stopped": False}])[-1]
        evaluation = self.path / "eval.json"
        return bool(
            (last.get("stopped") or last["epoch"] >= epochs)
            and evaluation.exists()
            and evaluation.stat().st_mtime_ns >= self.trainer.stat().st_mtime_ns
        )

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Replace the metrics file."""
        write_text(self.metrics, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


def create_run(output: Path, name: str) -> RunFolder:
    """Make the next free folder NAME-1, NAME-2, ... and point `latest` at it.

    Raises:
        RunError: The folder cannot be made.
    """
    latest = output / LATEST
    if latest.exists() and not latest.is_symlink():
        raise RunError(
            f"{latest}: is no link to the newest run, as a copy without links leaves it",
            "Rename it, so that the link can be made anew.",
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
        last = max((_number(path, name) for path in output.iterdir()), default=0)
        for number in count(last + 1):
            path = output / f"{name}-{number}"
            with suppress(FileExistsError):  # another training took it in the meantime
                path.mkdir()
                break
        if launch_id():
            write_text(path / LAUNCH, launch_id())
        _point_latest(output, path.name)
    except OSError as error:
        raise RunError(
            f"{output}: no run folder can be made there: {error.strerror}",
            "Choose another place with --output DIR.",
        ) from None
    return RunFolder(path)


def launched_run(output: Path) -> Path | None:
    """The run that this elastic launch has begun, if there is one."""
    files = output.glob(f"*/{LAUNCH}") if launch_id() else ()
    return next((file.parent for file in files if file.read_text() == launch_id()), None)


def _number(path: Path, name: str) -> int:
    stem, _, number = path.name.rpartition("-")
    return int(number) if stem == name and number.isdecimal() else 0


def _point_latest(output: Path, target: str) -> None:
    temporary = output / f".{LATEST}.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    try:
        temporary.symlink_to(target)
        temporary.replace(output / LATEST)
    finally:
        temporary.unlink(missing_ok=True)


def open_run(path: Path) -> RunFolder:
    """Open an existing run folder, also by a checkpoint in it; `runs/latest` is followed.

    Raises:
        RunError: There is no such folder, or it is not that of a run.
    """
    if not path.exists():
        raise RunError(
            f"{path}: there is no such run",
            "Train first (`mlc train --preset quickstart`), or name a run with --run DIR or a"
            " checkpoint with --checkpoint FILE.",
        )
    if path.suffix == ".safetensors" and path.is_file():
        path = path.parent
    run = RunFolder(path.parent / path.readlink() if path.is_symlink() else path)
    if not run.settings.is_file():
        raise RunError(f"{run.path}: is not a run folder: it has no settings.yaml")
    return run


def find_checkpoint(run: str, checkpoint: str | None = None) -> Path:
    """The checkpoint that is asked for: a file, or the best of a run, whichever way it is named.

    Raises:
        RunError: There is no such run, or no epoch of it was evaluated yet.
    """
    if checkpoint and not Path(checkpoint).is_dir():
        return Path(checkpoint)
    if Path(run).suffix == ".safetensors" and Path(run).is_file() and not checkpoint:
        return Path(run)
    folder = open_run(Path(checkpoint or run))
    if not folder.best.exists():
        raise RunError(
            f"{folder.path}: has no best.safetensors yet: no epoch of it was evaluated",
            f"Continue it with: mlc train --resume {quote(str(folder.path))}",
        )
    return folder.best
