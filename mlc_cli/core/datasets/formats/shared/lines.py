"""Text files: where they are, and their lines and rows, read as they are asked for."""

import csv
import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import chain
from pathlib import Path

from mlc_cli.core.images.suffixes import IMAGE_SUFFIXES
from mlc_cli.errors import DataError

_END = "\0"
"""A line after the last, which no text has."""


is_file, is_folder = os.path.isfile, os.path.isdir
"""Whether there is one; a name that none can have, such as one of a million characters, has none.
"""


def files_below(source: Path, patterns: Sequence[str]) -> list[Path]:
    """Files one folder below a place whose names fit patterns; without any those two below."""
    for level in other_files(source)[1:]:
        names = [(n, f) for f, n in level if any(fnmatchcase(n, pattern) for pattern in patterns)]
        if names:
            return sorted(Path(folder, name) for name, folder in names)
    return []


@lru_cache(maxsize=1)
def other_files(source: Path) -> tuple[list[tuple[str, str]], ...]:
    """Folder and name of what is no image, in a place and one and two folders below, none hidden.

    A million images are walked once for all readers: `cache_clear` forgets a place.
    """
    levels = []
    folders = [str(source)]
    for _ in range(3):
        files, below = [], []
        for folder in folders:
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.name.lower().endswith(IMAGE_SUFFIXES) or entry.name[0] == ".":
                            continue
                        if entry.is_dir():
                            below.append(entry.path)
                        else:
                            files.append((folder, entry.name))
            except OSError:
                continue
        levels.append(files)
        folders = below
    return tuple(levels)


def raw_lines(path: Path) -> Iterator[str]:
    """Lines of a file in UTF-8, with or without a byte-order mark, with their ends as they are.

    Raises:
        DataError: It is missing, cannot be read, or is no text in UTF-8.
    """
    if not is_file(path):
        raise DataError(f"{path}: there is no such file")
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for number, line in enumerate(stream, 1):
                if "\0" in line:
                    raise DataError(f"{path}, line {number}: has a NUL byte; is this text?")
                yield line
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(
            f"{path}: is not UTF-8 text (after line {number})", "Save it in UTF-8 and try again."
        ) from None


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, without space at their ends, with their numbers from 1.

    Raises:
        DataError: The file is missing, cannot be read, or is no text in UTF-8.
    """
    for number, line in enumerate(raw_lines(path), 1):
        if text := line.strip():
            yield number, text


def filled_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, each with its last line; cells without space at their ends.

    Comments and `sep=;` before the first are left out, and `#` before a header as NumPy writes it.
    """
    comment: list[str] | None = []
    for number, row in csv_rows(path, delimiter):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if comment is not None:
            if is_comment(cells[0]):
                comment = cells
                continue
            if len(comment) == len(cells) > 1 and names_image(cells):
                yield number - 1, [comment[0].lstrip("# "), *comment[1:]]
            comment = None
        yield number, cells


def names_image(cells: Sequence[str]) -> bool:
    """Whether a cell ends like the name of an image."""
    return any(cell.lower().endswith(IMAGE_SUFFIXES) for cell in cells)


def is_comment(line: str) -> bool:
    """Whether a line before a table is no part of it: `# by me`, `sep=;` of Excel."""
    return line.lower().startswith(("#", "sep=")) and not names_image([line])


def csv_rows(path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Rows of a CSV file as they are, each with its last line.

    Raises:
        DataError: It cannot be read, or is not CSV in UTF-8.
    """
    hint = "A quotation mark that is opened and never closed makes one cell of all that follows."
    ended: list[bool] = []

    def end() -> Iterator[str]:
        ended.append(True)
        yield _END

    reader = csv.reader(chain(raw_lines(path), end()), delimiter=delimiter, skipinitialspace=True)
    start = 0
    try:
        for row in reader:
            if ended:
                if row == [_END]:
                    return
                raise DataError(f"{path}, line {start + 1}: a quotation mark stays open", hint)
            start = reader.line_num
            yield start, row
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}", hint) from None
