"""The boxes of an image in YOLO: a text file beside it, or in `labels/` in place of `images/`.

`class x y width height` a line, or the points of an outline or of a turned box. The class is a
number or a name.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from mlc_cli.core.datasets.formats.shared.images import ImageIndex, is_image
from mlc_cli.core.datasets.formats.shared.lines import is_file, text_lines
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

LISTS = ("classes.txt", "obj.names", "notes.txt", "README.txt", "requirements.txt")
"""Text files that have no boxes."""


class LabelFiles:
    """Finds and reads the label files of images."""

    def __init__(self, names: Mapping[int, str] | None, root: Path, dropped: IssueLog) -> None:
        self._names = names
        self._known = set((names or {}).values())
        self._root = root.absolute()
        self._dropped = dropped
        self._index = ImageIndex(root.absolute())
        self._missing: list[str] = []
        self._found = False

    def labels(self, image: str) -> list[str] | None:
        """Classes of the boxes of an image; `None` if its file cannot be read."""
        file = self._file(image)
        if file is None:
            self._missing.append(image)
            return []
        self._found = True
        try:
            lines = list(text_lines(file))
        except DataError as error:
            self._dropped.add("images whose boxes cannot be read", error.message)
            return None
        found = dict[str, None]()
        for number, line in lines:
            name, fault = self._name(line)
            if fault:
                self._dropped.add(fault, f"{file}, line {number}: {line:.40}")
            else:
                found[name] = None
        return list(found)

    def close(self) -> None:
        """Count the images if none has a label file: no data set consists of negatives alone."""
        if self._found or not self._missing:
            return
        kind = "images without a label file (none was found for any image)"
        where = f"looked for {label_file(self._missing[0])} and beside the image"
        self._dropped.add(kind, where, len(self._missing))

    def _file(self, image: str) -> Path | None:
        """The label file in one of two places, perhaps with a name that differs in its writing.

        That of an image that is not there may be in any folder.
        """
        places = (label_file(image), Path(re.sub(r"\.[^./]*$", "", image) + ".txt"))
        for place in places:
            if is_file(place):
                return place
        found = [self._root / path for path in self._index.find(places[0].as_posix())]
        if is_file(Path(image)):
            found = [file for file in found if file.parent in (places[0].parent, places[1].parent)]
        return found[0] if len(found) == 1 else None

    def _name(self, line: str) -> tuple[str, str]:
        """The class of a box, and why the line is left out if it is."""
        index = class_of(line)
        if index is None:
            return "", "lines that are no box"
        if isinstance(index, str):
            known = self._names is None or index in self._known
            return index, "" if known else "boxes of a class that has no name"
        if self._names is None:
            return f"class_{index}", ""
        name = self._names.get(index)
        return name or "", "" if name else "boxes of a class that has no name"


def label_file(image: str) -> Path:
    """Where the boxes of an image are: `labels` in place of the last `images`, else beside it."""
    head, found, tail = image.rpartition("/images/")
    place = f"{head}/labels/{tail}" if found else image
    return Path(re.sub(r"\.[^./]*$", "", place) + ".txt")


def class_of(line: str) -> int | str | None:
    """Number or name of the class of a box, `None` if the line is none."""
    words = line.split()
    try:
        index, *places = map(float, words)
    except ValueError:
        count = len(words)
        while count and _is_number(words[count - 1]):
            count -= 1
        name = " ".join(words[:count])
        return name if len(words) - count >= 4 and not is_image(name) else None
    return int(index) if index.is_integer() and len(places) >= 4 else None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
