"""Label Studio: its exports JSON, JSON-MIN, CSV and TSV, and the files of its target storage.

    [{"data": {"image": "/data/upload/1/0a1b2c3d-a.jpg"}, "annotations": [{"was_cancelled": false,
      "result": [{"type": "choices", "value": {"choices": ["dog"]}}]}]}]

    [{"image": "/data/upload/1/0a1b2c3d-a.jpg", "animals": {"choices": ["dog", "cat"]}}]

    {"result": [...], "task": {"data": {"image": ...}}}      a file for each annotation, or task

A task may have several annotations, of different people: a label of any of them counts. A task
without any says nothing: all its states are unknown. A path that is chosen in a taxonomy, such as
`["animals", "dog"]`, is the label `animals / dog`; it implies `animals` if that is a label, too.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.images import is_image
from mlc_cli.core.datasets.formats.shared.json_files import FileKind, load, opening
from mlc_cli.core.datasets.formats.shared.lines import csv_rows
from mlc_cli.core.datasets.formats.shared.naming import ImageNames
from mlc_cli.core.datasets.rules import Rules
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

_TASKS = re.compile(r'\s*\[\s*\{.*?"(?:annotations|completions)"\s*:\s*\[', re.DOTALL)
_ROWS = re.compile(r'\s*\[\s*\{.*?"annotation_id"\s*:', re.DOTALL)
_TABLE = re.compile(r"(?=[^\n]*\bannotation_id\b)[^\n]*\b(?:annotator|lead_time)\b[^\n]*\n")
_ONE = re.compile(r'(?=.*"data"\s*:\s*\{)\s*\{.*?"(?:result|annotations)"\s*:\s*\[', re.DOTALL)
_TABLES = (".csv", ".tsv")
_FILES = FileKind(
    "tasks",
    lambda opening: any(own.match(opening) for own in (_TASKS, _ROWS, _TABLE, _ONE)),
    "Label Studio exports it as JSON, JSON-MIN, CSV or TSV.",
    ("*.json", "*.csv", "*.tsv", "[0-9]*[0-9]", "[0-9]"),
)
_CHOICES = ("choices", "taxonomy")
_BOOKKEEPING = {
    "id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"
}  # fmt: skip


class _Task(NamedTuple):
    """An image, and its labels in one annotation or in all; `None` if there is no annotation."""

    image: str
    labels: list[str] | None


class _Place(NamedTuple):
    """An entry of a file, and where to count what it has in vain."""

    file: Path
    number: int
    dropped: IssueLog

    def drop(self, kind: str, what: object = "") -> None:
        self.dropped.add(kind, f"{self.file.name}, entry {self.number}: {what!r:.80}")


def _open(source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open an export, or all of a folder, with the images at any depth."""
    tasks = [task for file in _FILES.existing(source) for task in _read(file, dropped)]
    root = images or (source if source.is_dir() else source.parent)
    samples = _samples(tasks, ImageNames(root, dropped), dropped)
    return Source(root, samples, scattered=True, rules=Rules(separator=" / "))


def _samples(tasks: Sequence[_Task], finder: ImageNames, dropped: IssueLog) -> Iterator[Sample]:
    classes = sorted({label for task in tasks for label in task.labels or ()})
    found = [(finder.find(task.image), task.labels) for task in tasks]
    labelled = {path for path, labels in found if labels is not None}
    for path, labels in found:
        if path is not None and labels is not None:
            yield Sample(path, labels)
        elif path is not None and path not in labelled:
            dropped.add("tasks that are not labelled (all their states are unknown)", path)
            yield Sample(path, (), classes)


def _read(file: Path, dropped: IssueLog) -> list[_Task]:
    entries = _read_table(file) if file.suffix.lower() in _TABLES else _load(file)
    nested = any(
        isinstance(entry, dict) and isinstance(entry.get("data"), dict) for entry in entries
    )
    columns = [] if nested else _label_columns(file, entries, dropped)
    tasks = []
    for number, entry in enumerate(entries):
        place = _Place(file, number, dropped)
        fields = entry.get("data") if nested and isinstance(entry, dict) else entry
        if not isinstance(fields, dict):
            place.drop("entries that are not tasks", entry)
            continue
        image = _image({key: field for key, field in fields.items() if key not in columns})
        if image is None:
            place.drop("tasks that do not have one image", fields)
            continue
        labels = _labels_of_task(entry, place) if nested else _labels_of_row(entry, columns, place)
        tasks.append(_Task(image, labels))
    return tasks


def _load(file: Path) -> list[Any]:
    """Entries of a file of JSON; one alone is a task, or an annotation with its task."""
    shape: Any = list[Any] | dict[str, Any]
    match load(file, shape, _FILES.hint):
        case {"result": list(), "task": {"data": dict(fields)}} as annotation:
            return [{"data": fields, "annotations": [annotation]}]
        case dict(task):
            return [task]
        case entries:
            return list(entries)


def _read_table(file: Path) -> list[dict[str, Any]]:
    """Rows without their empty cells; cells of JSON are read."""
    rows = csv_rows(file, "\t" if "\t" in opening(file).partition("\n")[0] else ",")
    header = next(rows, (1, []))[1]
    cells = []
    for number, row in rows:
        if len(row) > len(header):
            raise DataError(f"{file}: line {number}: has more cells than columns", _FILES.hint)
        cells.append({key: _cell(cell) for key, cell in zip(header, row, strict=False) if cell})
    return [row for row in cells if row]


def _cell(cell: str) -> Any:
    if cell[0] in "[{":
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            pass
    return cell


def _image(fields: Mapping[str, Any]) -> str | None:
    """The field called image, or the only one with the name of an image file."""
    named = fields.get("image")
    if isinstance(named, str) and named:
        return named
    images = [
        own for own in fields.values() if isinstance(own, str) and is_image(own.partition("?")[0])
    ]
    return images[0] if len(images) == 1 else None


def _labels_of_task(task: Mapping[str, Any], place: _Place) -> list[str] | None:
    """Labels in all annotations that were not cancelled; `None` if there are none."""
    labels, annotated = list[str](), False
    annotations = task.get("annotations", task.get("completions"))
    for annotation in annotations if isinstance(annotations, list) else ():
        match annotation:
            case {"was_cancelled": cancelled} if cancelled:
                place.drop("annotations that were cancelled", annotation.get("id"))
            case {"result": list(results)}:
                annotated = True
                labels += (label for result in results for label in _labels_of(result, place))
            case _:
                place.drop("annotations without a result", annotation)
    return labels if annotated else None


def _labels_of(result: Any, place: _Place) -> list[str]:
    match result:
        case {"type": str(kind), "value": dict(value)} if "labels" in kind or kind in _CHOICES:
            return _labels(value, place)
    place.drop("results that are not labels", result)
    return []


def _labels(value: Any, place: _Place) -> list[str]:
    """A name, choices, paths of a taxonomy, the labels of a region, or a list of these."""
    match value:
        case str(name):
            return [name]
        case list(parts):
            return [label for part in parts for label in _labels(part, place)]
        case {"taxonomy": paths}:  # a label for each
            listed = paths if isinstance(paths, list) else [paths]
            parts = [_names(path or None, place) for path in listed]
            return [" / ".join(names) for names in parts if names]
        case dict():
            found = [own for key, own in value.items() if key == "choices" or "labels" in key]
            if len(found) == 1:
                return _names(found[0], place)
    place.drop("results that are not labels", value)
    return []


def _names(names: Any, place: _Place) -> list[str]:
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return names
    place.drop("results that are not labels", names)
    return []


def _label_columns(file: Path, rows: Sequence[Any], dropped: IssueLog) -> list[str]:
    """Columns that have labels.

    JSON-MIN writes them between the number of the task and the annotator. A table sorts its
    columns, and a single choice is as bare as any other text: there a column is known by a cell
    of JSON, or by being the only one of text.
    """
    fields = [row for row in rows if isinstance(row, dict)]
    if file.suffix.lower() not in _TABLES:
        return list(dict.fromkeys(key for row in fields for key in _keys_of_results(row)))
    texts: dict[str, bool] = {}
    for row in fields:
        image = _image(row)
        for key, field in row.items():
            if key not in _BOOKKEEPING and field != image:
                texts[key] = texts.get(key, True) and isinstance(field, str)
    open_ones = [key for key, text in texts.items() if text]
    certain = [key for key, text in texts.items() if not text]
    if not certain and len(open_ones) > 1:
        raise DataError(
            f"{file}: which column has the labels is not clear: {', '.join(open_ones)}",
            "Export it as JSON, which tells labels from other text.",
        )
    for key in open_ones if certain else ():
        dropped.add("columns of text that are not taken for labels", f"{file.name}: {key:.80}")
    return certain or open_ones


def _keys_of_results(row: Mapping[str, Any]) -> list[str]:
    keys = list(row)
    first = keys.index("id") + 1 if "id" in row else 0
    last = keys.index("annotator") if "annotator" in row else len(keys)
    image = _image(row)
    return [key for key in keys[first:last] if key not in _BOOKKEEPING and row[key] != image]


def _labels_of_row(
    row: Mapping[str, Any], columns: Sequence[str], place: _Place
) -> list[str] | None:
    """Labels in all columns; `None` if the row is of a task without an annotation."""
    values = [row[key] for key in columns if row.get(key) is not None]
    labels = [label for value in values for label in _labels(value, place)]
    return labels if labels or row.get("annotation_id") is not None else None


LABEL_STUDIO_READER = Reader("label-studio", "Label Studio", _FILES.seen, _open)
