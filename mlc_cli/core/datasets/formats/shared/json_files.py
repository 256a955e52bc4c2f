"""JSON of other tools: read fast, with types that are checked and messages that say where.

What is written is streamed, so that memory does not grow with the number of images.
"""

import codecs
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from mlc_cli.core.datasets.formats.shared.lines import files_below, is_file
from mlc_cli.core.system.files import read_bytes, read_json, write_atomic
from mlc_cli.errors import DataError, MlcError

Id = int | float | str | None
"""What tools use as identifiers."""

OPENING = 2**20
Shape = TypeVar("Shape")


def load(path: Path, shape: type[Shape], hint: str = "") -> Shape:
    """Content of a JSON file; what the shape does not name is skipped without being built.

    Args:
        path: The file, in UTF-8 with or without a byte-order mark.
        shape: A msgspec structure, or any type built of plain ones.
        hint: What the file should look like, for the message.

    Raises:
        DataError: The file cannot be read, is not JSON, or has another shape; says where.
    """
    try:
        return msgspec.json.decode(read_bytes(path).removeprefix(codecs.BOM_UTF8), type=shape)
    except msgspec.ValidationError as error:
        raise DataError(f"{path}: {error}", hint) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The standard library takes NaN, as some tools write it, and names line and column.
        content = read_json(path)
    try:
        return msgspec.convert(content, shape)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half a surrogate pair
        raise DataError(f"{path}: {error}", hint) from None


def opening(path: Path) -> str:
    """The first MiB of a file as text, for a glance; empty if it cannot be read."""
    if not is_file(path):
        return ""
    try:
        with path.open("rb") as stream:
            return stream.read(OPENING).decode("utf-8-sig", errors="replace")
    except (OSError, ValueError):
        return ""


def find_files(
    source: Path, looks_right: Callable[[str], bool], patterns: Sequence[str] = ("*.json",)
) -> list[Path]:
    """Files of a format: the source itself, or those in a folder whose opening looks right.

    Where no file does that the patterns fit, those of the same suffixes one folder below count, and
    two below if there are none either.
    """
    if not source.is_dir():
        return [source]
    files = dict.fromkeys(path for pattern in patterns for path in sorted(source.glob(pattern)))
    if found := [path for path in files if looks_right(opening(path))]:
        return found
    names = list(dict.fromkeys(pattern.rpartition("/")[2] for pattern in patterns))
    return [path for path in files_below(source, names) if looks_right(opening(path))]


def seen(
    what: str, source: Path, looks_right: Callable[[str], bool], files: Sequence[Path]
) -> str | None:
    """In which of some files the opening looks right, in words; `None` if in none."""
    found = [path for path in files if looks_right(opening(path))]
    if not found:
        return None
    first = found[0].name if found[0] == source else found[0].relative_to(source).as_posix()
    return f"{what} in {first}" + (f" and {len(found) - 1} more" if len(found) > 1 else "")


def write_object(path: Path, content: Mapping[str, object]) -> None:
    """Write a JSON object atomically, and its folder if there is none.

    Args:
        path: The file.
        content: Iterators among the values become arrays with an item a line.

    Raises:
        MlcError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MlcError(f"{path.parent} cannot be made: {error.strerror or error}") from error
    write_atomic(path, lambda temporary: _write_object(temporary, content))


def _write_object(path: Path, content: Mapping[str, object]) -> None:
    with path.open("wb") as stream:
        before = b"{"
        for key, value in content.items():
            stream.write(before + msgspec.json.encode(key) + b": ")
            if isinstance(value, Iterator):
                stream.writelines(_array(value))
            else:
                stream.write(msgspec.json.encode(value))
            before = b",\n"
        stream.write(b"}\n")


def _array(items: Iterator[object]) -> Iterator[bytes]:
    before = b"["
    for item in items:
        yield before + msgspec.json.encode(item)
        before = b",\n"
    yield b"]" if before == b",\n" else b"[]"
