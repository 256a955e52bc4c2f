"""JSON of images: Hugging Face's `metadata.jsonl`, manifests of SageMaker Ground Truth, and plain.

    {"file_name": "a.jpg", "labels": ["cat", "dog"]}      or "objects": {"categories": ["cat"]}
    [{"file_name": "a.jpg", "labels": [3, 7]}, ...]       all in one array, as ML-GCN has it
    {"a.jpg": ["cat", "dog"], "b.jpg": []}                the labels of each image

    {"source-ref": "s3://b/a.jpg", "kinds": [0, 3],
     "kinds-metadata": {"class-map": {"0": "cat", "3": "dog"}}}

A file in a folder that is called as a split is of that split, as is one that is called so itself.
Without names of classes their numbers are the names. In place of `file_name` another key may be
called after images, such as `image` or `path`.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mlc_cli.core.datasets.annotations import Label
from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.column_names import called_image, called_labels
from mlc_cli.core.datasets.formats.shared.images import is_image
from mlc_cli.core.datasets.formats.shared.json_files import (
    STATES_REMARK,
    FileKind,
    are_states,
    load,
    opening,
    present_in,
)
from mlc_cli.core.datasets.formats.shared.layout import split_of, unsplit
from mlc_cli.core.datasets.formats.shared.lines import text_lines
from mlc_cli.core.datasets.formats.shared.naming import ImageNames, relative_prefix
from mlc_cli.core.datasets.formats.shared.references import is_address
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError
from mlc_cli.text import some

_IMAGE, _ADDRESS, _META = "file_name", "source-ref", "-metadata"
_FILE = r"[^\"\n]*\.(?:jpe?g|png|bmp|webp|tiff?)\""
_CALLED = r'(?:file_name"|\w{0,40}(?:image|img|file|path|photo|picture)\w{0,40}"\s*:\s*"'
_ARRAY = re.compile(
    rf'\s*\[\s*\{{(?=[^{{}}]*"{_CALLED}{_FILE}))(?![^{{}}]*"annotation_id")'
    r'[^{}]*"(?:labels?|tags|categories|classes)"\s*:\s*["\[]',
    re.IGNORECASE,
)
_MAP = re.compile(
    rf'\s*\{{\s*(?:"{_FILE}\s*:\s*\[\s*\]\s*,\s*)*"{_FILE}\s*:\s*(?:\[\s*)?"', re.IGNORECASE
)
_TEXTS = ("text", "caption", "prompt", "description")


def _looks_right(opening: str) -> bool:
    if _ARRAY.match(opening) or _MAP.match(opening):
        return True
    first = opening.lstrip().partition("\n")[0]
    try:
        row = msgspec.json.decode(first)
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(row, dict) and bool({_IMAGE, _ADDRESS} & _named(row).keys())


def _named(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose image is under the usual key."""
    if _IMAGE not in row and _ADDRESS not in row:
        for key, value in row.items():
            if called_image(key) and isinstance(value, str) and is_image(value.partition("?")[0]):
                return {_IMAGE: value} | {other: row[other] for other in row if other != key}
    return row


_FILES = FileKind(
    "lines of images",
    _looks_right,
    'A line looks like {"file_name": "a.jpg", "labels": ["cat", "dog"]}.',
    ("*.jsonl", "*.manifest", "*/metadata.jsonl", "*.json"),
)


def _read(source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open a file, or all of a folder, where every line is JSON and a key is of labels."""
    files = _FILES.existing(source)
    root = images or (source if source.is_dir() else source.parent)
    rows = {file: list(_rows(file)) for file in files}
    keys = {file: _keys(file, own) for file, own in rows.items()}
    said = {line: None for file in files for line in _take_apart(rows[file], keys[file])}
    unused = [key for file in files for key in _unused(rows[file], keys[file])]
    if unused:
        said[f"keys that are not used: {some([*dict.fromkeys(unused)], 30)}"] = None
    return Source(
        image_root=root,
        samples=_samples(rows, keys, root, images, dropped),
        remarks=(*said,),
        unsplit=unsplit({file: len(own) for file, own in rows.items()}),
    )


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    shape: Any = dict[str, Any]
    head = opening(file)
    if _MAP.match(head):
        labels = load(file, dict[str, Any], _FILES.hint)
        yield from enumerate(({_IMAGE: name, "labels": own} for name, own in labels.items()), 1)
        return
    if _ARRAY.match(head):
        yield from enumerate(map(_named, load(file, list[shape], _FILES.hint)), 1)
        return
    for number, line in text_lines(file):
        try:
            yield number, _named(msgspec.json.decode(line, type=shape))
        except (msgspec.DecodeError, RecursionError) as error:
            raise DataError(
                f"{file}, line {number}: is not a JSON object: {error}", _FILES.hint
            ) from None


def _samples(
    rows: Mapping[Path, list[tuple[int, dict[str, Any]]]],
    keys: Mapping[Path, list[str]],
    root: Path,
    images: Path | None,
    dropped: IssueLog,
) -> Iterator[Sample]:
    finder = ImageNames(root, dropped)
    classes: dict[Label, None] = {}
    blank: list[tuple[str, str, str]] = []
    for file, own in rows.items():
        prefix = "" if images else relative_prefix(file.parent, root)
        for number, row in own:
            name = row.get(_IMAGE) or row.get(_ADDRESS)
            if not isinstance(name, str):
                dropped.add("lines without an image", f"{file}, line {number}")
                continue
            path = finder.find(name) if is_address(name) else posixpath.join(prefix, name)
            if path is not None:
                where = f"{file}, line {number}"
                labels = [one for key in keys[file] for one in _labels(row, key, where, dropped)]
                if all(row.get(key) is None for key in keys[file]):
                    blank.append((path, split_of(file), where))
                    continue
                classes |= dict.fromkeys(labels)
                yield Sample(path, labels, (), split_of(file))
    for path, split, where in blank:
        dropped.add("lines without labels (all their states are unknown)", where)
        yield Sample(path, (), [*classes], split)


def _take_apart(rows: list[tuple[int, dict[str, Any]]], keys: Sequence[str]) -> Iterator[str]:
    """Make lists of texts with separators, and of lists of states; say so."""
    for key in keys:
        values = [row[key] for _, row in rows if row.get(key) is not None]
        if values and all(isinstance(value, list) for value in values) and are_states(values):
            yield STATES_REMARK
            for _, row in rows:
                row[key] = None if row.get(key) is None else present_in(row[key])
        elif all(isinstance(value, str) for value in values):
            marks = (mark for mark in "|;," if any(mark in value for value in values))
            if mark := next(marks, ""):
                yield f"separator of labels: {mark}"
                for _, row in rows:
                    value = row.get(key)
                    row[key] = value and [part.strip() for part in value.split(mark)]


def _unused(rows: list[tuple[int, dict[str, Any]]], used: Sequence[str]) -> list[str]:
    """Which keys are not read."""
    known = {_IMAGE, _ADDRESS, *used, *(f"{key}{_META}" for key in used)}
    return [*dict.fromkeys(key for _, row in rows for key in row if key not in known)]


def _keys(file: Path, rows: list[tuple[int, dict[str, Any]]]) -> list[str]:
    """Keys of labels: those with metadata, those called so, `objects`, or the only one."""
    keys = dict.fromkeys(key for _, row in rows for key in row)
    every = [key for key in keys if key not in (_IMAGE, _ADDRESS)]
    described = [key for key in every if f"{key}{_META}" in every]
    called = [key for key in every if called_labels(key) or key == "objects"]
    others = [key for key in every if key not in _TEXTS]
    found = described or called or (others if len(others) == 1 else [])
    if not found:
        raise DataError(
            f"{file}: no key is called labels, there are {', '.join(every):.200}", _FILES.hint
        )
    return found


def _labels(row: Mapping[str, Any], key: str, where: str, dropped: IssueLog) -> Iterator[Label]:
    value, meta = row.get(key), row.get(f"{key}{_META}")
    names = meta.get("class-map") if isinstance(meta, dict) else None
    if isinstance(meta, dict) and isinstance(meta.get("class-name"), str):
        value = meta["class-name"]
    if isinstance(value, dict) and isinstance(value.get("annotations"), list):
        boxes = value["annotations"]
        value = [box.get("class_id") if isinstance(box, dict) else None for box in boxes]
    elif isinstance(value, dict):
        value = _called(value)
    values = value if isinstance(value, list) else [value]
    for item in (_called(one) if isinstance(one, dict) else one for one in values):
        label = names.get(str(item), item) if isinstance(names, dict) else item
        if isinstance(label, str | int) and not isinstance(label, bool) and label != "":
            yield label
        elif label is not None and label != "":
            dropped.add("values that are no label", f"{where}, {key:.40}: {label!r:.80}")


def _called(item: Mapping[str, Any]) -> Any:
    """What an object has under a key that is called after labels, or `name`; else the object."""
    found = (own for name, own in item.items() if called_labels(name))
    return next(found, item.get("name", item))


JSONL_READER = Reader("jsonl", "JSON lines", _FILES.seen, _read)
