"""Progress on stderr, where that is a terminal."""

import sys
from typing import TYPE_CHECKING, Any, Self

from mlc_cli.commands import screen
from mlc_cli.text import plain

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from mlc_cli.core.training.events import Tick


def _progress(*, prints_above: bool) -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[more]}"),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=prints_above,
    )


class Bar:
    """Bars on stderr, below results on stdout if it `prints_above`; nothing without a terminal."""

    def __init__(self, *, prints_above: bool = False) -> None:
        self._progress = _progress(prints_above=prints_above) if sys.stderr.isatty() else None
        self._tasks: dict[str, TaskID] = {}

    @property
    def shown(self) -> bool:
        """Whether anybody sees it."""
        return self._progress is not None

    def __enter__(self) -> Self:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress:
            self._progress.stop()

    def _show(
        self, title: str, done: int, total: int | None, *more: str, unit: str = "", **how: Any
    ) -> None:
        """Show how far the bar of that title is, its speed if it has a unit, and `more`."""
        if self._progress is None:
            return
        if title not in self._tasks:
            self._tasks[title] = self._progress.add_task(title, total=None, more="")
        speed = self._progress.tasks[-1].speed if unit else None
        words = "  ".join(filter(None, (f"{speed:.1f} {unit}/s" if speed else "", *more)))
        self._progress.update(self._tasks[title], completed=done, total=total, more=words, **how)


class TrainingBar(Bar):
    """Progress of a training, a bar for each phase."""

    def __init__(self) -> None:
        super().__init__(prints_above=True)

    def __call__(self, tick: "Tick") -> None:
        """Show how far a phase is."""
        title = tick.phase if tick.epoch == 0 else f"epoch {tick.epoch} {tick.phase}"
        if self._progress and title not in self._tasks and self._tasks:
            self._progress.remove_task(self._tasks.popitem()[1])
        self._show(
            title,
            tick.done,
            tick.total,
            "" if tick.loss is None else f"loss {tick.loss:.4f}",
            "" if tick.best_mean_ap is None else f"best mAP {tick.best_mean_ap:.4f}",
            unit="MB" if tick.phase == "download" else "batches",
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

    def __call__(self, done: int, total: int | None, more: str = "") -> None:
        """Show how many images are done, and more in words; the total may be unknown."""
        self._show("images", done, total, more, unit="images")


class FilesBar(Bar):
    """A bar for each file that is on its way, in megabytes, or for pictures by their number."""

    def __call__(self, name: str, done: int, total: int | None) -> None:
        """Show how far a file is, and without a terminal that it is there; a full bar goes."""
        if not self.shown and done == total:
            screen.note(f"{name}: done")
        size, more = (1, "") if name == "pictures" else (1_000_000, "MB")
        whole = total and -(-total // size)
        self._show(name, done // size, whole, more, visible=done != total)
