"""Our own annotation files, one for each split.

{"classes": ["cat", "dog"], "images": [["a.jpg", ["cat"]], ["b.jpg", [], ["dog"]]]}
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path

from mlc_cli.core.datasets.annotations import (
    NO_ENTRY,
    Annotation,
    Content,
    Label,
    entries,
    read_content,
    sorted_classes,
)
from mlc_cli.core.datasets.columns import read_columns
from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.json_files import FileKind, having
from mlc_cli.core.datasets.formats.shared.naming import relative
from mlc_cli.core.datasets.formats.shared.writing import JsonWriter
from mlc_cli.core.datasets.rules import Rules, read_rules
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

_FILES = FileKind(
    "classes and images",
    having(r'"classes"\s*:\s*\[', r'"images"\s*:\s*\[\s*[\[\]]'),
    'A file looks like {"classes": ["cat", "dog"], "images": [["images/1.jpg", ["dog"]], ...]}.',
)


def _read(source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open a file, or all of a folder; the name of a file is its split, an image may be in two."""
    files = _FILES.existing(source)
    beside = {file: read_columns(file) for file in files}
    contents = {file: read_content(file) for file in files}
    for file, part in contents.items():
        sorted_classes(part.classes, file)
    classes = list(dict.fromkeys(name for part in contents.values() for name in part.classes))
    sparse = all(part.unlisted == "unknown" for part in contents.values())
    return Source(
        image_root=images or _image_root(contents),
        samples=_samples(contents, classes, dropped, sparse=sparse),
        classes=classes,
        unlisted="unknown" if sparse else "absent",
        cells={path: own for part in beside.values() for path, own in part.images.items()},
        group=next((part.group for part in beside.values() if part.group), ""),
        rules=reduce(
            Rules.joined,
            (read_rules(file, own.rules, own.classes) for file, own in contents.items()),
        ),
    )


def _image_root(contents: Mapping[Path, Content]) -> Path:
    roots = {file.parent / content.image_root: file for file, content in contents.items()}
    if len(roots) > 1:
        lines = [f"  {root}, says {file.name}" for root, file in roots.items()]
        raise DataError(
            "images of one data set must be below one folder, but are in\n" + "\n".join(lines),
            "Read one file at a time, or name the folder with --images.",
        )
    return next(iter(roots))


def _samples(
    contents: Mapping[Path, Content], classes: Sequence[Label], dropped: IssueLog, *, sparse: bool
) -> Iterator[Sample]:
    for file, content in contents.items():
        where = f"{file.name}, "
        for number, path, labels, others in entries(content.images, dropped, where):
            listed = [*labels, *others]
            if not all(type(label) in (str, int) for label in listed):
                dropped.add(NO_ENTRY, f"{where}entry {number}: {path:.40} {listed!r:.80}")
                continue
            if content.unlisted == "unknown" and not sparse:
                listed = [name for name in classes if name not in listed]
            else:
                listed = others
            yield Sample(path, labels, listed, file.stem)


def _content(annotation: Annotation, folder: Path, _split: str) -> dict[str, object]:
    content: dict[str, object] = {"classes": annotation.classes}
    if annotation.unlisted == "unknown":
        content["unlisted"] = "unknown"
    if annotation.rules:
        content["rules"] = annotation.rules.written()
    root = relative(annotation.folder, folder)
    if root != ".":
        content["image_root"] = root
    return content | {"images": _entries(annotation)}


def _entries(annotation: Annotation) -> Iterator[list[object]]:
    classes = annotation.classes
    for image, path in enumerate(annotation.paths):
        labels = [classes[label] for label in annotation.positives.of(image)]
        others = [classes[label] for label in annotation.others.of(image)]
        yield [path, labels, others] if others else [path, labels]


MLC_WRITER = JsonWriter("mlc", "{}.json", _content, plain=False)


MLC_READER = Reader("mlc", "annotation files of mlc", _FILES.seen, _read)
