"""CVAT for images 1.1: `annotations.xml` with the tags and shapes of each image.

    <image id="0" name="1.jpg" subset="train"><tag label="cat"/><box label="dog" .../></image>

Images are in `images/`, in an export of a project in `images/<subset>/`.
"""

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from mlc_cli.core.formats.base import Sample, Source
from mlc_cli.core.formats.shared.lines import is_file, is_folder
from mlc_cli.core.formats.shared.xml_files import elements
from mlc_cli.core.tally import Tally


class CvatReader:
    """Reads CVAT for images."""

    name = "cvat"
    title = "CVAT for images"

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

    def read(self, source: Path, images: Path | None, dropped: Tally) -> Source:
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


def _samples(file: Path, root: Path, dropped: Tally) -> Iterator[Sample]:
    folders: dict[str, str] = {}
    for number, item in enumerate(elements(file, "image", "track"), 1):
        if item.tag == "track":
            dropped.add("tracks of a video (export it as images)", item.get("label", "")[:80])
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
                dropped.add("tags and shapes without a label", f"{name:.80}: {shape.tag!s:.40}")
        path = name if name.startswith(folders[subset]) else folders[subset] + name
        yield Sample(path, labels, (), "" if subset == "default" else subset)


def _folder(root: Path, subset: str) -> str:
    return f"{subset}/" if subset and is_folder(root / subset) else ""
