"""JSON of other tools: read fast, with types that are checked and messages that say where."""

import codecs
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from mlc_cli.core.datasets.annotations import Label
from mlc_cli.core.datasets.formats.shared.lines import files_below, is_file
from mlc_cli.core.system.files import read_bytes, read_json
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

Id = int | float | str | None
"""What tools use as identifiers."""

OPENING = 2**20
Shape = TypeVar("Shape")
_STATES = {"0", "1", "0.0", "1.0", "0.", "1."}
STATES_REMARK = "lists of 0 and 1 are states of classes, which are called by their place"
_WHOLE = re.compile(r"(0|-?[1-9][0-9]{0,17})(?:\.0+)?")


def id_key(value: Any) -> Id:
    """An identifier for comparing: `7`, `7.0`, `"7"` and `"7.0"` are 7; `"007"` is text.

    What can be none, such as a list, is `None`.
    """
    if type(value) is float:
        return int(value) if value.is_integer() else value
    if type(value) is str:
        text = value.strip()
        return int(match[1]) if (match := _WHOLE.fullmatch(text)) else text
    return value if type(value) is int else None


def load(
    path: Path,
    shape: type[Shape],
    hint: str = "",
    dropped: IssueLog | None = None,
    *entries: str,
) -> Shape:
    """Content of a JSON file; what the shape does not name is skipped without being built.

    With a log, values of another type are dropped into it: fields that can be missing, else the
    entry that they are in. Where `entries` names fields of the content, only in these: a list of
    classes has to keep its numbers.

    Raises:
        DataError: The file cannot be read, is not JSON, or has another shape; says where.
    """
    try:
        return msgspec.json.decode(read_bytes(path).removeprefix(codecs.BOM_UTF8), type=shape)
    except msgspec.ValidationError as error:
        if dropped is None:
            raise DataError(f"{path}: {error}", hint) from None
        content = read_json(path)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The standard library takes NaN, as some tools write it, and names line and column.
        content = read_json(path)
    try:
        return msgspec.convert(content, shape)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half a surrogate pair
        fault = DataError(f"{path}: {error}", hint)
    if dropped is not None:
        with suppress(msgspec.ValidationError, UnicodeEncodeError):
            return _sound(content, shape, path.name, dropped, entries)  # type: ignore[no-any-return]
    raise fault


def _sound(
    value: Any, shape: Any, where: str, dropped: IssueLog, entries: Sequence[str] = ()
) -> Any:
    """A value in its shape, without what inside (in some fields only) is of another type.

    Raises:
        ValidationError: Nothing is left of it.
    """
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        fault = msgspec.ValidationError(f"{where}: {error}")
    shape = next((own for own in get_args(shape) if get_origin(own) is type(value)), shape)
    parts, kept = _parts(value, shape), {}
    for key, (own, kind) in parts.items():
        if entries:
            inside = key in entries
            kept[key] = _sound(own, kind, f"{where}, {key}", dropped) if inside else own
            continue
        try:
            kept[key] = _sound(own, kind, f"{where}, {key}", dropped)
        except msgspec.ValidationError as error:
            holds_more = any(get_origin(one) in (list, dict) for one in (kind, *get_args(kind)))
            if holds_more and own is not None:  # without its labels an entry would be a negative
                raise
            dropped.add("values of another type", str(error))
    if not parts or (get_origin(shape) and not kept):
        raise fault
    plain = msgspec.to_builtins([*kept.values()] if isinstance(value, list) else kept)
    try:
        return msgspec.convert(plain, shape)
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(f"{where}: {error}") from None


def _parts(value: Any, shape: Any) -> dict[Any, tuple[Any, Any]]:
    """Elements or fields of a value that has the outer type of a shape, each with its own shape."""
    if isinstance(value, list) and get_origin(shape) is list:
        return {number: (own, *get_args(shape)) for number, own in enumerate(value)}
    if isinstance(value, dict) and get_origin(shape) is dict:
        return {key: (own, get_args(shape)[1]) for key, own in value.items()}
    if not isinstance(value, dict) or not hasattr(shape, "__struct_fields__"):
        return {}
    fields = {own.encode_name: own.type for own in msgspec.structs.fields(shape)}
    return {key: (value[key], fields[key]) for key in fields if key in value}


def opening(path: Path) -> str:
    """The first MiB of a file as text, for a glance; empty if it cannot be read."""
    if not is_file(path):
        return ""
    try:
        with path.open("rb") as stream:
            return stream.read(OPENING).decode("utf-8-sig", errors="replace")
    except (OSError, ValueError):
        return ""


def numbered(
    numbers: Iterable[Any], names: Sequence[Label] | None, where: str, dropped: IssueLog
) -> list[Label]:
    """Classes by their numbers, or the numbers where there are no names; others are dropped."""
    labels: list[Label] = []
    for given in numbers:
        number = id_key(given)
        if type(number) is int and number >= 0 and (names is None or number < len(names)):
            labels.append(number if names is None else names[number])
        else:
            dropped.add("labels that are not the number of a class", f"{where}: {given!r:.80}")
    return labels


def are_states(lists: Sequence[Sequence[Any]]) -> bool:
    """Whether lists have 0 or 1 for each class: they are of one length, and have nothing else."""
    values = {str(value) for own in lists for value in own}
    return len(lists) > 1 < len(lists[0]) and len({*map(len, lists)}) == 1 and values <= _STATES


def present_in(states: Sequence[Any]) -> list[int]:
    """Places of 1 in a list of 0 and 1."""
    return [place for place, state in enumerate(states) if float(state) == 1]


def having(*patterns: str) -> Callable[[str], bool]:
    """Whether a text has a match of each pattern."""
    compiled = [re.compile(pattern) for pattern in patterns]
    return lambda text: all(pattern.search(text) for pattern in compiled)


@dataclass(frozen=True)
class FileKind:
    """Annotation files of a format, known by how they begin.

    Attributes:
        what: What is in them, for people.
        fits: Whether a file of this kind can begin so.
        hint: What they look like.
        patterns: Where they are in a folder.
        layouts: Patterns of which the first that has files finds all, however these begin.
    """

    what: str
    fits: Callable[[str], bool]
    hint: str
    patterns: Sequence[str] = ("*.json",)
    layouts: Sequence[str] = ()

    def find(self, source: Path) -> list[Path]:
        """The source itself, or the files in a folder that fit.

        Where no file does that the patterns name, those of the same suffixes one folder below
        count, and two below if there are none either.
        """
        if not source.is_dir():
            return [source]
        for layout in self.layouts:
            if found := sorted(filter(is_file, source.glob(layout))):
                return found
        files = dict.fromkeys(path for own in self.patterns for path in sorted(source.glob(own)))
        if found := self._fitting(files):
            return found
        names = list(dict.fromkeys(pattern.rpartition("/")[2] for pattern in self.patterns))
        return self._fitting(files_below(source, names))

    def _fitting(self, files: Iterable[Path]) -> list[Path]:
        return [path for path in files if self.fits(opening(path))]

    def existing(self, source: Path) -> list[Path]:
        """The files that `find` finds.

        Raises:
            DataError: There are none.
        """
        if files := self.find(source):
            return files
        raise DataError(f"{source}: no file has {self.what}", self.hint)

    def load_all(
        self, source: Path, shape: type[Shape], dropped: IssueLog | None = None, *entries: str
    ) -> dict[Path, Shape]:
        """Content of each file that `find` finds, as `load` reads it."""
        files = self.existing(source)
        return {file: load(file, shape, self.hint, dropped, *entries) for file in files}

    def seen(self, source: Path) -> str | None:
        """In which files of a place it is, in words; `None` if in none."""
        found = self._fitting(self.find(source))
        if not found:
            return None
        first = found[0].name if found[0] == source else found[0].relative_to(source).as_posix()
        return f"{self.what} in {first}" + (f" and {len(found) - 1} more" if found[1:] else "")
