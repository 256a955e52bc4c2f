"""Progress on stderr, where that is a terminal."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mlc_cli.commands import screen
from mlc_cli.text import plain

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from mlc_cli.core.training.events import Tick


class Bar:
    """A bar on stderr while the context lasts; nothing where that is not a terminal.

    Args:
        prints_above: Whether results go to stdout above the bar while it is shown.
    """

    def __init__(self, *, prints_above: bool) -> None:
        self._progress: Progress | None = None
        self._prints_above = prints_above

    @property
    def shown(self) -> bool:
        """Whether anybody sees it."""
        return self._progress is not None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[more]}"),
                console=Console(stderr=True),
                transient=True,
                redirect_stdout=self._prints_above,
            )
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress:
            self._progress.stop()


class TrainingBar(Bar):
    """Progress of a training, a bar for each phase."""

    def __init__(self) -> None:
        super().__init__(prints_above=True)
        self._task: TaskID | None = None
        self._phase: tuple[str, int] | None = None

    def __call__(self, tick: "Tick") -> None:
        """Show how far a phase is."""
        if self._progress is None:
            return
        if self._task is None or self._phase != (tick.phase, tick.epoch):
            if self._task is not None:
                self._progress.remove_task(self._task)
            title = tick.phase if tick.epoch == 0 else f"epoch {tick.epoch} {tick.phase}"
            self._task = self._progress.add_task(title, total=tick.total, more="")
            self._phase = (tick.phase, tick.epoch)
        speed = self._progress.tasks[-1].speed
        parts = (
            f"{speed:.1f} {'MB' if tick.phase == 'download' else 'batches'}/s" if speed else "",
            "" if tick.loss is None else f"loss {tick.loss:.4f}",
            "" if tick.best_mean_ap is None else f"best mAP {tick.best_mean_ap:.4f}",
        )
        self._progress.update(
            self._task, completed=tick.done, total=tick.total, more="  ".join(filter(None, parts))
        )

    def note(self, text: str) -> None:
        """Say something above the bar."""
        if self._progress:
            self._progress.console.print(
                plain(text, "\n"), highlight=False, markup=False, soft_wrap=True
            )
        else:
            screen.note(text)


class ImagesBar(Bar):
    """Images done of so many; predictions stream to stdout untouched."""

    def __init__(self) -> None:
        super().__init__(prints_above=False)

    def __call__(self, done: int, total: int | None, more: str = "") -> None:
        """Show how many images are done, and more in words; the total may be unknown."""
        if self._progress is None:
            return
        if not self._progress.tasks:
            self._progress.add_task("images", total=None, more="")
        task = self._progress.tasks[0]
        speed = f"{task.speed:.1f} images/s" if task.speed else ""
        self._progress.update(task.id, completed=done, total=total, more=f"{speed} {more}")


class FilesBar(Bar):
    """A bar for each file that is on its way, in megabytes, or for pictures by their number."""

    def __init__(self) -> None:
        super().__init__(prints_above=False)
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, name: str, done: int, total: int | None) -> None:
        """Show how far a file is, and without a terminal that it is there; a full bar goes."""
        if self._progress is None:
            if done == total:
                screen.note(f"{name}: done")
            return
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=None, more="MB")
        unit = 1 if name == "pictures" else 1_000_000
        more = "" if unit == 1 else "MB"
        self._progress.update(
            self._tasks[name],
            completed=done // unit,
            total=total and -(-total // unit),
            more=more,
            visible=done != total,
        )
