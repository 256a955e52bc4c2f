"""Tables in CSV files: header, rows with their lines, and which column is which."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.formats.shared.images import SUFFIXES
from mlc_cli.core.datasets.formats.shared.lines import is_file, raw_lines
from mlc_cli.core.datasets.formats.shared.losses import numbered_classes
from mlc_cli.core.datasets.formats.shared.split_names import meaning
from mlc_cli.core.datasets.formats.shared.states import is_flag
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

HEAD, HEAD_CELLS = 1000, 1_000_000
"""Rows, and cells, that are looked at to see what columns hold."""

_SPLIT_NAMES = {"split", "subset", "set", "partition", "split_name", "is_valid"}
_LABEL_WORDS = {
    "label", "labels", "tag", "tags", "class", "classes", "category", "categories", "target",
    "targets",
}  # fmt: skip
_IMAGE_WORDS = {
    "image", "images", "img", "file", "filename", "filepath", "fname", "path", "photo", "picture",
}  # fmt: skip

_OF_ROBOFLOW = "_classes.csv"
"""Lies in the folder of a split, with its images."""
_OF_OTHER_FORMATS = ({"ImageID", "LabelName"}, {"annotation_id", "annotator"})
"""Columns of Open Images and of Label Studio."""


@dataclass(frozen=True)
class Table:
    """A CSV file with a header.

    Attributes:
        path: The file.
        split: The split that its place says all its images are in; empty if it says none.
        delimiter: Between cells: the first of comma, semicolon and tab that the header has.
        header: Names of the columns.
        first: The first rows.
    """

    path: Path
    split: str
    delimiter: str
    header: tuple[str, ...]
    first: Sequence[Sequence[str]]

    @classmethod
    def open(cls, path: Path, split: str = "") -> "Table":
        """Look at a file.

        Raises:
            DataError: It cannot be read, or has no header or two columns of one name.
        """
        line = next((line for line in raw_lines(path) if line.strip()), "")
        bare = re.sub(r'"[^"]*("|$)', "", line)
        delimiter = next((choice for choice in ",;\t" if choice in bare), ",")
        _, header = next(_rows(path, delimiter), (0, []))
        if not any(header):
            raise DataError(f"{path}: is empty")
        if next(filter(None, header)).lower().endswith(SUFFIXES):
            raise DataError(
                f"{path}: has no header, its first line names an image: {line.strip():.80}",
                "Put a line with the names of the columns before it, such as image,labels.",
            )
        twice = sorted(name for name, count in Counter(header).items() if name and count > 1)
        if twice:
            raise DataError(f"{path}: columns of the same name: {', '.join(twice):.200}")
        empty = cls(path, split, delimiter, tuple(header), ())
        count = min(HEAD, HEAD_CELLS // len(header) + 1)
        first = [row for _, row in islice(empty.rows(IssueLog()), count)]
        return cls(path, split, delimiter, tuple(header), first)

    def rows(self, dropped: IssueLog) -> Iterator[tuple[int, list[str]]]:
        """Rows below the header, each with its last line; cells without space at their ends.

        Raises:
            DataError: The file turns out not to be CSV in UTF-8.
        """
        for number, row in islice(_rows(self.path, self.delimiter), 1, None):
            if len(row) == len(self.header):
                yield number, row
            else:
                kind = "rows with more or fewer cells than the header"
                dropped.add(kind, f"{self.path}, line {number}")

    @cached_property
    def image_column(self) -> int:
        """The first column that is called image, file or path, else the first with a name."""
        named = [column for column, name in enumerate(self.header) if name]
        fitting = (column for column in named if _IMAGE_WORDS & set(_words(self.header[column])))
        return next(fitting, named[0])

    @cached_property
    def split_column(self) -> int | None:
        """The last column that holds the split of each image, by its name, if there is one."""
        for column in reversed(range(len(self.header))):
            name = self.header[column]
            called_so = "_".join(_words(name)) in _SPLIT_NAMES and column != self.image_column
            if called_so and (_is_validity(name) or not self.holds_flags(column)):
                return column
        return None

    @cached_property
    def label_column(self) -> int | None:
        """The column that lists the labels of each image, by its name, if there is one.

        A column of 0 and 1 beside others is a class that is called so.
        """
        taken = (self.image_column, self.split_column)
        others = [column for column in range(len(self.header)) if column not in taken]
        for column in others:
            called_so = (_words(self.header[column]) or [""])[-1] in _LABEL_WORDS
            if called_so and (len(others) == 1 or not self.holds_flags(column)):
                return column
        return None

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
        if _is_validity(self.header[column]):
            return "val" if row[column].lower() in ("1", "true") else "train"
        return row[column] or self.split


def find_tables(source: Path) -> list[Table]:
    """The tables at a place: a file; the file of each split; or all CSV files of a folder.

    Raises:
        DataError: There is none, or one cannot be read.
    """
    if not source.is_dir():
        own = source.name == _OF_ROBOFLOW
        return [Table.open(source, source.absolute().parent.name if own else "")]
    of_splits = sorted(source.glob(f"*/{_OF_ROBOFLOW}"))
    if of_splits:
        return [Table.open(path, path.parent.name) for path in of_splits]
    files = sorted(path for path in source.glob("*.csv") if is_file(path))
    if not files:
        raise DataError(f"{source}: there is no CSV file")
    named = len(files) > 1 or meaning(files[0].stem)
    return [Table.open(path, path.stem if named else "") for path in files]


def look(source: Path) -> Table | None:
    """The first table at a place, unless it is of a format that has a reader of its own."""
    if not (source.is_dir() or source.suffix.lower() in (".csv", ".tsv")):
        return None
    try:
        table = find_tables(source)[0]
    except DataError:
        return None
    return None if any(names <= set(table.header) for names in _OF_OTHER_FORMATS) else table


def changed_by_tables(splits: Mapping[str, Annotation]) -> list[str]:
    """What of a data set comes back from any table in another form, each as a reason."""
    annotations = list(splits.values())
    names = annotations[0].classes if annotations else ()
    reasons = numbered_classes(splits)
    if any(_changes(str(name)) for name in names):
        reasons.append("names of classes are empty, or have a space at an end or a carriage return")
    if any(_changes(path) or "\\" in path for split in annotations for path in split.paths):
        reasons.append("paths have a space at an end, a backslash or a carriage return")
    return reasons


def _changes(text: str) -> bool:
    return not text or text != text.strip() or "\0" in text or "\r" in text


def _is_validity(name: str) -> bool:
    return "_".join(_words(name)) == "is_valid"


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", name.lower())


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank."""
    for number, row in csv_rows(path, delimiter):
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield number, cells


def csv_rows(path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Rows of a CSV file as they are, each with its last line.

    Raises:
        DataError: It cannot be read, or is not CSV in UTF-8.
    """
    reader = csv.reader(raw_lines(path), delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: {error}",
            "A quotation mark that is opened and never closed makes one cell of all that follows.",
        ) from None
