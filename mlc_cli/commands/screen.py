"""What commands show: results on stdout, everything else on stderr."""

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from mlc_cli.text import plain

if TYPE_CHECKING:
    from mlc_cli.core.datasets.counts import SplitCounts
    from mlc_cli.core.evaluation.metrics import DecisionMetrics
    from mlc_cli.core.evaluation.results import Evaluation
    from mlc_cli.core.evaluation.slices import Slice

EXTREMES = 20
"""Best and worst classes that a table shows where there are many."""
LONG_WORD = 20
"""Letters of a word beyond which it may be broken in a table."""


def note(text: str) -> None:
    """Say something on stderr."""
    typer.echo(plain(text, "\n"), err=True)


def warn(text: str) -> None:
    """Warn on stderr, if there is something to warn of."""
    if text:
        note(f"warning: {text}")


def result(text: str) -> None:
    """Print a result on stdout."""
    typer.echo(plain(text, "\n"))


def result_json(content: Any) -> None:
    """Print a result on stdout as JSON."""
    result(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def cell(value: float | None) -> str:
    """A number with four decimals; a dash where it is undefined."""
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> None:
    """Print a table: the first `texts` columns are text, the others numbers.

    Where a terminal is far too narrow for the words, they stand below each other.
    """
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for place, title in enumerate(header):
        grid.add_column(title, justify="left" if place < texts else "right", overflow="fold")
    for row in rows:
        grid.add_row(*(escape(plain(cell)) for cell in row))
    # Without a terminal there is no edge to fit: tables stay whole in files and pipes.
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
    console = Console(highlight=False, emoji=False, width=width)
    words = (" ".join(column).split() for column in zip(header, *rows, strict=True))
    if sum(min(LONG_WORD, max(map(len, one), default=0)) for one in words) <= console.width:
        console.print(grid)
        return
    for row in rows:
        pairs = zip(header, map(plain, row), strict=True)
        result("".join(f"{title}: {cell}\n" for title, cell in pairs))


def records(columns: Mapping[str, str], rows: Iterable[Any], texts: int = 1) -> None:
    """Print a table of records; formats by title, such as `{0.rate:.1f}`, say what is in it."""
    cells = [[form.format(row) for form in columns.values()] for row in rows]
    table([*columns], cells, texts)


def tables(
    found: Iterable[tuple[str, Sequence[str], Sequence[Sequence[str]], int]],
    most: int = sys.maxsize,
) -> None:
    """Print those of some tables that have rows: title, heads, rows, columns of text."""
    for title, heads, rows, texts in found:
        if rows:
            result(title)
            table(heads, rows[:most], texts)
        if len(rows) > most:
            result(f"and {len(rows) - most} more; --html and --json have all")


def show_splits(splits: Mapping[str, "SplitCounts"]) -> None:
    """Print a table of the splits of a data set."""
    columns = {
        "split": "{0[0]}",
        "images": "{0[1].images:,}",
        "labels": "{0[1].labels:,}",
        "labels an image": "{0[1].labels_an_image:.2f}",
        "without labels": "{0[1].without:,}",
        "unknown labels": "{0[1].unknown:,}",
    }
    records(columns, splits.items())


def extremes(
    rows: Sequence[Mapping[str, Any]], key: str, where: str
) -> Sequence[Mapping[str, Any]]:
    """Rows of few classes as they are; of many the best and the worst, and a word where all are."""
    if len(rows) <= 2 * EXTREMES:
        return rows
    measured = [row for row in rows if row[key] is not None]
    ranked = sorted(measured, key=lambda row: row[key], reverse=True)
    note(f"{len(rows):,} classes: the {EXTREMES} best and worst by {key}; {where} has all")
    return [*ranked[:EXTREMES], *ranked[EXTREMES:][-EXTREMES:]]


def summary_table(columns: Mapping[str, "DecisionMetrics"]) -> None:
    """Print the summary of decisions, a column for each way to decide."""
    from mlc_cli.core.evaluation.results import SUMMARY

    rows = [
        (name.replace("_", " "), *(cell(getattr(metrics, name)) for metrics in columns.values()))
        for name in SUMMARY
    ]
    table(("", *columns), rows)


def show_evaluation(evaluation: "Evaluation") -> None:
    """Print the table of classes and the summary."""
    from mlc_cli.core.evaluation.results import class_rows

    columns = {at.replace("_", " "): one for at, one in evaluation.decisions.items()}
    keys = ("AP", "precision", "recall", "F1", "threshold")
    rows = [
        (row["class"], *(cell(row[key]) for key in keys), str(row["positives"]))
        for row in extremes(class_rows(evaluation), "AP", "per_class.csv")
    ]
    table(("class", "AP", f"P {[*columns][-1]}", "R", "F1", "threshold", "positives"), rows)
    result(f"mAP {cell(evaluation.mean_ap)} over {evaluation.images} images")
    further = (
        f"{name.replace('_', ' ')} {cell(value)}" for name, value in evaluation.ranking.items()
    )
    result(", ".join(further))
    if len(evaluation.classes) > 3:
        columns |= {f"top 3, {at.replace('_', ' ')}": one for at, one in evaluation.top_3.items()}
    summary_table(columns)
    if rules := evaluation.rules:
        result(
            f"label rules: hierarchical F1 {cell(rules.hierarchical_F1)}; without them OF1 would be"
            f" {cell(rules.OF1_without)}, and {rules.consistency:.1%} of the images would keep them"
            f" ({rules.data_consistency:.1%} do in the data)"
        )
    left_out = evaluation.empty_classes
    if left_out:
        result(
            f"{len(left_out)} of {len(evaluation.classes)} classes have no positives and are not"
            f" in the means: {', '.join(left_out[:10])}{', ...' if len(left_out) > 10 else ''}"
        )
    if evaluation.unknown:
        result(f"{evaluation.unknown} labels of unknown state are left out")
    for path, reason in list(evaluation.unreadable.items())[:10]:
        result(f"left out: {path}: {reason}")
    show_slices(evaluation.slices, "eval.json")


def show_slices(slices: Sequence["Slice"], where: str) -> None:
    """Print a table for each way to tell slices."""
    from mlc_cli.core.evaluation.slices import slice_table

    for by in dict.fromkeys(one.by for one in slices):
        heads, rows = slice_table([one for one in slices if one.by == by])
        table(heads, rows[:EXTREMES])
        if len(rows) > EXTREMES:
            note(f"{len(rows)} slices: the {EXTREMES} of the lowest mAP; {where} has all")
