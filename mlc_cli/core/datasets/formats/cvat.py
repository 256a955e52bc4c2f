"""CVAT 1.1: `annotations.xml` with the tags and shapes of each image, or with tracks of a video.

    <image id="0" name="1.jpg" subset="train"><tag label="cat"/><box label="dog" .../></image>
    <track id="0" label="cat"><box frame="7" outside="0"/><box frame="8" outside="1"/></track>

Images are in `images/`, in an export of a project in `images/<subset>/`. The image of frame 7 is
`frame_000007`, with any suffix; a track lists each frame that its object is in. Frames with an
image and without an object are negatives. Of several files in a folder each may tell its split.

    <tag label="scene"><attribute name="wet">true</attribute></tag>

Attributes of tags are labels if the user says so: here `wet`, which
is a checkbox; of a choice it is the value.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Literal, NamedTuple
from xml.etree.ElementTree import Element

from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.json_files import FileKind, opening
from mlc_cli.core.datasets.formats.shared.lines import is_folder
from mlc_cli.core.datasets.formats.shared.naming import ImageNames, relative_prefix
from mlc_cli.core.datasets.formats.shared.split_names import split_of_name
from mlc_cli.core.datasets.formats.shared.xml_files import elements
from mlc_cli.core.images.suffixes import IMAGE_SUFFIXES
from mlc_cli.core.system.issues import IssueLog

_FRAME = re.compile(r"frame_([0-9]{1,9})\.[a-z]+", re.IGNORECASE)
_NUMBER = re.compile("[0-9]{1,9}")
_SUBSET = re.compile(r'<image [^>]*subset="')
_CHOICES = ("select", "radio")
_NO_CHOICE = ("", "__undefined__")
_FILES = FileKind(
    "<annotations>",
    lambda opening: "<annotations>" in opening[:4096],
    "It is called annotations.xml.",
    ("*.xml", "*/*.xml"),
    ("annotations.xml",),
)
_NO_IMAGE = "frames of a video without an image (export it with images, or as CVAT for images)"
_NO_LABEL = "tags and shapes without a label"


def cvat_reader(attributes: Literal["ignore", "labels"] = "ignore") -> Reader:
    """Reads CVAT for images and for video."""
    return Reader("cvat", "CVAT", _FILES.seen, partial(_read, attributes))


def _read(attributes: str, source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open a file, or those of a folder."""
    files = _FILES.existing(source)
    projects = {file: _project(file) for file in files}
    beside = {file: file.parent / "images" for file in files}
    roots = {f: images or (own if own.is_dir() else f.parent) for f, own in beside.items()}
    root = roots[files[0]] if len(files) == 1 else images or source
    names = [name for project in projects.values() for name in project.labels]
    kinds = {name: kind for p in projects.values() for name, kind in p.attributes.items()}
    remarks: tuple[str, ...] = ()
    if attributes == "labels":
        names += [name for project in projects.values() for name in project.attribute_labels]
    elif kinds:
        told = f"attributes of tags are not read ({', '.join(kinds):.200})"
        remarks = (f"{told}; `--set cvat.attributes=labels` makes them labels",)
    samples = (
        sample._replace(
            path=relative_prefix(roots[file], root) + sample.path,
            split=sample.split or split_of_name(file.stem),
        )
        for file in files
        for sample in _samples(file, roots[file], kinds if attributes == "labels" else {}, dropped)
    )
    return Source(
        image_root=root,
        samples=samples,
        classes=list(dict.fromkeys(names)) or None,
        remarks=remarks,
        unsplit=tuple(
            file.name
            for file in files
            if not split_of_name(file.stem) and not _SUBSET.search(opening(file))
        ),
    )


class _Project(NamedTuple):
    """What the head of a file says.

    Attributes:
        labels: Labels; the points of a skeleton, which have a parent, are none.
        attributes: How each attribute of tags is chosen: `checkbox`, `select`, `text` and so on.
        attribute_labels: Labels that attributes can be.
    """

    labels: list[str]
    attributes: dict[str, str]
    attribute_labels: list[str]


def _project(file: Path) -> _Project:
    found = _Project([], {}, [])
    items = elements(file, "label", "image", "track")
    for label in takewhile(lambda item: item.tag == "label", items):
        name = (label.findtext("name") or "").strip()
        if name and label.find("parent") is None:
            found.labels.append(name)
        if label.findtext("type", "any") not in ("any", "tag"):
            continue
        for attribute in label.iterfind("attributes/attribute"):
            name = (attribute.findtext("name") or "").strip()
            kind = found.attributes[name] = attribute.findtext("input_type", "text")
            values = (attribute.findtext("values") or "").splitlines()
            choices = [name] if kind == "checkbox" else values if kind in _CHOICES else []
            stripped = (choice.strip() for choice in choices)
            found.attribute_labels.extend(v for v in stripped if v not in _NO_CHOICE)
    return found


def _samples(
    file: Path, root: Path, kinds: Mapping[str, str], dropped: IssueLog
) -> Iterator[Sample]:
    folders: dict[str, str] = {}
    names, frames = ImageNames(root, dropped), _Frames(root, dropped)
    for number, item in enumerate(elements(file, "image", "track"), 1):
        if item.tag == "track":
            frames.add(item)
            continue
        name = item.get("name", "").replace("\\", "/")
        if not name:
            dropped.add("images without a name", f"{file}, image {number}")
            continue
        subset = item.get("subset", "")
        if subset not in folders:
            folders[subset] = _folder(root, subset)
        labels = []
        for shape in item:
            label = shape.get("label", "").strip()
            if label:
                labels.append(label)
            else:
                dropped.add(_NO_LABEL, f"{name:.80}: {shape.tag!s:.40}")
            if kinds and shape.tag == "tag":
                labels += _of_attributes(shape, kinds, dropped)
        path = names(name if name.startswith(folders[subset]) else folders[subset] + name)
        if path is not None:
            yield Sample(path, labels, (), _split(subset))
    yield from frames.samples()


def _of_attributes(tag: Element, kinds: Mapping[str, str], dropped: IssueLog) -> Iterator[str]:
    """Labels that the attributes of a tag are."""
    for attribute in tag.iterfind("attribute"):
        name, value = attribute.get("name", "").strip(), (attribute.text or "").strip()
        kind = kinds.get(name, "text")
        if kind == "checkbox":
            yield from [name] if value.lower() == "true" else []
        elif kind in _CHOICES:
            yield from [value] if value not in _NO_CHOICE else []
        elif value:
            dropped.add("attributes of text or numbers (no labels)", f"{name:.40}: {value:.40}")


class _Frames:
    """Labels of the frames of videos, gathered from tracks.

    Frames have numbers alone, which start anew in each video: in a folder of images that several
    videos share, they say nothing of which is meant, and the first has it.
    """

    def __init__(self, root: Path, dropped: IssueLog) -> None:
        self._root = root
        self._dropped = dropped
        self._owners: dict[str, tuple[str, str]] = {}
        self._labels: dict[str, dict[int, list[str]]] = {}

    def add(self, track: Element) -> None:
        """Note the label of a track for all frames in which its object is seen."""
        label = track.get("label", "").strip()
        subset, task = track.get("subset", ""), track.get("task_id", "")
        folder = _folder(self._root, subset)
        if not label:
            self._dropped.add(_NO_LABEL, f"track {track.get('id', '')}"[:80])
        elif self._owners.setdefault(folder, (subset, task)) != (subset, task):
            kind = "tracks of a second video with images in the same folder (export each task)"
            self._dropped.add(kind, f"{label:.80}, task {task:.40}")
        else:
            frames = self._labels.setdefault(folder, {})
            for number in self._seen(track, label):
                frames.setdefault(number, []).append(label)

    def _seen(self, track: Element, label: str) -> Iterator[int]:
        for shape in track:
            number = shape.get("frame", "")
            if not _NUMBER.fullmatch(number):
                self._dropped.add("shapes of a track without a frame", f"{label:.80}: {number:.40}")
            else:  # a skeleton is outside if all its points are
                parts = [part for part in shape if part.tag != "attribute"] or [shape]
                if any(part.get("outside") != "1" for part in parts):
                    yield int(number)

    def samples(self) -> Iterator[Sample]:
        """Every frame that has an image."""
        for folder, frames in self._labels.items():
            images = self._images(folder)
            split = _split(self._owners[folder][0])
            for number in sorted(images.keys() | frames.keys()):
                if number in images:
                    yield Sample(folder + images[number], frames.get(number, ()), (), split)
                else:
                    place = f"{self._root}/{folder}frame_{number:06d}"
                    self._dropped.add(_NO_IMAGE, f"{place:.200}: {', '.join(frames[number]):.80}")

    def _images(self, folder: str) -> dict[int, str]:
        """Names of the images of frames, by number."""
        images: dict[int, str] = {}
        for file in sorted((self._root / folder).glob("*")):
            match = _FRAME.fullmatch(file.name)
            if not match or not file.name.lower().endswith(IMAGE_SUFFIXES):
                continue
            if images.setdefault(int(match[1]), file.name) != file.name:
                self._dropped.add("further images of a frame", folder + file.name)
        return images


def _split(subset: str) -> str:
    return "" if subset == "default" else subset


def _folder(root: Path, subset: str) -> str:
    return f"{subset}/" if subset and is_folder(root / subset) else ""
