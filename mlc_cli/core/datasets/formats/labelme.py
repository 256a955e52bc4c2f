"""LabelMe: a JSON file beside each image, with flags of the image and labelled shapes.

    {"version": "5.0", "flags": {"dog": true}, "shapes": [{"label": "cat"}], "imagePath": "a.jpg"}

A flag that is true and the label of a shape are present; a flag that is false is absent.
"""

import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.json_files import FileKind, having
from mlc_cli.core.datasets.formats.shared.split_names import split_of_name
from mlc_cli.core.system.issues import IssueLog

_NO_CLASS = ("__ignore__", "_background_")
"""What LabelMe itself writes first among its labels."""
_FILES = FileKind(
    "shapes and imagePath",
    having(r'"shapes"\s*:\s*\[', r'"imagePath"\s*:|"imageData"\s*:'),
    'A file of LabelMe has "flags", "shapes" and "imagePath".',
    ("*.json", "*/*.json"),
)


class _Shape(Struct, gc=False):
    label: Any = None


class _Content(Struct):
    imagePath: Any = None
    flags: Any = None
    shapes: list[_Shape] = field(default_factory=list)

    def states(self) -> dict[str, bool]:
        """Whether the image has each label that its flags or shapes name."""
        flags = self.flags if isinstance(self.flags, dict) else {}
        found = {name: state in (True, "true", "True", "1") for name, state in flags.items()}
        return found | {str(one.label): True for one in self.shapes if one.label}


def _read(source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open a file, or all of a folder; each image is looked for beside its file."""
    root = source if source.is_dir() else source.parent
    contents = _FILES.load_all(source, _Content, dropped, "shapes")
    names = dict.fromkeys(name for content in contents.values() for name in content.states())
    classes = [name for name in names if name not in _NO_CLASS]
    return Source(images or root, _samples(contents, root, dropped), classes)


def _samples(contents: Mapping[Path, _Content], root: Path, dropped: IssueLog) -> Iterator[Sample]:
    for file, content in contents.items():
        if not isinstance(content.imagePath, str) or not content.imagePath:
            dropped.add("files without imagePath", str(file))
            continue
        below = file.parent.relative_to(root).as_posix()
        path = posixpath.normpath(posixpath.join(below, content.imagePath.replace("\\", "/")))
        labels = [name for name, present in content.states().items() if present]
        for name in set(labels).intersection(_NO_CLASS):
            dropped.add("shapes of what is no class", f"{file}: {name}")
            labels.remove(name)
        yield Sample(path, labels, (), (below != "." and split_of_name(below)) or "")


LABELME_READER = Reader("labelme", "LabelMe", _FILES.seen, _read)
