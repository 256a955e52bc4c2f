"""Tables in CSV files: header, rows with their lines, and which column is which."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, product
from pathlib import Path

from mlc_cli.core.datasets.formats.shared.column_names import (
    ALSO_LABELS,
    SPLIT_NAMES,
    STATE_NAMES,
    called_image,
    called_labels,
    called_names,
    joined,
    sides,
    unnumbered,
)
from mlc_cli.core.datasets.formats.shared.images import is_image
from mlc_cli.core.datasets.formats.shared.lines import (
    filled_rows,
    is_comment,
    names_image,
    raw_lines,
)
from mlc_cli.core.datasets.formats.shared.references import is_address
from mlc_cli.core.datasets.formats.shared.split_names import meaning
from mlc_cli.core.datasets.formats.shared.states import is_flag
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

HEAD, HEAD_CELLS = 1000, 1_000_000
"""Rows, and cells, that are looked at to see what columns hold."""

_NUMBER = re.compile(r"|[0-9.eE+-]+")
_CONFIDENCE = re.compile(r"[0-9]+:[01](?:\.[0-9]+)?")
_UNASSIGNED = "UNASSIGNED"
"""In place of a split, where a cloud service is to choose it."""


@dataclass(frozen=True)
class Told:
    """Names of columns that the user tells; what is not told is decided from names and cells.

    Attributes:
        keep: Keep columns that are not used; that of the groups is kept in any case.
    """

    image: str | None = None
    labels: tuple[str, ...] = ()
    split: str | None = None
    group: str | None = None
    keep: bool = False


UNTOLD = Told()


@dataclass(frozen=True)
class Table:
    """A CSV file.

    Attributes:
        path: The file.
        split: The split that its place says all its images are in; empty if it says none.
        delimiter: Between cells: comma, semicolon or tab, as the header has them.
        header: Names of the columns; their numbers from 1 if there is no header.
        first: The first rows.
        told: Columns that the user tells.
        headless: Whether the first line is a row.
    """

    path: Path
    split: str
    delimiter: str
    header: tuple[str, ...]
    first: Sequence[Sequence[str]]
    told: Told = UNTOLD
    headless: bool = False

    @classmethod
    def open(cls, path: Path, split: str = "", told: Told = UNTOLD) -> "Table":
        """Look at a file.

        Raises:
            DataError: It cannot be read, or has no header or two columns of one name.
        """
        line = next((own for own in raw_lines(path) if own.strip() and not is_comment(own)), "")
        bare = re.sub(r'"[^"]*("|$)', "", line)
        marks = ",;\t" if path.suffix.lower() == ".csv" else "\t,;"
        delimiter = next((mark for mark in marks if mark in bare), ",")
        top = [row for _, row in islice(filled_rows(path, delimiter), 2)]
        header = top[0] if top else []
        if not header:
            raise DataError(f"{path}: is empty")
        named = [column for column, cell in enumerate(header) if is_image(cell.partition("?")[0])]
        headless = any(is_image("".join(top[-1][c : c + 1]).partition("?")[0]) for c in named)
        if headless:
            rows = islice((row for _, row in filled_rows(path, delimiter)), HEAD)
            header = [str(number + 1) for number in range(max(map(len, rows)))]
        twice = sorted(name for name, count in Counter(header).items() if name and count > 1)
        if twice:
            raise DataError(f"{path}: columns of the same name: {', '.join(twice):.200}")
        empty = cls(path, split, delimiter, tuple(header), (), headless=headless)
        count = min(HEAD, HEAD_CELLS // len(header) + 1)
        first = [row for _, row in islice(empty.rows(IssueLog()), count)]
        table = replace(empty, told=told, first=[row for row in first if not _is_note(row)])
        table = table if table.names_images else replace(table, first=first)
        if headless and any(_CONFIDENCE.fullmatch(cell) for row in table.first for cell in row):
            raise DataError(
                f"{path}: has classes with confidences, such as 6:0.9, which are not read",
                "Write a line for each image, with the classes that count: image,labels.",
            )
        if headless and told.image is None and not table.is_import:
            raise DataError(
                f"{path}: has no header, its first line names an image: {line.strip():.80}",
                "Put a line with the names of the columns before it, such as image,labels, or tell"
                " their numbers: --image-column 1 --label-column 2",
            )
        return table

    @property
    def is_import(self) -> bool:
        """Whether it has what cloud services import: addresses of images, then labels."""
        return self.headless and all(map(is_address, self.cells(self.image_column)))

    def rows(self, dropped: IssueLog) -> Iterator[tuple[int, list[str]]]:
        """Rows below the header, each with its last line; cells without space at their ends.

        Raises:
            DataError: The file turns out not to be CSV in UTF-8.
        """
        width, notes = len(self.header), self.names_images
        for number, row in islice(filled_rows(self.path, self.delimiter), not self.headless, None):
            if notes and _is_note(row):
                continue
            if len(row) == width:
                yield number, row
            elif len(row) < width:
                yield number, [*row, *[""] * (width - len(row))]
            elif any(row[width:]):
                dropped.add("rows with more cells than the header", f"{self.path}, line {number}")
            else:
                yield number, row[:width]

    @cached_property
    def image_column(self) -> int:
        """The column that is told, else that whose cells end like image files.

        Where several or none do, the first that is called image, file or path; else the first.
        """
        if self.told.image is not None:
            return self._told(self.told.image)
        columns = range(len(self.header))
        like_files = [column for column in columns if self.has_images(column)]
        named = [c for c in columns if called_image(self.header[c])]
        others = [c for c in columns if self.header[c] or not self.holds_flags(c)]
        both = [column for column in named if column in like_files]
        return next(iter([*both, *like_files, *named, *others]), 0)

    def _holds_grades(self, column: int) -> bool:
        """Whether the first rows have single digits alone in a column, and not 0 and 1 alone."""
        cells = self.cells(column)
        return all(len(cell) == 1 and cell.isdigit() for cell in cells) and not cells <= {"0", "1"}

    @property
    def names_images(self) -> bool:
        """Whether the cells of a column end like image files; those of a list of classes do not."""
        return any(map(self.has_images, range(len(self.header))))

    @property
    def holds_pixels(self) -> bool:
        """Whether its rows are images: most columns, that of images too, are numbered."""
        stems, own = [*map(unnumbered, self.header)], unnumbered(self.header[self.image_column])
        return own != "" and stems.count(own) > max(15, len(stems) / 2)

    def has_images(self, column: int) -> bool:
        """Whether most cells of a column end like image files."""
        hits = [is_image(cell.partition("?")[0]) for cell in self.cells(column) if cell]
        return 2 * sum(hits) > len(hits)

    def _told(self, name: str) -> int:
        if name in self.header:
            return self.header.index(name)
        raise DataError(
            f"{self.path}: has no column {name}", f"It has {', '.join(self.header):.200}."
        )

    @cached_property
    def split_column(self) -> int | None:
        """The column that is told, or called so, else one whose cells all mean splits."""
        if self.told.split is not None:
            return self._told(self.told.split)
        columns = [c for c in reversed(range(len(self.header))) if c != self.image_column]
        for column in columns:
            flags = self.holds_flags(column)
            if (sides(self.header[column]) and flags) or (self.called_split(column) and not flags):
                return column
        taken = (column for column in columns if self.header[column] not in self.told.labels)
        return next((c for c in taken if self._means_splits(c)), None)

    def called_split(self, column: int) -> bool:
        """Whether a column is called as those of splits are."""
        return joined(self.header[column]) in SPLIT_NAMES

    def _means_splits(self, column: int) -> bool:
        cells = self.cells(column) - {""}
        if not cells or called_labels(self.header[column]):
            return False
        return all(map(meaning, cells - {_UNASSIGNED}))

    @cached_property
    def label_columns(self) -> tuple[int, ...]:
        """Columns that list the labels of each image: those told, or those called so.

        A column of 0 and 1 beside others is a class that is called so. Further columns count if
        they differ in a number alone, such as label_1 and label_2.
        """
        if self.told.labels:
            told = tuple(map(self._told, self.told.labels))
            return () if told[1:] and all(map(self.holds_flags, told)) else told
        others = [column for column in range(len(self.header)) if column not in self.taken]
        if self.headless:  # the numbers after the label are corners of a box
            others = [column for column in others if column > self.image_column]
            texts = (c for c in others if not all(map(_NUMBER.fullmatch, self.cells(c))))
            return tuple(texts) or tuple(others)
        called = [c for c in others if called_labels(self.header[c])]
        numbers = [c for c in called if all(map(str.isdigit, self.cells(c)))]
        texts = (c for c in others if called_names(self.header[c]) and c not in numbers)
        for column, number in product(texts, numbers):
            if self._one_to_one(column, number):  # the names of the numbers
                return (column,)
        found = [c for c in called if len(others) == 1 or not self.holds_flags(c)]
        flags = (joined(self.header[c]) for c in others if self.holds_flags(c))
        if not found and STATE_NAMES.issuperset(flags):
            matches = {c: ALSO_LABELS.fullmatch(joined(self.header[c])) for c in others}
            also = {c: match for c, match in matches.items() if match}
            found = [c for c, match in also.items() if not match[1]] or [*also]
        if not found and len(others) == 1 and called_image(self.header[self.image_column]):
            found = [c for c in others if self._holds_grades(c)]
        same = found and unnumbered(self.header[found[0]])
        return tuple(c for c in found if c == found[0] or unnumbered(self.header[c]) == same)

    @cached_property
    def state_column(self) -> int | None:
        """The column whose flag says of each row whether the image has its label."""
        others = set(range(len(self.header))) - self.taken - set(self.label_columns)
        called = (c for c in sorted(others) if joined(self.header[c]) in STATE_NAMES)
        return next(filter(self.holds_flags, called), None)

    def _one_to_one(self, column: int, other: int) -> bool:
        """Whether each value of a column goes with one of another, and some rows repeat a pair."""
        pairs = {(row[column], row[other]) for row in self.first}
        sizes = {len(pairs), len(self.cells(column)), len(self.cells(other))}
        return len(sizes) == 1 and 1 < len(pairs) < len(self.first)

    def told_labels(self, names: Collection[str]) -> "Table":
        """The same table, with those of some columns that it has for labels."""
        labels = tuple(name for name in self.header if name in names)
        return replace(self, told=replace(self.told, labels=labels))

    @cached_property
    def taken(self) -> set[int | None]:
        """Columns of images, splits and groups, which are no labels."""
        group = None if self.told.group is None else self._told(self.told.group)
        return {self.image_column, self.split_column, group}

    def folder(self, root: Path) -> str:
        """What stands before the names of its images: its own folder, if it is that of a split."""
        own = self.path.parent.name
        return f"{own}/" if own and own == self.split and (root / own).is_dir() else ""

    def cells(self, column: int) -> set[str]:
        """What the first rows have in a column."""
        return {row[column] for row in self.first}

    def holds_flags(self, column: int) -> bool:
        """Whether the first rows have only flags in a column, and some that are not blank."""
        cells = self.cells(column)
        return any(cells) and all(map(is_flag, cells))

    def split_of(self, row: Sequence[str]) -> str:
        """Split of a row: what its own column says, else that of the table."""
        column = self.split_column
        if column is None:
            return self.split
        if both := sides(self.header[column]):
            return both[row[column].lower() not in ("1", "1.0", "true", "yes")]
        return row[column].removeprefix(_UNASSIGNED) or self.split


def _is_note(row: Sequence[str]) -> bool:
    """Whether a row of a table of images is a comment."""
    return row[0].startswith("#") and not names_image(row)
