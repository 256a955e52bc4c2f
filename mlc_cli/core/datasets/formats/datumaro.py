"""Datumaro JSON: `annotations/<subset>.json`, images in `images/<subset>/`.

{"categories": {"label": {"labels": [{"name": "dog"}]}},
 "items": [{"id": "a", "annotations": [{"type": "label", "label_id": 0}],
            "image": {"path": "a.jpg"}}]}
"""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.formats.base import Sample, Source
from mlc_cli.core.datasets.formats.shared.json_files import find_files, load, seen, write_object
from mlc_cli.core.datasets.formats.shared.layout import common_prefix, image_prefix, root_of
from mlc_cli.core.datasets.formats.shared.losses import numbered_classes, unknown_states
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

_CATEGORIES = re.compile(r'"categories"\s*:\s*\{')
_ITEMS = re.compile(r'"dm_format_version"|"items"\s*:\s*\[')
_PLACES = ("annotations/*.json", "*.json")
_HINT = 'A Datumaro file has "categories" with the "labels" of "label", and a list "items".'


class _Name(Struct):
    name: str


class _Labels(Struct):
    labels: list[_Name]


class _Categories(Struct):
    label: _Labels | None = None


class _Object(Struct, gc=False):
    type: str | None = None
    label_id: int | None = None


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
        return (
            [label.name for label in self.categories.label.labels] if self.categories.label else []
        )


class DatumaroReader:
    """Reads Datumaro JSON; anything that has a label counts as one: boxes, masks, points."""

    name = "datumaro"
    title = "Datumaro JSON"

    def detect(self, source: Path) -> str | None:
        """Which files list categories and items."""
        files = find_files(source, _looks_right, _PLACES)
        return seen("categories and items", source, _looks_right, files)

    def read(self, source: Path, images: Path | None, dropped: IssueLog) -> Source:
        """Open a file, or all of a folder; the name of a file is its split.

        Args:
            source: File or folder.
            images: Folder of the images; by default looked for beside the annotations.
            dropped: Takes items without an image, and annotations without a class.

        Raises:
            DataError: There is no such file, or it has another shape.
        """
        files = find_files(source, _looks_right, _PLACES)
        if not files:
            raise DataError(f"{source}: has no Datumaro annotations", _HINT)
        contents = {file: load(file, _Content, _HINT) for file in files}
        root = images or root_of(source)
        return Source(
            image_root=root,
            samples=_samples(contents, root, dropped),
            classes=list(
                dict.fromkeys(name for part in contents.values() for name in part.names())
            ),
        )


def _looks_right(opening: str) -> bool:
    return bool(_CATEGORIES.search(opening) and _ITEMS.search(opening))


def _samples(contents: Mapping[Path, _Content], root: Path, dropped: IssueLog) -> Iterator[Sample]:
    for file, content in contents.items():
        split = "" if file.stem == "default" else file.stem
        names = content.names()
        items = [(item, _path(item)) for item in content.items]
        prefix = image_prefix(root, split or "default", (path for _, path in items if path))
        for item, path in items:
            if path:
                labels = _labels(item, names, file, dropped)
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


def _labels(item: _Item, names: Sequence[str], file: Path, dropped: IssueLog) -> list[str]:
    labels = []
    for annotation in item.annotations:
        label = annotation.label_id
        if label is not None and 0 <= label < len(names):
            labels.append(names[label])
        else:
            what = f"{file.name}: {item.id!r:.80}, {annotation.type} with label_id {label}"
            dropped.add("annotations without a class, or with one that is not listed", what)
    return labels


class DatumaroWriter:
    """Writes `annotations/<split>.json`."""

    name = "datumaro"

    def losses(self, splits: Mapping[str, Annotation]) -> list[str]:
        """Unknown states, and classes that are numbers."""
        return [*unknown_states(splits), *numbered_classes(splits)]

    def write(self, splits: Mapping[str, Annotation], folder: Path) -> list[Path]:
        """Write a file for each split; paths start at `images/<split>/` if all images are there.

        Raises:
            MlcError: A file cannot be written.
        """
        files = []
        for split, annotation in splits.items():
            files.append(folder / "annotations" / f"{split}.json")
            write_object(files[-1], _content(annotation, common_prefix(annotation, split)))
        return files


def _content(annotation: Annotation, prefix: str) -> dict[str, object]:
    labels = [{"name": name, "parent": "", "attributes": []} for name in annotation.class_names]
    return {
        "dm_format_version": "1.0",
        "media_type": 2,  # images
        "infos": {},
        "categories": {"label": {"labels": labels, "label_groups": [], "attributes": []}},
        "items": _items(annotation, prefix),
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
