"""Annotation files: which labels each image has, lacks, or may have.

    {"classes": ["cat", "dog"], "images": [["a.jpg", ["cat"]], ["b.jpg", [], ["dog"]]]}

The first list of an image holds its labels; the optional second one holds labels whose state is
unknown. Every other label is absent. Where most states are unknown, `"unlisted": "unknown"` at the
top level turns this round: the second list then holds labels that are known to be absent, and
every other one is unknown. Class order is `sorted(classes)`, integers as numbers. Paths are
relative to the file, or to the folder that `"image_root"` at the top level names from there.
`"rules"` says what labels imply, and which exclude each other.

Names of arrays: N images, C classes.
"""

import os
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.missing import missing_hint
from mlc_cli.core.datasets.packed import PackedStrings
from mlc_cli.core.datasets.rules import NO_RULES, Rules, read_rules
from mlc_cli.core.system.addresses import Listed, is_remote
from mlc_cli.core.system.files import exists, read_json
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError
from mlc_cli.text import SHOWN, nearest

if TYPE_CHECKING:
    from mlc_cli.core.datasets.shards.pieces import Pieces

Label = str | int
State = Literal["absent", "unknown"]
NO_ENTRY = "entries that are not [path, [labels]]"


@dataclass(frozen=True)
class LabelSets:
    """Class indexes of each image, back to back (compressed sparse rows)."""

    indices: NDArray[np.unsignedinteger[Any]]
    starts: NDArray[np.int64]

    def of(self, image: int) -> NDArray[Any]:
        """Class indexes of one image, sorted."""
        return self.indices[self.starts[image] : self.starts[image + 1]]

    @classmethod
    def of_codes(cls, codes: NDArray[np.int64], images: int, classes: int) -> "LabelSets":
        """From sorted codes of labels, image × classes + class."""
        owners, labels = np.divmod(codes, classes)
        starts = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=images))])
        return cls(labels.astype(np.uint16 if classes <= 2**16 else np.uint32), starts)

    def owners(self) -> NDArray[np.int64]:
        """Image of each label."""
        return np.repeat(np.arange(len(self.starts) - 1), self.sizes_N())

    def sizes_N(self) -> NDArray[np.int64]:
        """Labels of each image."""
        return np.diff(self.starts)

    def counts_C(self, classes: int) -> NDArray[np.int64]:
        """Images of each class."""
        return np.bincount(self.indices, minlength=classes)

    def take(self, images_N: NDArray[np.int64]) -> "LabelSets":
        """The label sets of some images, in that order."""
        sizes_N = self.sizes_N()[images_N]
        starts = np.concatenate([[0], np.cumsum(sizes_N)]).astype(np.int64)
        shifts_N = self.starts[images_N] - starts[:-1]
        return LabelSets(self.indices[np.arange(starts[-1]) + np.repeat(shifts_N, sizes_N)], starts)


@dataclass(frozen=True)
class Annotation:
    """One split of a data set; classes are sorted, paths as written in the file.

    Attributes:
        folder: Folder that image paths are relative to.
        others: Labels of each image whose state is not that of unlisted ones: unknown labels where
            unlisted ones are absent, and absent labels where they are unknown.
        unlisted: State of the labels that are in neither list.
        rules: Between labels.
        pieces: Where images are that lie in shards; others are files below the folder.
    """

    source: Path
    folder: Path
    classes: tuple[Label, ...]
    paths: PackedStrings
    positives: LabelSets
    others: LabelSets
    unlisted: State = "absent"
    rules: Rules = NO_RULES
    pieces: "Pieces | None" = None

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def remote(self) -> bool:
        """Whether some images are in stores."""
        return is_remote(self.folder) or any(map(is_remote, self.paths))

    @property
    def class_names(self) -> list[str]:
        """Class names as text, in sorted order."""
        return [str(name) for name in self.classes]

    def path(self, image: int) -> Path:
        """Where an image is."""
        path = str(self.paths[image])
        if self.pieces:
            return self.pieces.piece(image, path)
        return Listed(path) if is_remote(path) else self.folder / path

    def targets_NC(self, images: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int8]:
        """States of all labels: 1 present, 0 absent, -1 unknown; shape len(images)×C."""
        unlisted, other = (0, -1) if self.unlisted == "absent" else (-1, 0)
        targets = np.full((len(images), len(self.classes)), unlisted, np.int8)
        for row, image in enumerate(images):
            targets[row, self.positives.of(int(image))] = 1
            targets[row, self.others.of(int(image))] = other
        return targets

    def unknown_C(self) -> NDArray[np.int64]:
        """Images of each class whose state is unknown."""
        others_C = self.others.counts_C(len(self.classes))
        if self.unlisted == "absent":
            return others_C
        return len(self) - self.positives.counts_C(len(self.classes)) - others_C

    def take(self, images_N: NDArray[np.int64]) -> "Annotation":
        """Some of the images, in that order."""
        return replace(
            self,
            paths=self.paths.take(images_N),
            positives=self.positives.take(images_N),
            others=self.others.take(images_N),
            pieces=self.pieces and self.pieces.take(images_N),
        )


_FORM_HINT = (
    'The file looks like {"classes": ["cat", "dog"], "images": [["images/1.jpg", ["dog"]], ...]};'
    " a third element of an image lists labels whose state is unknown."
)


def read_annotation(source: Path, image_root: Path | None = None) -> Annotation:
    """Read and check an annotation file; the folder of its images is by default what it says.

    Raises:
        DataError: With all faults of the file at once.
    """
    content = read_content(source)
    classes = sorted_classes(content.classes, source)
    index = {name: position for position, name in enumerate(classes)}
    faults = IssueLog()
    paths: list[str] = []
    positives, others = SetsBuilder(index), SetsBuilder(index)
    for number, path, present, second in entries(content.images, faults):
        paths.append(path)
        known = positives.add(present, path, faults)
        if known & others.add(second, path, faults):
            faults.add("images with a label in both lists", f"{path} (entry {number})")
    for path, count in Counter(paths).items():
        if count > 1:
            kind = "images listed more than once (list each once, with all labels)"
            faults.add(kind, path, count - 1)
    if faults.counts:
        raise DataError(f"{source}: {faults.lines()}", _FORM_HINT)
    if not paths:
        raise DataError(f"{source}: lists no images", _FORM_HINT)
    return Annotation(
        source=source,
        folder=image_root or _folder_of(source, content.image_root),
        classes=classes,
        paths=PackedStrings.pack(paths),
        positives=positives.build(),
        others=others.build(),
        unlisted=content.unlisted,
        rules=read_rules(source, content.rules, classes),
    )


def _folder_of(source: Path, image_root: str) -> Path:
    """The folder of the images, without ways up and down that messages would show."""
    folder = source.parent / image_root
    plain = Path(os.path.normpath(folder))
    if is_remote(plain) and plain.parts[:2] != source.parts[:2]:
        raise DataError(f"{source}: 'image_root' leads to another store")
    # behind a link to a folder, `..` is not the folder before it
    return plain if is_remote(source) or plain.resolve() == folder.resolve() else folder


class Content(NamedTuple):
    """What an annotation file says at its top level; images as they are."""

    classes: list[Any]
    images: list[Any]
    unlisted: State = "absent"
    image_root: str = ""
    rules: Any = None


def read_content(source: Path) -> Content:
    """Read the top level of an annotation file; a DataError says what of it is missing or odd."""
    if not exists(source):
        raise DataError(f"{source}: there is no such annotation file", missing_hint(source))
    content = read_json(source)
    missing = [key for key in ("classes", "images") if not isinstance(content, dict)
               or not isinstance(content.get(key), list)]  # fmt: skip
    if missing:
        raise DataError(f"{source}: has no list '{missing[0]}' at the top level", _FORM_HINT)
    found = Content(**{key: content[key] for key in Content._fields if key in content})
    if not isinstance(found.image_root, str):
        raise DataError(f"{source}: 'image_root' is not the name of a folder")
    if found.unlisted not in ("absent", "unknown"):
        said = f"{found.unlisted!r:.80}"
        raise DataError(f'{source}: \'unlisted\' is {said}, not "absent" or "unknown"')
    return found


def sorted_classes(names: Sequence[Any], source: Path) -> tuple[Label, ...]:
    """Class names in the order that holds everywhere; a DataError says what is wrong with them."""
    if not names:
        raise DataError(f"{source}: the list 'classes' is empty", _FORM_HINT)
    kinds = {type(name) for name in names}
    if kinds not in ({str}, {int}):
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError(f"{source}: classes must be all text or all integers, found {found}")
    garbled = [ascii(name) for name in names if not _encodable(name)]
    if garbled:
        raise DataError(f"{source}: classes that are not text: {', '.join(garbled[:SHOWN])}")
    twice = sorted(str(name) for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DataError(f"{source}: classes listed more than once: {', '.join(twice[:SHOWN])}")
    return tuple(sorted(names))


def _encodable(name: Label) -> bool:
    """Whether a name is text that can be written; half of a surrogate pair cannot."""
    text = str(name)
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def entries(
    images: list[Any], faults: IssueLog, where: str = ""
) -> Iterator[tuple[int, str, list[Any], list[Any]]]:
    """Well-formed entries as number, path, labels, others; `where` stands before messages."""
    for number, entry in enumerate(images):
        match entry:
            case [str(path), *_] if not _encodable(path):
                faults.add("image paths that are not text", f"{where}entry {number}: {path!a}")
            case [str(path), list(present)] if path:
                yield number, path, present, []
            case [str(path), list(present), list(unsure)] if path:
                yield number, path, present, unsure
            case _:
                faults.add(NO_ENTRY, f"{where}entry {number}: {entry!r:.80}")


class SetsBuilder:
    """Collects label sets in flat arrays."""

    def __init__(self, index: dict[Label, int]) -> None:
        self._index = index
        self._indices = array("H" if len(index) <= 2**16 else "I")
        self._starts = array("q", [0])

    def add(self, labels: list[Label], path: str, faults: IssueLog) -> set[int]:
        """Add the labels of the next image; their positions."""
        found = set()
        for label in labels:
            position = self._index.get(label) if type(label) in (str, int) else None
            if position is None:
                faults.add("labels that are not in 'classes'", partial(self._describe, label, path))
            else:
                found.add(position)
        self._indices.extend(sorted(found))
        self._starts.append(len(self._indices))
        return found

    def _describe(self, label: Any, path: str) -> str:
        return f"{path}: {label!r:.80}{nearest(str(label), map(str, self._index))}"

    def build(self) -> LabelSets:
        """The label sets of all images."""
        return LabelSets(np.array(self._indices), np.array(self._starts))
