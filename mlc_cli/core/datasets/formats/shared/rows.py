"""Rows of CSV files."""

import csv
from collections.abc import Iterator
from pathlib import Path

from mlc_cli.core.datasets.formats.shared.lines import raw_lines
from mlc_cli.errors import DataError


def filled_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, each with its last line; cells without space at their ends."""
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
