"""CSV with a column for each class: 1 is present, 0 absent, blank unknown.

A file, or a folder with `<split>/_classes.csv` or a CSV file for each split. Columns that hold
nothing of this kind in the first rows, such as the age of a patient, are no classes.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.formats.base import Sample, Source
from mlc_cli.core.datasets.formats.shared.kept import UNTOLD, Kept, Told
from mlc_cli.core.datasets.formats.shared.losses import changed_by_tables
from mlc_cli.core.datasets.formats.shared.naming import ImageNames, check_below, exported_paths
from mlc_cli.core.datasets.formats.shared.states import Flag, State, StateRule, flag, is_flag
from mlc_cli.core.datasets.formats.shared.table_files import (
    find_tables,
    left_out,
    look,
    place_of,
    split_remarks,
    without_split,
)
from mlc_cli.core.datasets.formats.shared.tables import Table
from mlc_cli.core.system.files import write_atomic
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

BLOCK = 4096
_UNLABELED = "Unlabeled"
"""Roboflow's mark of images without labels; no class."""
_SUMS = ("id", "index", "sum", "total", "count")
_RULE = StateRule()
_CELLS = {1: "1", 0: "0", -1: ""}


@dataclass(frozen=True)
class _Columns:
    """Columns of a table.

    Attributes:
        classes: Column and name of each class.
        left_out: Names of columns that hold something else.
    """

    classes: Sequence[tuple[int, str]]
    left_out: Sequence[str]

    @classmethod
    def of(cls, table: Table) -> "_Columns":
        classes, left_out = [], []
        for column, name in enumerate(table.header):
            if column in table.taken or not name:
                continue
            if table.told.labels and name not in table.told.labels:
                left_out.append(name)
                continue
            cells = table.cells(column)
            if name == _UNLABELED and table.path.name == "_classes.csv":
                left_out.append(name)
            elif not any(cells) or (any(map(is_flag, cells - {""})) and not _counts(name, cells)):
                classes.append((column, name))
            else:
                left_out.append(name)
        return cls(classes, left_out)


def _counts(name: str, cells: set[str]) -> bool:
    """Whether a column is a sum or an identifier: whole numbers beyond 0 and 1."""
    whole = [cell for cell in cells if cell.isdigit()]
    beyond = [cell for cell in whole if cell not in ("0", "1")]
    return len(whole) == len(cells - {""}) and (
        len(beyond) > 1 or (name.lower() in _SUMS and bool(beyond))
    )


class CsvOnehotReader:
    """Reads CSV with a column for each class.

    Args:
        rule: States that values stand for.
        told: Columns that the user tells.
    """

    name = "csv-onehot"
    title = "CSV with a column for each class"

    def __init__(self, rule: StateRule = _RULE, told: Told = UNTOLD) -> None:
        self._rule = rule
        self._told = told

    def detect(self, source: Path) -> str | None:
        """Name the columns that hold 0 and 1, where no column lists labels."""
        table = look(source, self._told)
        if table is None or table.label_columns:
            return None
        names = [name for column, name in _Columns.of(table).classes if table.holds_flags(column)]
        return f"{len(names)} columns of 0 and 1 in {place_of(table, source)}" if names else None

    def read(self, source: Path, images: Path | None, dropped: IssueLog) -> Source:
        """Open a file, or the files of a folder.

        Raises:
            DataError: There is no CSV file with such columns.
        """
        found = find_tables(source, self._told)
        tables = [(table, _Columns.of(table)) for table in found]
        classes = dict.fromkeys(name for _, columns in tables for _, name in columns.classes)
        if not classes:
            raise DataError(
                f"{source}: no column holds 0 and 1", "A class is a column: image,dog,cat"
            )
        root = images or (source if source.is_dir() else source.parent)
        names = ImageNames(root, dropped)
        kept = Kept(self._told)
        spare = [
            kept.choose(table.path.name, table.header,
                        {table.image_column, table.split_column or table.image_column,
                         *(column for column, _ in columns.classes)})
            for table, columns in tables
        ]  # fmt: skip
        counts = _count(tables)
        states = self._rule.decide(counts)
        remarks = [*filter(None, [self._rule.remark(counts)]), *_remarks(tables, list(classes))]
        return Source(
            image_root=root,
            samples=(
                sample
                for (table, columns), own in zip(tables, spare, strict=True)
                for sample in _samples(
                    table, columns, list(classes), names, states, (kept, own), dropped
                )
            ),
            cells=kept.cells,
            classes=list(classes),
            remarks=(*remarks, *kept.remarks, *split_remarks(found), *left_out(source, found)),
            unsplit=without_split(found),
        )


def _count(tables: Sequence[tuple[Table, _Columns]]) -> Counter[Flag]:
    """How often each flag is in columns of classes."""
    cells: Counter[str] = Counter()
    for table, columns in tables:
        own = [column for column, _ in columns.classes]
        for _, row in table.rows(IssueLog()):
            cells.update([row[column] for column in own])
    counts: Counter[Flag] = Counter()
    for cell, count in cells.items():
        if is_flag(cell):
            counts[flag(cell)] += count
    return counts


class _StateOf(dict[str, State | None]):
    """State of each cell, `None` if it says nothing; a cell is read when it first comes."""

    def __init__(self, states: Mapping[Flag, State]) -> None:
        super().__init__()
        self._states = states

    def __missing__(self, cell: str) -> State | None:
        state = self[cell] = self._states[flag(cell)] if is_flag(cell) else None
        return state


def _samples(
    table: Table,
    columns: _Columns,
    classes: Sequence[str],
    names: ImageNames,
    states: Mapping[Flag, State],
    beside: tuple[Kept, Mapping[int, str]],
    dropped: IssueLog,
) -> Iterator[Sample]:
    kept, spare = beside
    own = {name for _, name in columns.classes}
    lacking = [name for name in classes if name not in own]
    prefix = table.folder(names.root)
    state_of = _StateOf(states)
    for number, row in table.rows(dropped):
        if not row[table.image_column]:
            dropped.add("rows without an image", f"{table.path}, line {number}")
            continue
        split = table.split_of(row)
        path = names(prefix + row[table.image_column], split)
        if path is None:
            continue
        kept.add(path, row, spare, dropped)
        present, unknown = [], list(lacking)
        for column, name in columns.classes:
            state = state_of[row[column]]
            if state == "absent":  # what most cells are
                continue
            if state == "present":
                present.append(name)
            else:
                unknown.append(name)
            if state is None:
                kind = "cells that are not 0, 1, -1 or blank (label unknown)"
                where = f"{table.path}, line {number}, {name:.40}: {row[column]!r:.40}"
                dropped.add(kind, where)
        yield Sample(path, present, unknown, split)


def _remarks(tables: Sequence[tuple[Table, _Columns]], classes: Sequence[str]) -> Iterator[str]:
    for table, columns in tables:
        own = {name for _, name in columns.classes}
        lacking = ", ".join(name for name in classes if name not in own)
        if lacking:
            yield f"{table.path}: has no column for, so that they are unknown: {lacking:.300}"


class CsvOnehotWriter:
    """Writes one CSV file: image, a column for each class, split; unknown is an empty cell."""

    name = "csv-onehot"

    def losses(self, splits: Mapping[str, Annotation]) -> list[str]:
        """Spaces at the ends of names, and that integers are not text."""
        return changed_by_tables(splits)

    def write(self, splits: Mapping[str, Annotation], folder: Path) -> list[Path]:
        """Write `annotations.csv`.

        Raises:
            DataError: Images are outside of the folder.
            MlcError: It cannot be written.
        """
        check_below(splits, folder)
        path = folder / "annotations.csv"
        write_atomic(path, partial(_write, splits=splits, folder=folder))
        return [path]


def _write(path: Path, splits: Mapping[str, Annotation], folder: Path) -> None:
    classes = next(iter(splits.values())).class_names
    image = _free(("image", "image_path", "file"), classes)
    split_column = _free(("split", "subset", "partition"), classes)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([image, *classes, split_column])
        for split, annotation in splits.items():
            paths = exported_paths(annotation, folder)
            for start in range(0, len(annotation), BLOCK):
                block = range(start, min(start + BLOCK, len(annotation)))
                for states in annotation.targets_NC(block).tolist():
                    writer.writerow([next(paths), *map(_CELLS.__getitem__, states), split])


def _free(names: Sequence[str], classes: Sequence[str]) -> str:
    """The first of some names of a column that no class has."""
    return next(name for name in names if name not in classes)
