"""What commands show: results on stdout, everything else on stderr."""

import json
import math
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from mlc_cli.core.loop import Tick
    from mlc_cli.core.reports.evaluation import Evaluation


def note(text: str) -> None:
    """Say something on stderr."""
    typer.echo(text, err=True)


def result(text: str) -> None:
    """Print a result on stdout."""
    typer.echo(text)


def result_json(content: Any) -> None:
    """Print a result on stdout as JSON."""
    result(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


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
            self._task = self._progress.add_task(title, total=tick.total, speed="", loss="")
            self._phase = (tick.phase, tick.epoch)
        speed = self._progress.tasks[-1].speed
        self._progress.update(
            self._task,
            completed=tick.done,
            total=tick.total,
            speed=f"{speed:.1f} batches/s" if speed else "",
            loss="" if tick.loss is None else f"loss {tick.loss:.4f}",
        )

    def note(self, text: str) -> None:
        """Say something above the bar."""
        if self._progress:
            self._progress.console.print(text, highlight=False, markup=False, soft_wrap=True)
        else:
            note(text)


def show_evaluation(evaluation: "Evaluation") -> None:
    """Print the summary and the table of classes."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from mlc_cli.core.reports.evaluation import class_rows

    console = Console(highlight=False)
    at = "thresholds" if evaluation.at_thresholds else "0.5"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class", overflow="fold")
    for title in ("AP", f"P at {at}", "R", "F1", "threshold", "positives"):
        table.add_column(title, justify="right")
    for row in class_rows(evaluation):
        values = [row[key] for key in ("AP", "precision", "recall", "F1", "threshold")]
        table.add_row(escape(row["class"]), *map(_cell, values), str(row["positives"]))
    console.print(table)
    console.print(f"mAP {_cell(evaluation.map)} over {evaluation.images} images")
    console.print(_summary_table(evaluation))
    left_out = evaluation.empty_classes
    if left_out:
        console.print(
            f"{len(left_out)} of {len(evaluation.classes)} classes have no positives and are not"
            f" in the means: {', '.join(left_out[:10])}{', ...' if len(left_out) > 10 else ''}",
            markup=False,
        )
    if evaluation.unknown:
        console.print(f"{evaluation.unknown} labels of unknown state are left out")
    for path, reason in list(evaluation.unreadable.items())[:10]:
        console.print(f"left out: {path}: {reason}", markup=False)


def _summary_table(evaluation: "Evaluation") -> Any:
    from rich import box
    from rich.table import Table

    from mlc_cli.core.reports.evaluation import SUMMARY

    columns = {"at 0.5": evaluation.at_half}
    if evaluation.at_thresholds is not None:
        columns["at thresholds"] = evaluation.at_thresholds
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for title in columns:
        table.add_column(title, justify="right")
    for name in SUMMARY:
        values = (getattr(metrics, name) for metrics in columns.values())
        table.add_row(name.replace("_", " "), *map(_cell, values))
    return table


def _cell(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"
