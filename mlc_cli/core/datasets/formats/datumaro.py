"""Datumaro JSON: `annotations/<subset>.json`, images in `images/<subset>/`.

{"categories": {"label": {"labels": [{"name": "dog"}]}},
 "items": [{"id": "a", "annotations": [{"type": "label", "label_id": 0}],
            "image": {"path": "a.jpg"}}]}

Anything that has a label counts as one: boxes, masks, points.
"""

import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.json_files import FileKind, having, numbered
from mlc_cli.core.datasets.formats.shared.layout import image_prefix, root_of
from mlc_cli.core.datasets.formats.shared.writing import JsonWriter, common_prefix
from mlc_cli.core.system.issues import IssueLog

_FILES = FileKind(
    "categories and items",
    having(r'"categories"\s*:\s*\{', r'"dm_format_version"|"items"\s*:\s*\['),
    'A Datumaro file has "categories" with the "labels" of "label", and a list "items".',
    ("annotations/*.json", "*.json"),
)


class _Name(Struct):
    name: str


class _Labels(Struct):
    labels: list[_Name]


class _Categories(Struct):
    label: _Labels | None = None


class _Object(Struct, gc=False):
    label_id: Any = None


class _Image(Struct, gc=False):
    path: str | None = None


class _Item(Struct):
    id: str | int | None = None
    annotations: list[_Object] = field(default_factory=list)
    image: _Image | None = None


class _Content(Struct):
    categories: _Categories
    items: list[_Item]

    def names(self) -> list[str]:
        """Names of the classes by number."""
        own = self.categories.label
        return [label.name for label in own.labels] if own else []


def _read(source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open a file, or all of a folder; the name of a file is its split."""
    contents = _FILES.load_all(source, _Content, dropped, "items")
    root = images or root_of(source)
    classes = dict.fromkeys(name for own in contents.values() for name in own.names())
    return Source(root, _samples(contents, root, dropped), list(classes))


def _samples(contents: Mapping[Path, _Content], root: Path, dropped: IssueLog) -> Iterator[Sample]:
    for file, content in contents.items():
        split = "" if file.stem == "default" else file.stem
        names = content.names()
        items = [(item, _path(item)) for item in content.items]
        prefix = image_prefix(root, split or "default", (path for _, path in items if path))
        for item, path in items:
            if path:
                numbers = [own.label_id for own in item.annotations]
                labels = numbered(numbers, names, f"{file.name}: {item.id!r:.80}", dropped)
                yield Sample(posixpath.join(prefix, path), labels, (), split)
            else:
                dropped.add("items without an image", f"{file.name}: {item.id!r:.80}")


def _path(item: _Item) -> str:
    """Path of an image; one that is not told is that of the item, as Datumaro has it."""
    if item.image is None:
        return ""
    if item.image.path:
        return item.image.path.replace("\\", "/")
    return "" if item.id is None else f"{item.id}.jpg"


def _content(annotation: Annotation, _folder: Path, split: str) -> dict[str, object]:
    labels = [{"name": name, "parent": "", "attributes": []} for name in annotation.class_names]
    return {
        "dm_format_version": "1.0",
        "media_type": 2,  # images
        "infos": {},
        "categories": {"label": {"labels": labels, "label_groups": [], "attributes": []}},
        "items": _items(annotation, common_prefix(annotation, split)),
    }


def _items(annotation: Annotation, prefix: str) -> Iterator[dict[str, object]]:
    taken: set[str] = set()
    for image, path in enumerate(annotation.paths):
        name = path.removeprefix(prefix)
        stem = posixpath.splitext(name)[0]
        identity = name if stem in taken else stem
        taken.add(identity)
        yield {
            "id": identity,
            "annotations": [
                {"id": 0, "type": "label", "attributes": {}, "group": 0, "label_id": label}
                for label in annotation.positives.of(image).tolist()
            ],
            "image": {"path": name},
        }


DATUMARO_WRITER = JsonWriter("datumaro", "annotations/{}.json", _content)


DATUMARO_READER = Reader("datumaro", "Datumaro JSON", _FILES.seen, _read)
