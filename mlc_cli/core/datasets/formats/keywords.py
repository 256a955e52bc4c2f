r"""Keywords that images carry: a text file of tags beside each, or XMP beside or inside them.

    a.jpg  a.txt                 1girl, long_hair, saber \(fate\)       booru, kohya
    a.jpg  a.xmp, a.jpg.xmp      dc:subject, lr:hierarchicalSubject      Lightroom, digiKam

Tags are separated by commas or lines; underscores stay. Of XMP the flat keywords count; without any
all parts of the paths `animals|dog`. An image without keywords of its own, but for an empty text
file, has not been looked at: its states are unknown. Folders called `train` and so on are splits.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.image_folder import has_annotations
from mlc_cli.core.datasets.formats.shared.images import is_image, walk_images
from mlc_cli.core.datasets.formats.shared.lines import is_file, text_lines
from mlc_cli.core.datasets.formats.shared.split_names import split_of_folders
from mlc_cli.core.datasets.formats.yolo_labels import class_of
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

_LOOKED = 50
"""Images that are looked at to see whether they have keywords."""
_HEAD = 1 << 18
"""Bytes at the beginning of an image that are searched for XMP."""
_PACKET = re.compile(rb"<x:xmpmeta.*?</x:xmpmeta>|<rdf:RDF.*?</rdf:RDF>", re.DOTALL)
_LIST = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
_FLAT = "{http://purl.org/dc/elements/1.1/}subject"
_PATHS = "{http://ns.adobe.com/lightroom/1.0/}hierarchicalSubject"

Tags = Callable[[Path], "list[str] | None"]


def _detect_tags(source: Path) -> str | None:
    """Name the first text file, if most beside images have tags and none has boxes."""
    texts = [file for image in _some_images(source) if is_file(file := image.with_suffix(".txt"))]
    lines: list[str] = []
    with suppress(DataError):
        lines += (line for file in texts for _, line in text_lines(file))
    looks_right = 2 * sum("," in line or " " not in line for line in lines) > len(lines)
    if not lines or not looks_right or any(class_of(line) is not None for line in lines):
        return None
    return f"tags in {texts[0].name}"


def _read_tags(source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open a folder."""
    root = images or source

    def tags(image: Path) -> list[str] | None:
        beside = image.with_suffix(".txt")
        places = [beside, source / beside.relative_to(root)]
        file = next(filter(is_file, places), None)
        if file is None:
            return None
        try:
            parts = [part for _, line in text_lines(file) for part in line.split(",")]
        except DataError as error:
            dropped.add("text files that cannot be read", error.message)
            return None
        return [re.sub(r"\\([()])", r"\1", part.strip()) for part in parts if part.strip()]

    return _open(root, tags, "images without a text file of tags", dropped)


def _detect_xmp(source: Path) -> str | None:
    """Name the first image with keywords, where no file beside it looks like annotations."""
    if not source.is_dir() or has_annotations(source, ignored=(".xmp",)):
        return None
    images = _some_images(source)
    found = [image.name for image in images if _keywords(image, IssueLog())]
    return f"keywords of {found[0]}" if 2 * len(found) > len(images) else None


def _read_xmp(source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open a folder."""
    root = images or source
    kind = "images without keywords"
    return _open(root, lambda image: _keywords(image, dropped) or None, kind, dropped)


def _open(root: Path, tags: Tags, kind: str, dropped: IssueLog) -> Source:
    found = {path: tags(root / path) for path in (walk_images(root) if root.is_dir() else ())}
    classes = sorted({tag for own in found.values() for tag in own or ()})
    if not classes:
        raise DataError(f"{root}: {kind}: all {len(found)}")

    def samples() -> Iterator[Sample]:
        for path, own in found.items():
            if own is None:
                dropped.add(f"{kind} (all their states are unknown)", path)
            yield Sample(path, own or (), classes if own is None else (), split_of_folders(path))

    return Source(root, samples(), classes)


def _some_images(source: Path) -> list[Path]:
    """The first images of a folder, and of those two levels down."""
    if not source.is_dir():
        return []
    found: list[Path] = []
    for folder, folders, names in os.walk(source):
        depth = len(Path(folder).relative_to(source).parts)
        folders[:] = sorted(folders) if depth < 2 else []
        found += islice((Path(folder, name) for name in sorted(names) if is_image(name)), _LOOKED)
        if len(found) >= _LOOKED:
            break
    return found[:_LOOKED]


def _keywords(image: Path, dropped: IssueLog) -> list[str]:
    """Keywords of an image, from files beside it and from itself."""
    flat: dict[str, None] = {}
    parts: dict[str, None] = {}
    for file in (image.with_suffix(".xmp"), image.with_name(f"{image.name}.xmp"), image):
        for packet in _packets(file, dropped):
            flat |= dict.fromkeys(_items(packet, _FLAT))
            for path in _items(packet, _PATHS):
                parts |= dict.fromkeys(part.strip() for part in path.split("|"))
    return [word for word in flat or parts if word]


def _packets(file: Path, dropped: IssueLog) -> Iterator[Element]:
    try:
        with file.open("rb") as stream:
            found = _PACKET.search(stream.read(_HEAD))
    except OSError:
        return
    if found:
        try:
            yield fromstring(found[0])
        except (ParseError, DefusedXmlException, ValueError) as error:
            dropped.add("XMP that cannot be read", f"{file}: {error}")


def _items(packet: Element, tag: str) -> Iterator[str]:
    for holder in packet.iter(tag):
        yield from ((item.text or "").strip() for item in holder.iter(_LIST))


TAG_FILE_READER = Reader(
    "tag-files", "tags in a text file beside each image", _detect_tags, _read_tags
)

XMP_READER = Reader("xmp", "keywords of XMP", _detect_xmp, _read_xmp)
