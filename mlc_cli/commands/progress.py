"""Progress on stderr, where that is a terminal."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from mlc_cli.commands import screen

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from mlc_cli.core.loop import Tick


class TrainingBar:
    """Progress of a training on stderr; silent where that is not a terminal."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._phase: tuple[str, int] | None = None

    def __enter__(self) -> "TrainingBar":
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
                TextColumn("{task.fields[speed]}"),
                TextColumn("{task.fields[loss]}"),
                TextColumn("{task.fields[best]}"),
                console=Console(stderr=True),
                transient=True,
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

    def __call__(self, tick: "Tick") -> None:
        """Show how far a phase is."""
        if self._progress is None:
            return
        if self._task is None or self._phase != (tick.phase, tick.epoch):
            if self._task is not None:
                self._progress.remove_task(self._task)
            title = tick.phase if tick.epoch == 0 else f"epoch {tick.epoch} {tick.phase}"
            self._task = self._progress.add_task(
                title, total=tick.total, speed="", loss="", best=""
            )
            self._phase = (tick.phase, tick.epoch)
        speed = self._progress.tasks[-1].speed
        self._progress.update(
            self._task,
            completed=tick.done,
            total=tick.total,
            speed=f"{speed:.1f} batches/s" if speed else "",
            loss="" if tick.loss is None else f"loss {tick.loss:.4f}",
            best="" if tick.best_map is None else f"best mAP {tick.best_map:.4f}",
        )

    def note(self, text: str) -> None:
        """Say something above the bar."""
        if self._progress:
            self._progress.console.print(text, highlight=False, markup=False, soft_wrap=True)
        else:
            screen.note(text)


class ImagesBar:
    """Images done of so many on stderr; silent where that is not a terminal."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    @property
    def shown(self) -> bool:
        """Whether anybody sees it."""
        return self._progress is not None

    def __enter__(self) -> "ImagesBar":
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
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[speed]}"),
                console=Console(stderr=True),
                transient=True,
                redirect_stdout=False,
            )
            self._progress.add_task("", total=None, speed="")
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

    def __call__(self, done: int, total: int | None) -> None:
        """Show how many images are done; the total may be unknown."""
        if self._progress:
            task = self._progress.tasks[0]
            speed = f"{task.speed:.1f} images/s" if task.speed else ""
            self._progress.update(task.id, completed=done, total=total, speed=speed)
