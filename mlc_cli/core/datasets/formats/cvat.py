"""CVAT 1.1: `annotations.xml` with the tags and shapes of each image, or with tracks of a video.

    <image id="0" name="1.jpg" subset="train"><tag label="cat"/><box label="dog" .../></image>
    <track id="0" label="cat"><box frame="7" outside="0"/><box frame="8" outside="1"/></track>

Images are in `images/`, in an export of a project in `images/<subset>/`. The image of frame 7 is
`frame_000007`, with any suffix; a track lists each frame that its object is in. Frames with an
image and without an object are negatives.
"""

import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from xml.etree.ElementTree import Element

from mlc_cli.core.datasets.formats.base import Sample, Source
from mlc_cli.core.datasets.formats.shared.images import SUFFIXES
from mlc_cli.core.datasets.formats.shared.lines import is_file, is_folder
from mlc_cli.core.datasets.formats.shared.naming import ImageNames
from mlc_cli.core.datasets.formats.shared.xml_files import elements
from mlc_cli.core.system.issues import IssueLog

_FRAME = re.compile(r"frame_([0-9]{1,9})\.[a-z]+", re.IGNORECASE)
_NUMBER = re.compile("[0-9]{1,9}")
_NO_IMAGE = "frames of a video without an image (export it with images, or as CVAT for images)"
_NO_LABEL = "tags and shapes without a label"


class CvatReader:
    """Reads CVAT for images and for video."""

    name = "cvat"
    title = "CVAT"

    def detect(self, source: Path) -> str | None:
        """Name the XML file that begins with annotations."""
        file = _file(source)
        if not is_file(file):
            return None
        try:
            with file.open("rb") as stream:
                head = stream.read(4096)
        except OSError:
            return None
        return f"<annotations> in {file.name}" if b"<annotations>" in head else None

    def read(self, source: Path, images: Path | None, dropped: IssueLog) -> Source:
        """Open an annotations.xml, or the folder that has it.

        Raises:
            DataError: It is not XML of this kind.
        """
        file = _file(source)
        found = file.parent / "images"
        root = images or (found if found.is_dir() else file.parent)
        return Source(
            image_root=root,
            samples=_samples(file, root, dropped),
            classes=_classes(file) or None,
        )


def _file(source: Path) -> Path:
    return source / "annotations.xml" if source.is_dir() else source


def _classes(file: Path) -> list[str]:
    """Labels of the project; the points of a skeleton, which have a parent, are none."""
    head = takewhile(lambda item: item.tag == "label", elements(file, "label", "image", "track"))
    names = [
        (label.findtext("name") or "").strip() for label in head if label.find("parent") is None
    ]
    return list(dict.fromkeys(filter(None, names)))


def _samples(file: Path, root: Path, dropped: IssueLog) -> Iterator[Sample]:
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
        path = names(name if name.startswith(folders[subset]) else folders[subset] + name)
        if path is not None:
            yield Sample(path, labels, (), _split(subset))
    yield from frames.samples()


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
            elif not _is_outside(shape):
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
            if not match or not file.name.lower().endswith(SUFFIXES):
                continue
            if images.setdefault(int(match[1]), file.name) != file.name:
                self._dropped.add("further images of a frame", folder + file.name)
        return images


def _is_outside(shape: Element) -> bool:
    """Whether the object is not in the frame; a skeleton is not if none of its points is."""
    points = [part for part in shape if part.tag != "attribute"] or [shape]
    return all(part.get("outside") == "1" for part in points)


def _split(subset: str) -> str:
    return "" if subset == "default" else subset


def _folder(root: Path, subset: str) -> str:
    return f"{subset}/" if subset and is_folder(root / subset) else ""
