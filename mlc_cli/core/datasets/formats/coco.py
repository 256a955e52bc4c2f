"""COCO: objects, or just labels, of images that are known by number.

    {"images": [{"id": 7, "file_name": "a.jpg"}], "categories": [{"id": 18, "name": "dog"}],
     "annotations": [{"image_id": 7, "category_id": 18, "area": 702.1, "iscrowd": 0}]}

Read are the official layout, panoptic segments, the layout of Roboflow, and the
`labels_<split>.json` of Datumaro, in which annotations have no boxes. That is what is written: it
says no more than is known.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.json_files import FileKind, Id, id_key, load
from mlc_cli.core.datasets.formats.shared.layout import image_prefix, root_of, split_of, unsplit
from mlc_cli.core.datasets.formats.shared.naming import ImageNames
from mlc_cli.core.datasets.formats.shared.references import is_address
from mlc_cli.core.datasets.formats.shared.writing import JsonWriter, common_prefix
from mlc_cli.core.system.issues import IssueLog

_IMAGES = re.compile(r'"images"\s*:\s*\[\s*[{\]]')
_OTHERS = re.compile(r'"(?:(?:scene|attribute)_id_map|labelId)"\s*:')
"""Keys of WIDER Attribute and of iMaterialist, whose files have a list of images, too."""
_ENTRY = "{0}, entry {1}: image {2.image_id!r}, category {2.category_id!r}"
_OBJECTS = re.compile(r'"annotations"\s*:\s*\[\s*\{')


def _looks_right(opening: str) -> bool:
    objects = _OBJECTS.search(opening) and '"image_id"' in opening
    right = opening.lstrip().startswith("{") and (_IMAGES.search(opening) or objects)
    return bool(right and not _OTHERS.search(opening))


Drops = tuple[bool, float]
"""Whether objects of crowds are dropped, and below how many square pixels."""

_FILES = FileKind(
    "images and annotations",
    _looks_right,
    'A COCO file has the lists "images", "categories" and "annotations"; files of captions have no'
    " categories, those of unlabelled images no annotations: name the other files, such as"
    " instances_*.json.",
    ("*.json", "annotations/*.json"),
    ("*/_annotations.coco.json", "annotations/instances_*.json", "annotations/labels_*.json",
     "instances_*.json"),
)  # fmt: skip


class _Image(Struct, gc=False):
    id: Any = None
    file_name: Any = None
    coco_url: Any = None
    neg_category_ids: Any = None


class _Category(Struct, gc=False):
    id: Any = None
    name: Any = None
    supercategory: Any = None


class _Segment(Struct, gc=False):
    category_id: Any = None
    iscrowd: Any = None
    area: Any = None


class _Object(_Segment, gc=False):
    image_id: Any = None
    segments_info: list[_Segment] | None = None


class _Content(Struct):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Object]


class _Part(Struct):
    """One file, with the names of its categories by their numbers."""

    file: Path
    content: _Content
    names: dict[Id, str]


def coco_reader(crowd: Literal["keep", "drop"] = "keep", min_area: float = 0) -> Reader:
    """Reads COCO; an object of a category makes that a label of the image."""
    return Reader("coco", "COCO", _FILES.seen, partial(_read, (crowd == "drop", min_area)))


def _read(drops: Drops, source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open a file, or those of a folder that are of one layout."""
    contents = {file: _load(file, dropped) for file in _FILES.existing(source)}
    with_zero = [c for c in contents.values() if any(own.id == 0 for own in c.categories)]
    zero_used = any(item.category_id == 0 for c in with_zero for item in c.annotations)
    parts = [
        _Part(file, content, _names(file, content, dropped, zero_used=zero_used))
        for file, content in contents.items()
    ]
    root = images or root_of(source)
    return Source(
        image_root=root,
        samples=_samples(parts, root, drops, dropped),
        classes=list(dict.fromkeys(name for part in parts for name in part.names.values())),
        unsplit=unsplit({part.file: len(part.content.images) for part in parts}),
        unlisted="unknown" if any(_states(part) is not None for part in parts) else "absent",
    )


def _samples(
    parts: Sequence[_Part], root: Path, drops: Drops, dropped: IssueLog
) -> Iterator[Sample]:
    finder = ImageNames(root, dropped)
    for part in parts:
        split = split_of(part.file)
        paths = _paths(part, dropped)
        labels = _labels(part, paths, drops, dropped)
        absent = _states(part) or {}
        prefix = image_prefix(root, split, paths.values())
        for number, name in paths.items():
            local = not is_address(name)
            path = posixpath.join(prefix, name) if local else finder.find(name)
            if path is not None:
                own = labels.get(number, {})
                others = [name for name in absent.get(number, ()) if name not in own]
                yield Sample(path, tuple(own), others, split)


def _labels(
    part: _Part, paths: Mapping[Id, str], drops: Drops, dropped: IssueLog
) -> dict[Id, dict[str, None]]:
    """Names of the categories of each image that has some, in the order of objects."""
    labels: dict[Id, dict[str, None]] = {}
    for number, item in enumerate(part.content.annotations):
        reason = _reason_to_drop(item, paths, part.names, drops)
        if reason:
            dropped.add(reason, partial(_ENTRY.format, part.file.name, number, item))
        else:
            labels.setdefault(item.image_id, {})[part.names[item.category_id]] = None
    return labels


def _reason_to_drop(
    item: _Object, paths: Mapping[Id, str], names: Mapping[Id, str], drops: Drops
) -> str | None:
    crowd, least = drops
    if item.image_id not in paths:
        return "annotations of images that are not listed"
    if item.category_id not in names:
        return "annotations of categories that are not listed"
    if crowd and _number(item.iscrowd):
        return "annotations of crowds"
    if least and (area := _number(item.area)) is not None and area < least:
        return f"annotations of less than {least:g} square pixels"
    return None


def _load(file: Path, dropped: IssueLog) -> _Content:
    """Content with identifiers that can be compared."""
    content = load(file, _Content, _FILES.hint, dropped, "images", "annotations")
    if any(item.segments_info is not None for item in content.annotations[:1000]):  # panoptic
        content.annotations = [
            _Object(part.category_id, part.iscrowd, part.area, item.image_id)
            for item in content.annotations
            for part in (item.segments_info if item.segments_info is not None else (item,))
        ]
    for image in content.images:
        if type(image.id) is not int:
            image.id = id_key(image.id)
    for category in content.categories:
        category.id = id_key(category.id)
    for item in list(content.annotations):
        if type(item.image_id) is not int or type(item.category_id) is not int:
            if isinstance(item.category_id, list):
                item.category_id, *rest = item.category_id or [None]
                more = (
                    _Object(id_key(one), item.iscrowd, item.area, item.image_id) for one in rest
                )
                content.annotations.extend(more)
            item.image_id, item.category_id = id_key(item.image_id), id_key(item.category_id)
    return content


def _number(value: Any) -> float | None:
    """A number, also one that is written as text; `None` for what is none."""
    text = str(value).strip().lower()
    try:
        return float({"true": "1", "false": "0"}.get(text, text))
    except ValueError:
        return None


def _names(file: Path, content: _Content, dropped: IssueLog, *, zero_used: bool) -> dict[Id, str]:
    """Names of categories by number; a name that comes twice is one class."""
    parents = {str(category.supercategory) for category in content.categories if category.id != 0}
    names: dict[Id, str] = {}
    taken: set[str] = set()
    for category in content.categories:
        name, reason = str(category.name), ""
        if category.id is None or type(category.name) not in (str, int) or category.id in names:
            reason = "categories without a name, or without a number of their own"
        elif category.id == 0 and not zero_used and name in parents:
            reason = "categories that only head others"
        else:
            if name in taken:
                reason = "categories with the name of another (joined)"
            names[category.id] = name
            taken.add(name)
        if reason:
            dropped.add(reason, f"{file.name}: {category.id!r} {category.name!r:.80}")
    return names


def _paths(part: _Part, dropped: IssueLog) -> dict[Id, str]:
    """Names of image files by number; two images with one number are neither."""
    paths: dict[Id, str] = {}
    twice: set[Id] = set()
    for image in part.content.images:
        name = str(image.file_name or image.coco_url or "").replace("\\", "/")
        reason = ""
        if image.id is None or not name:
            reason = "images without a file name, or without a number of their own"
        elif image.id in paths and paths[image.id] != name:
            reason = "images with the number of another (neither is read)"
            twice.add(image.id)
        if reason:
            dropped.add(reason, f"{part.file.name}: {image.id!r} {name!r:.80}")
        else:
            paths[image.id] = name
    for number in twice:
        reason = "images with the number of another (neither is read)"
        dropped.add(reason, f"{part.file.name}: {number!r} {paths.pop(number)!r:.80}")
    return paths


def _states(part: _Part) -> dict[Id, list[str]] | None:
    """Names that LVIS lists as absent, by image; `None` where no image lists any."""
    if not any(image.neg_category_ids is not None for image in part.content.images):
        return None
    absent = {}
    for image in part.content.images:
        given = image.neg_category_ids
        listed = map(id_key, given if isinstance(given, list) else ())
        absent[image.id] = [part.names[number] for number in listed if number in part.names]
    return absent


def _written(annotation: Annotation, _folder: Path, split: str) -> dict[str, object]:
    """Labels without boxes, numbered from 1: some readers take 0 for none."""
    prefix = common_prefix(annotation, split)
    return {
        "categories": [
            {"id": number, "name": name, "supercategory": ""}
            for number, name in enumerate(annotation.class_names, 1)
        ],
        "images": (
            {"id": number, "file_name": path.removeprefix(prefix)}
            for number, path in enumerate(annotation.paths, 1)
        ),
        "annotations": _objects(annotation),
    }


def _objects(annotation: Annotation) -> Iterator[dict[str, int]]:
    number = 0
    for image in range(len(annotation)):
        for label in annotation.positives.of(image).tolist():
            number += 1
            yield {"id": number, "image_id": image + 1, "category_id": label + 1}


COCO_WRITER = JsonWriter("coco", "annotations/labels_{}.json", _written)
