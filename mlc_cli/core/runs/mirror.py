"""Copies of a run at an address, which a training elsewhere can be taken up from."""

import logging
import os
import shutil
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from mlc_cli.core.runs.folder import RunFolder
from mlc_cli.core.system import remote
from mlc_cli.core.system.addresses import shown
from mlc_cli.errors import MlcError, RunError

_LOG = logging.getLogger(__name__)


class Mirror:
    """Copies a run folder to an address, below its own name, in a thread of its own.

    Files of a run are replaced and never changed, so links hold on to a state while it is copied.
    The trainer's state comes last, since it is the word that counts. A state that nobody has begun
    to copy gives way to a newer one. What cannot be copied is a warning: the next one is tried.
    """

    def __init__(self, run: RunFolder, place: str) -> None:
        self._run, self._place = run, Path(place) / run.path.resolve().name
        for killed in run.path.glob(".mirror-*"):
            shutil.rmtree(killed)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="mirror")
        self._waiting: Future[None] | None = None

    def copy(self) -> None:
        """Begin to copy the folder as it is now."""
        held = Path(tempfile.mkdtemp(prefix=".mirror-", dir=self._run.path))
        for file in self._run.path.iterdir():
            if file.is_file() and file.name[0] != "." and file.suffix != ".lock":
                os.link(file, held / file.name)
        if self._waiting:
            self._waiting.cancel()
        self._waiting = self._pool.submit(self._upload, held)
        self._waiting.add_done_callback(lambda _: shutil.rmtree(held))

    def _upload(self, held: Path) -> None:
        try:
            for file in sorted(held.iterdir(), key=lambda own: (own.suffix == ".pt", own.name)):
                remote.upload(file, self._place / file.name)
        except (OSError, MlcError) as error:
            _LOG.warning("%s: this state is not copied: %s", shown(self._place), error)

    def close(self) -> None:
        """Copy the folder as it is at the end, and wait until it is there."""
        self.copy()
        self._pool.shutdown()


def fetch_run(place: Path, output: Path) -> Path:
    """Bring a run from its mirror to a folder of its name below `output`.

    Raises:
        RunError: There is no run, or there is a folder of that name here.
    """
    run = RunFolder(output / place.name)
    if run.path.exists():
        raise RunError(
            f"{run.path}: is there already", f"Continue it with: mlc train --resume {run.path}"
        )
    files = remote.matching(place)
    if place / run.settings.name not in files:
        raise RunError(f"{shown(place)}: is not a run folder: it has no settings.yaml")
    run.path.mkdir(parents=True)
    for file in sorted(files, key=lambda own: own.suffix != ".pt"):  # as old as it should be
        (run.path / file.name).write_bytes(remote.read(file))
    return run.path
