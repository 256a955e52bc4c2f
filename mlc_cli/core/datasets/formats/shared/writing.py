"""What several formats share when they are written."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import msgspec

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.formats.shared.naming import relative
from mlc_cli.core.system.files import write_atomic
from mlc_cli.errors import DataError, MlcError


@dataclass(frozen=True)
class JsonWriter:
    """Writes a JSON file for each split.

    Attributes:
        name: Of the format.
        place: Of the file of a split: `annotations/{}.json`.
        content: What is in a file, from an annotation and the folder of the result.
        plain: Whether unknown states, and classes that are numbers, are lost.
    """

    name: str
    place: str
    content: Callable[[Annotation, Path, str], Mapping[str, object]]
    plain: bool = True

    def losses(self, splits: Mapping[str, Annotation]) -> list[str]:
        """Unknown states, and classes that are numbers."""
        return [*unknown_states(splits), *numbered_classes(splits)] if self.plain else []

    def write(self, splits: Mapping[str, Annotation], folder: Path) -> list[Path]:
        """Write the files."""
        files = {split: folder / self.place.format(split) for split in splits}
        for split, file in files.items():
            write_object(file, self.content(splits[split], folder, split))
        return list(files.values())


def unknown_states(splits: Mapping[str, Annotation]) -> list[str]:
    """One reason for each split that has labels whose state is unknown."""
    counts = {name: int(split.unknown_C().sum()) for name, split in splits.items()}
    return [
        f"{name}: {count} labels are unknown, and would become absent"
        for name, count in counts.items()
        if count
    ]


def numbered_classes(splits: Mapping[str, Annotation]) -> list[str]:
    """A reason if classes are integers, which would come back as text, in another order."""
    if all(isinstance(label, str) for split in splits.values() for label in split.classes):
        return []
    return ["classes are integers, and would become text, which sorts in another order"]


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


def check_below(splits: Mapping[str, Annotation], folder: Path) -> None:
    """Refuse images outside of a folder, whose paths a reader would refuse.

    Raises:
        DataError: They are elsewhere.
    """
    for annotation in splits.values():
        if not annotation.folder.resolve().is_relative_to(folder.resolve()):
            raise DataError(
                f"the images are in {annotation.folder}, outside of the result: paths in a table"
                " would lead out of its folder",
                "Put them there with --link hardlink or --link copy, or choose a DEST that has them"
                " below it.",
            )


def exported_paths(annotation: Annotation, folder: Path) -> Iterator[str]:
    """Image paths as a file in `folder` has to name them, with forward slashes."""
    prefix = relative(annotation.folder, folder)
    if prefix == ".":
        return iter(annotation.paths)
    return (path if path.startswith("/") else f"{prefix}/{path}" for path in annotation.paths)


def common_prefix(annotation: Annotation, split: str) -> str:
    """`images/<split>/` if all images are below it, as some formats expect them; else empty."""
    prefix = f"images/{split}/"
    return prefix if all(path.startswith(prefix) for path in annotation.paths) else ""


def write_object(path: Path, content: Mapping[str, object]) -> None:
    """Write a JSON object atomically, and its folder if there is none.

    Iterators among the values become arrays with an item a line.

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


def write_rows(path: Path, *parts: Iterable[Sequence[str]]) -> None:
    """Write rows to a CSV file atomically.

    Raises:
        MlcError: The file cannot be written.
    """

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows(chain(*parts))

    write_atomic(path, write)
