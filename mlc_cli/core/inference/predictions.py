"""Predictions as text, one record an image, and how to take up a file of them that broke off.

Names of arrays: C classes, K decided classes of an image, H×W positions of a heat map.
"""

import csv
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from mlc_cli.core.inference.results import Prediction
from mlc_cli.errors import DataError
from mlc_cli.text import csv_cell, plain

FormatName = Literal["jsonl", "json", "csv", "onehot", "parquet"]


class Written(NamedTuple):
    """What a record in a file tells: the image, and the error if it could not be read."""

    image: str
    error: str


@dataclass
class Format(ABC):
    """A way to write predictions.

    Attributes:
        most: List only so many probabilities, the largest; decisions do not depend on it.
        band: Whether to name the classes that a person should look at.
        guard: Whether texts in CSV are kept from being formulas.
        before: What stands before all records; `between` and `after` likewise.
    """

    classes: Sequence[str]
    most: int | None = None
    band: bool = False
    guard: bool = True
    before = between = after = ""

    @abstractmethod
    def record(self, prediction: Prediction) -> str:
        """One image."""

    @abstractmethod
    def read(self, record: str) -> Written:
        """The image that a record is of; ValueError if it is none."""

    def shown(self, image: str) -> str:
        """The name of an image as `read` finds it."""
        return image


class JsonLines(Format):
    """One JSON object a line."""

    def record(self, prediction: Prediction) -> str:
        """One image as a line."""
        text = msgspec.json.format(msgspec.json.encode(self.content(prediction)), indent=0)
        return plain(text.decode()) + "\n"

    def content(self, prediction: Prediction) -> dict[str, Any]:
        """What is written of one image."""
        if prediction.error:
            return {"image": prediction.image, "error": prediction.error}
        return {
            "image": prediction.image,
            "labels": [self.classes[c] for c in prediction.decided],
            **({"unsure": [self.classes[c] for c in prediction.unsure or ()]} if self.band else {}),
            "probabilities": prediction.written(prediction.ranked(self.most), self.classes),
        }

    def read(self, record: str) -> Written:
        """The image that a line is of."""
        match json.loads(record):
            case {"image": str(image), "error": str(error)}:
                return Written(image, error)
            case {"image": str(image), "labels": list()}:
                return Written(image, "")
        raise ValueError("a line is no prediction")


class JsonArray(JsonLines):
    """One JSON array of the same objects, one on each line."""

    before, between, after = "[\n", ",\n", "\n]\n"

    def record(self, prediction: Prediction) -> str:
        """One image as an element."""
        return super().record(prediction).rstrip("\n")


class Rows(Format):
    """CSV with a column for each class behind those of `head`.

    All columns of classes begin with `class:` if one would be called like a column of `head`.
    """

    head: tuple[str, ...]

    def __init__(self, classes: Sequence[str], most: int | None = None, **options: bool) -> None:
        super().__init__(classes, most, **options)
        if self.band and "labels" in self.head:
            self.head = (*self.head[:2], "unsure", *self.head[2:])
        prefix = "class:" if {*self.head} & {*classes} else ""
        self.before = _row([*self.head, *(self.shown(prefix + name) for name in classes)])

    def shown(self, image: str) -> str:
        """A text as it stands in a cell."""
        return csv_cell(image, guard=self.guard)

    def cells(self, record: str) -> list[str]:
        """Cells of a row; ValueError if they are not as many as the columns."""
        cells = next(csv.reader(io.StringIO(record, newline="")))
        if len(cells) != len(self.head) + len(self.classes):
            raise ValueError("a row has another number of columns")
        return cells


class Table(Rows):
    """CSV: image, labels joined by `;`, those to look at, error, a probability for each class.

    A `;` inside a label has a backslash before it.
    """

    head = ("image", "labels", "error")

    def record(self, prediction: Prediction) -> str:
        """One image as a row; probabilities that are not listed are empty."""
        listed = prediction.written(prediction.ranked(self.most), self.classes)
        numbers = [listed.get(name, "") for name in self.classes]
        lists = [prediction.decided, *([prediction.unsure or ()] if self.band else [])]
        joined = (";".join(self.classes[c].replace(";", "\\;") for c in one) for one in lists)
        texts = [prediction.image, *joined, prediction.error]
        return _row([*map(self.shown, texts), *numbers])

    def read(self, record: str) -> Written:
        """The image that a row is of."""
        cells = self.cells(record)
        return Written(cells[0], cells[self.head.index("error")])


class OneHot(Rows):
    """CSV: image, and 0, 1 or, to look at, -1 for each class; empty for an unreadable image."""

    head = ("image",)

    def record(self, prediction: Prediction) -> str:
        """One image as a row."""
        states = dict.fromkeys(prediction.decided, 1) | dict.fromkeys(prediction.unsure or (), -1)
        cells = ["" if prediction.error else states.get(c, 0) for c in range(len(self.classes))]
        return _row([self.shown(prediction.image), *cells])

    def read(self, record: str) -> Written:
        """The image that a row is of."""
        cells = self.cells(record)
        return Written(cells[0], "" if cells[1] else "could not be read")


FORMATS: dict[FormatName, type[JsonLines | Table | OneHot]] = {
    "jsonl": JsonLines,
    "json": JsonArray,
    "csv": Table,
    "onehot": OneHot,
    "parquet": JsonLines,  # of which `cluster` makes columns
}


def _row(cells: Sequence[object]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(cells)
    return stream.getvalue()


def complete_records(path: Path, form: Format) -> Iterator[tuple[Written, int]]:
    """What a file that broke off already has, each with the byte at which it ends.

    Raises:
        DataError: The file is of another format or of other classes.
    """
    end = 0
    try:
        for record in _records(path, quoted=bool(form.before)):
            end += len(record)
            text = record.decode()
            if end > len(form.before.encode()):
                yield form.read(text), end
            else:
                _check_head(text, form)
    except ValueError as error:
        raise DataError(
            f"{path}: cannot be continued: {error}",
            "Continue with the --format and the model that it was started with, or write another"
            " file with --output.",
        ) from None


def _check_head(text: str, form: Format) -> None:
    if text != form.before:
        raise ValueError("its first line is another")


def _records(path: Path, *, quoted: bool) -> Iterator[bytes]:
    """Whole lines; in CSV a line goes on while a quote is open."""
    with path.open("rb") as stream:
        record = b""
        for line in stream:
            record += line
            if line.endswith(b"\n") and not (quoted and record.count(b'"') % 2):
                yield record
                record = b""
