"""CSV with a column for each class: 1 is present, 0 absent, blank unknown.

A file, or a folder with `<split>/_classes.csv` or a CSV file for each split. Columns that hold
nothing of this kind in the first rows, such as the age of a patient, are no classes.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.column_names import SPLIT_NAMES, joined
from mlc_cli.core.datasets.formats.shared.json_files import id_key
from mlc_cli.core.datasets.formats.shared.states import Flag, StateRule, flag, is_flag
from mlc_cli.core.datasets.formats.shared.table_files import Rows, TableSet, look, place_of
from mlc_cli.core.datasets.formats.shared.tables import UNTOLD, Table, Told
from mlc_cli.core.datasets.formats.shared.writing import (
    changed_by_tables,
    check_below,
    exported_paths,
    write_rows,
)
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError
from mlc_cli.text import some

BLOCK = 4096
_UNLABELED = "Unlabeled"
"""Roboflow's mark of images without labels; no class."""
_PARTS = {*SPLIT_NAMES, "fold", "kfold"}
_SUMS = ("id", "index", "sum", "total", "count")
_CORNER = re.compile(
    r"(?i)(?:b?box[ _-]?)?(?:[xyz](?:[ _-]?(?:min|max|c|center|[0-9]))?|c[xy]|w|h|width|height"
    r"|left|top|right|bottom)"
)
"""What columns of boxes and points are called; letters are classes where all of them hold flags."""
_RULE = StateRule()
_CELLS = {1: "1", 0: "0", -1: ""}


def _class_columns(table: Table) -> list[int]:
    """Columns that are classes: those told, or those of flags that are no sums or identifiers."""
    told = table.told.labels
    columns = [c for c, name in enumerate(table.header) if name and c not in table.taken]
    if not told and table.split_column is None:
        columns = [c for c in columns if joined(table.header[c]) not in _PARTS]
    if told:
        columns = [c for c in columns if table.header[c] in told]
    else:
        corners = {c for c in columns if _CORNER.fullmatch(table.header[c])}
        if len(corners) > 1 and not all(map(table.holds_flags, corners)):
            columns = [c for c in columns if c not in corners]
    found = [c for c in columns if _is_class(table, c)]
    return found if told or any(map(table.holds_flags, found)) else []  # all blank: other data


def _is_class(table: Table, column: int) -> bool:
    name, cells = table.header[column], table.cells(column)
    if name == _UNLABELED and table.path.name == "_classes.csv":
        return False
    if any(len(cell) == 1 and cell.isalpha() for cell in cells):  # F and M are no flags
        return table.holds_flags(column)
    flags = [is_flag(row[column]) for row in table.first if row[column]]
    return not any(cells) or (2 * sum(flags) > len(flags) and not _counts(name, cells))


def _counts(name: str, cells: set[str]) -> bool:
    """Whether a column is a sum, a grade, a code or an identifier: whole numbers beyond 0 and 1.

    One such number alone is a slip, unless there is no 0: 1 and 2 are codes.
    """
    whole = [number for cell in cells if type(number := id_key(cell)) is int]
    beyond = {number for number in whole if number not in (-1, 0, 1)}
    several = len(beyond) > 1 or (bool(beyond) and (name.lower() in _SUMS or 0 not in whole))
    return several and 2 * len(whole) > len(cells - {""})


def csv_onehot_reader(rule: StateRule = _RULE, told: Told = UNTOLD) -> Reader:
    """Reads CSV with a column for each class."""
    title = "CSV with a column for each class"
    return Reader("csv-onehot", title, partial(_detect, told), partial(_read, rule, told))


def _detect(told: Told, source: Path) -> str | None:
    """Name the columns that hold 0 and 1, where no column lists labels."""
    table = look(source, told)
    if table is None or table.label_columns:
        return None
    count = sum(map(table.holds_flags, _class_columns(table)))
    words = "1 column" if count == 1 else f"{count} columns"
    return f"{words} of 0 and 1 in {place_of(table, source)}" if count else None


def _read(
    rule: StateRule, told: Told, source: Path, images: Path | None, dropped: IssueLog
) -> Source:
    """Open a file, or the files of a folder."""
    tables = TableSet(source, images, told, dropped, _class_columns)
    classes = list(dict.fromkeys(table.header[c] for table, own in tables.parts for c in own))
    if not classes:
        raise DataError(f"{source}: no column holds 0 and 1", "A class is a column: image,dog,cat")
    counts = _count(tables)
    states = rule.decide(counts)
    state_of = cache(lambda cell: states[flag(cell)] if is_flag(cell) else None)

    def samples(table: Table, columns: Sequence[int], rows: Rows) -> Iterator[Sample]:
        lacking = _lacking(table, columns, classes)
        named = [(column, table.header[column]) for column in columns]
        for where, row, path, split in rows:
            present, unknown = list[str](), list(lacking)
            for column, name in named:
                state = state_of(row[column])
                if state == "absent":  # what most cells are
                    continue
                (present if state == "present" else unknown).append(name)
                if state is None:
                    kind = "cells that are not 0, 1, -1 or blank (label unknown)"
                    dropped.add(kind, f"{where}, {name:.40}: {row[column]!r:.40}")
            yield Sample(path, present, unknown, split)

    alone = [
        f"warning: {classes[0]} is the only class; --label-column tells another: {some(texts, 30)}"
        for table, _ in tables.parts[:1]
        if not classes[1:] and not told.labels and (texts := _text_columns(table))
    ]
    remarks = [
        f"{table.path}: has no column for, so that they are unknown: {', '.join(names):.300}"
        for table, columns in tables.parts
        if (names := _lacking(table, columns, classes))
    ]
    said = [*alone, *filter(None, [rule.remark(counts)]), *remarks]
    return tables.source(samples, said, classes)


def _text_columns(table: Table) -> list[str]:
    """Columns of words that come again, as those of classes do."""
    columns = ((c, table.cells(c)) for c in range(len(table.header)) if c not in table.taken)
    return [
        table.header[c]
        for c, cells in columns
        if 1 < len(cells) < len(table.first)
        and not table.holds_flags(c)
        and not all(type(id_key(cell)) is int for cell in cells)
    ]


def _lacking(table: Table, columns: Sequence[int], classes: Sequence[str]) -> list[str]:
    own = {table.header[column] for column in columns}
    return [name for name in classes if name not in own]


def _count(tables: TableSet) -> Counter[Flag]:
    """How often each flag is in columns of classes."""
    cells: Counter[str] = Counter()
    for table, columns in tables.parts:
        for _, row in table.rows(IssueLog()):
            cells.update([row[column] for column in columns])
    counts: Counter[Flag] = Counter()
    for cell, count in cells.items():
        if is_flag(cell):
            counts[flag(cell)] += count
    return counts


class CsvOnehotWriter:
    """Writes one CSV file: image, a column for each class, split; unknown is an empty cell."""

    name = "csv-onehot"

    def losses(self, splits: Mapping[str, Annotation]) -> list[str]:
        """Spaces at the ends of names, and that integers are not text."""
        return changed_by_tables(splits)

    def write(self, splits: Mapping[str, Annotation], folder: Path) -> list[Path]:
        """Write `annotations.csv`."""
        check_below(splits, folder)
        classes = next(iter(splits.values())).class_names
        image = _free(("image", "image_path", "file"), classes)
        split_column = _free(("split", "subset", "partition"), classes)
        rows = (row for split, own in splits.items() for row in _rows(split, own, folder))
        write_rows(folder / "annotations.csv", [(image, *classes, split_column)], rows)
        return [folder / "annotations.csv"]


def _rows(split: str, annotation: Annotation, folder: Path) -> Iterator[Sequence[str]]:
    paths = exported_paths(annotation, folder)
    for start in range(0, len(annotation), BLOCK):
        block = range(start, min(start + BLOCK, len(annotation)))
        for states in annotation.targets_NC(block).tolist():
            yield [next(paths), *map(_CELLS.__getitem__, states), split]


def _free(names: Sequence[str], classes: Sequence[str]) -> str:
    """The first of some names of a column that no class has."""
    return next(name for name in names if name not in classes)
