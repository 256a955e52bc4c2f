"""Predictions to a stream or a file as they come, and the continuation of such a file."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from mlc_cli.core.inference.predictions import Format, Written, complete_records
from mlc_cli.core.inference.results import Prediction
from mlc_cli.core.system.files import lock_output
from mlc_cli.errors import DataError, MlcError


class RecordWriter:
    """Writes whole records and hands them on at once, behind others if it is `resumed`."""

    def __init__(self, stream: TextIO, form: Format, *, resumed: bool = False) -> None:
        self._stream = stream
        self._form = form
        self._gap = form.between if resumed else form.before

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Write some predictions."""
        parts = []
        for prediction in predictions:
            parts += [self._gap, self._form.record(prediction)]
            self._gap = self._form.between
        self._stream.write("".join(parts))
        self._stream.flush()

    def finish(self) -> None:
        """Write what stands behind the last record; the result is complete in its format."""
        opening = "" if self._gap == self._form.between else self._gap
        self._stream.write(opening + self._form.after)
        self._stream.flush()


@dataclass(frozen=True)
class PartialOutput:
    """What of an interrupted file is kept.

    Attributes:
        end: Bytes that are kept.
        images: Records that are kept.
        dropped: Complete records that are not kept, as their batch is not complete.
    """

    end: int = 0
    images: int = 0
    dropped: int = 0
    errors: tuple[Written, ...] = ()


def read_partial(path: Path, form: Format, names: Iterator[str], batch_size: int) -> PartialOutput:
    """Read what a file already has, and hold it against the images that it should be about.

    Whole batches are kept: the last digit of a probability may depend on what else is in a batch,
    and the file, which may be missing, shall become the same as if it had never broken off. The
    names of all images are advanced by what is kept and dropped.

    Raises:
        DataError: The file is of other images, of another format or of other classes.
    """
    end, kept, seen = 0, 0, 0
    records: list[Written] = []
    errors: list[Written] = []
    for written, position in complete_records(path, form) if path.exists() else ():
        _check_name(path, form, written.image, next(names, None), seen + 1)
        seen += 1
        records.append(written)
        if len(records) == batch_size:
            end, kept = position, seen
            errors += [record for record in records if record.error]
            records = []
    return PartialOutput(end, kept, seen - kept, tuple(errors))


def _check_name(path: Path, form: Format, there: str, name: str | None, number: int) -> None:
    if name is None or form.shown(name) != there:
        raise DataError(
            f"{path}: cannot be continued: its image {number} is {there}, the sources have"
            f" {name or 'no more images'} there",
            "Name the same sources in the same order, or write another file with --output.",
        )


@contextmanager
def open_output(path: Path, keep: int = 0) -> Iterator[TextIO]:
    """Open a file to write behind its first `keep` bytes; what follows them is dropped.

    Raises:
        MlcError: The file cannot be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        with open(handle, "w", encoding="utf-8", newline="") as stream:  # noqa: PTH123
            if stat.S_ISREG(os.fstat(handle).st_mode):  # not a pipe or a device
                lock_output(handle, path)
                os.ftruncate(handle, keep)
                os.lseek(handle, keep, os.SEEK_SET)
            yield stream
    except OSError as error:
        if error.filename not in (None, str(path)):
            raise
        raise MlcError(
            f"{path} cannot be written: {error.strerror}",
            "Free some space or choose another --output; --resume continues what is there.",
        ) from error
