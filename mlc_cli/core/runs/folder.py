"""Run folders: everything that one training leaves on disk."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlc_cli.core.system.files import write_text
from mlc_cli.errors import RunError

LATEST = "latest"


@dataclass(frozen=True)
class RunFolder:
    """Names of the files of a run.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def settings(self) -> Path:
        """Settings as resolved, in YAML."""
        return self.path / "settings.yaml"

    @property
    def log(self) -> Path:
        """What was said during the training."""
        return self.path / "train.log"

    @property
    def metrics(self) -> Path:
        """One JSON object a line for each evaluated epoch."""
        return self.path / "metrics.jsonl"

    @property
    def best(self) -> Path:
        """Checkpoint of the best epoch."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """Checkpoint of the last epoch, raw weights."""
        return self.path / "last.safetensors"

    @property
    def trainer(self) -> Path:
        """State from which the training continues."""
        return self.path / "trainer.pt"

    def remove_leftovers(self) -> None:
        """Remove temporary files of writes that were cut short."""
        for path in self.path.glob(".*"):
            path.unlink()

    def read_metrics(self) -> list[dict[str, Any]]:
        """Lines of the metrics file."""
        if not self.metrics.exists():
            return []
        lines = self.metrics.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Replace the metrics file."""
        write_text(self.metrics, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


def create_run(output: Path, name: str) -> RunFolder:
    """Make the next free folder NAME-1, NAME-2, ... and point `latest` at it.

    Raises:
        RunError: The folder cannot be made.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        number = 1 + max((_number(path, name) for path in output.iterdir()), default=0)
        while True:
            path = output / f"{name}-{number}"
            try:
                path.mkdir()
                break
            except FileExistsError:  # another training took it in the meantime
                number += 1
        _point_latest(output, path.name)
    except OSError as error:
        raise RunError(
            f"{output}: no run folder can be made there: {error.strerror}",
            "Choose another place with --output DIR.",
        ) from None
    return RunFolder(path)


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
    """Open an existing run folder; a link such as `runs/latest` is followed.

    Raises:
        RunError: There is no such folder, or it is not that of a run.
    """
    if not path.exists():
        raise RunError(
            f"{path}: there is no such run",
            "Train first (`mlc train --preset quickstart`), or name a run with --run DIR or a"
            " checkpoint with --checkpoint FILE.",
        )
    run = RunFolder(path.parent / path.readlink() if path.is_symlink() else path)
    if not run.settings.is_file():
        raise RunError(f"{run.path}: is not a run folder: it has no settings.yaml")
    return run


def find_checkpoint(run: str, checkpoint: str | None = None) -> Path:
    """The checkpoint that is asked for: a file, or the best of a run.

    Raises:
        RunError: There is no such run, or no epoch of it was evaluated yet.
    """
    if checkpoint:
        return Path(checkpoint)
    folder = open_run(Path(run))
    if not folder.best.exists():
        raise RunError(
            f"{folder.path}: has no best.safetensors yet: no epoch of it was evaluated",
            f"Continue it with: mlc train --resume {folder.path}",
        )
    return folder.best
