"""A data set as it lies there: its splits, and what kept others from being read.

Images of all splits stand in one row of numbers, split after split: the *rows*.
"""

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from mlc_cli.core.datasets.annotations import Annotation, Label, LabelSets, State, read_annotation
from mlc_cli.core.system.addresses import is_remote, shown
from mlc_cli.errors import DataError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Labels:
    """The labels of one image by name.

    Attributes:
        others: Labels in the state that unlisted ones are not in (see `Annotation`).
        unlisted: State of all others.
    """

    present: frozenset[Label]
    others: frozenset[Label]
    unlisted: State

    def absent(self, labels: frozenset[Label]) -> frozenset[Label]:
        """Those of some labels that are known to be absent."""
        if self.unlisted == "unknown":
            return labels & self.others
        return labels - self.present - self.others

    def contradicts(self, other: "Labels") -> bool:
        """Whether a label is present by one and absent by the other."""
        return bool(self.absent(other.present) or other.absent(self.present))

    def joined(self, other: "Labels") -> "Labels":
        """What both know together, if they do not contradict and are of one file."""
        present = self.present | other.present
        if self.unlisted == "unknown":
            return Labels(present, self.others | other.others, self.unlisted)
        return Labels(present, (self.others & other.others) - present, self.unlisted)

    def words(self) -> str:
        """The labels that are present, for people."""
        return ", ".join(sorted(map(str, self.present))) or "no labels"


@dataclass(frozen=True)
class Collection:
    """The splits of a data set.

    Attributes:
        source: The folder, or the one annotation file.
        splits: Annotations by name, in the order train, val, test.
        faults: Why an annotation file cannot be used, by the name of its split.
    """

    source: Path
    splits: Mapping[str, Annotation]
    faults: Mapping[str, str]

    def __len__(self) -> int:
        return self._starts[-1]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the splits in their order."""
        return tuple(self.splits)

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *accumulate(len(split) for split in self.splits.values())]

    @cached_property
    def classes(self) -> tuple[Label, ...]:
        """Classes of all splits together, sorted; integers before text."""
        found = {name for split in self.splits.values() for name in split.classes}
        return tuple(sorted(found, key=lambda name: (isinstance(name, str), name)))

    def rows(self, split: str) -> range:
        """Rows of the images of a split."""
        number = self.names.index(split)
        return range(self._starts[number], self._starts[number + 1])

    def split_number(self, row: int) -> int:
        """Which split a row belongs to."""
        return bisect_right(self._starts, row) - 1

    def split_name(self, row: int) -> str:
        """Name of the split that a row belongs to."""
        return self.names[self.split_number(row)]

    def _find(self, row: int) -> tuple[Annotation, int]:
        number = self.split_number(row)
        return self.splits[self.names[number]], row - self._starts[number]

    def path(self, row: int) -> str:
        """Path of an image as written in its annotation file."""
        split, image = self._find(row)
        return str(split.paths[image])

    def file(self, row: int) -> Path:
        """Where an image is."""
        split, image = self._find(row)
        return split.path(image)

    def title(self, row: int) -> str:
        """An image for messages: its split and its path."""
        return f"{self.split_name(row)}: {self.path(row)}"

    def labels(self, row: int) -> Labels:
        """Labels of an image."""
        split, image = self._find(row)

        def named(sets: LabelSets) -> frozenset[Label]:
            return frozenset(split.classes[c] for c in sets.of(image))

        return Labels(named(split.positives), named(split.others), split.unlisted)

    def files(self) -> Iterator[tuple[Annotation, int]]:
        """All images in the order of the rows: their split, and their number in it."""
        for split in self.splits.values():
            for image in range(len(split)):
                yield split, image

    def shared_paths(self) -> Iterator[tuple[int, str]]:
        """Rows of images whose path is in an earlier split, too, and that split."""
        seen: dict[str, str] = {}
        for row, (split, image) in enumerate(self.files()):
            name = self.split_name(row)
            first = seen.setdefault(os.path.normpath(split.path(image)), name)
            if first != name:
                yield row, first


def read_collection(
    source: Path,
    image_root: Path | None = None,
    read: Callable[[Path, Path | None], Annotation] = read_annotation,
    is_there: Callable[[Path], bool] = Path.exists,
) -> Collection:
    """Read the annotation files of a data set; faulty ones are kept with their faults.

    It is a folder with some of `train.json`, `val.json` and `test.json`, or one file; `read` reads
    one, and `is_there` says whether there is one, or what stands for it.

    Raises:
        DataError: There is no annotation file.
    """
    splits: dict[str, Annotation] = {}
    faults: dict[str, str] = {}
    for name, path in _annotation_files(source, is_there):
        try:
            splits[name] = read(path, image_root)
        except DataError as error:
            faults[name] = error.message
    return Collection(source, splits, faults)


def _annotation_files(source: Path, is_there: Callable[[Path], bool]) -> Sequence[tuple[str, Path]]:
    if source.is_file() or (is_remote(source) and source.suffix):
        return [(source.stem, source)]
    found = [(name, source / f"{name}.json") for name in SPLITS]
    there = [(name, path) for name, path in found if is_there(path)]
    if there:
        return there
    if not (source.is_dir() or is_remote(source)):
        raise DataError(f"{source}: there is no such folder or file")
    raise DataError(
        f"{shown(source)}: has no train.json, val.json or test.json",
        "`mlc dataset-convert auto SOURCE DEST` makes them from the files of other tools.",
    )
