"""From the samples of a source to compact arrays, in one pass.

Where an image comes more than once, what is said of a label beats what is not said, and present
beats both: present > in the other list > in neither.

Names of arrays: N images, L labels of all samples, P positions of classes in the order in which
they came.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.annotations import Annotation, Label, LabelSets
from mlc_cli.core.datasets.converting.class_index import ClassIndex
from mlc_cli.core.datasets.formats.base import Source
from mlc_cli.core.datasets.formats.shared.split_names import meaning
from mlc_cli.core.datasets.packed import PackedStrings
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError
from mlc_cli.text import SHOWN

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Findings:
    """What a conversion has to tell.

    Attributes:
        dropped: What of the source is not in the result.
        noted: What else a user of the result should know.
        remarks: What the reader has to say of how it read.
        named: Other names for paths in all of this, such as that of a zip file.
    """

    dropped: IssueLog = field(default_factory=IssueLog)
    noted: IssueLog = field(default_factory=IssueLog)
    remarks: list[str] = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)

    def said(self, text: str) -> str:
        """A text with these other names."""
        for old, name in self.named.items():
            text = text.replace(old, name)
        return text

    def use_names(self) -> None:
        """Use these names in all that was found."""
        for log in (self.dropped, self.noted):
            for kind, examples in log.examples.items():
                log.examples[kind] = list(map(self.said, examples))
        self.remarks[:] = map(self.said, self.remarks)

    def lines(self, already: str = "") -> str:
        """All of it but what is in some text already; empty if nothing was lost or odd."""
        titled = [
            f"{title}:\n{lines}"
            for title, log in (("noted", self.noted), ("dropped", self.dropped))
            if (lines := log.lines()) and lines not in already
        ]
        return "\n".join([*self.remarks, *titled] if titled else [])


@dataclass(frozen=True)
class Collected:
    """A whole source.

    Attributes:
        annotation: All images, in the order in which they first came.
        splits: Names of the splits, as the source has them.
        split_N: Split of each image.
        cells_N: Cells of each image that stay beside the annotation, by column; empty without any.
    """

    annotation: Annotation
    splits: tuple[str, ...]
    split_N: Ints
    cells_N: Sequence[Mapping[str, str]] = ()

    def take(self, images_N: Ints) -> "Collected":
        """Some of the images, in that order."""
        cells_N = [self.cells_N[image] for image in images_N] if self.cells_N else ()
        kept = self.annotation.take(images_N)
        return Collected(kept, self.splits, self.split_N[images_N], cells_N)

    def by_split(self) -> dict[str, Annotation]:
        """The images of each split that has some."""
        return {
            name: self.annotation.take(np.flatnonzero(self.split_N == split))
            for split, name in enumerate(self.splits)
            if (self.split_N == split).any()
        }


def collect(
    source: Source,
    origin: Path,
    findings: Findings,
    *,
    classes: Sequence[Label] | None = None,
    drop_unknown_labels: bool = False,
    join_splits: bool = False,
) -> Collected:
    """Read all samples of a source; `classes` are those that the user fixes.

    Raises:
        DataError: There are no images or no classes, or a label is not one of the classes.
    """
    rows = _Rows(ClassIndex(source.classes if classes is None else classes))
    rows.read(source, findings, join_splits=join_splits)
    if not rows.split_N:
        raise DataError(f"{origin}: no images were found", findings.dropped.lines())
    names = rows.positions.names(origin)
    positions_L = np.concatenate([labels.positions_L() for labels in rows.lists])
    counts = np.bincount(-1 - positions_L[positions_L < 0]).tolist()
    rows.positions.check_unknown_labels(counts, origin, findings.dropped, drop=drop_unknown_labels)
    paths = rows.paths()
    _note_twins(paths, findings.noted)
    again = [name for name in rows.splits if "trainval" in name.lower()]
    if again and {"train", "val"} <= {meaning(name) for name in rows.splits if name not in again}:
        kind = "splits that list images of train and val again (train on one or the other)"
        findings.noted.add(kind, again[0])
    present, others = (labels.codes(rows.positions.sorted_rank_P(names)) for labels in rows.lists)
    both = among(others, present)
    other = "unknown" if source.unlisted == "absent" else "absent"
    kind = f"labels both present and {other} (present counts)"
    _add(findings.dropped, kind, paths, others[both] // len(names))
    annotation = Annotation(
        source=origin,
        folder=source.image_root,
        classes=names,
        paths=paths,
        positives=LabelSets.of_codes(present, len(paths), len(names)),
        others=LabelSets.of_codes(others[~both], len(paths), len(names)),
        unlisted=source.unlisted,
        rules=source.rules.renamed({name: name for name in map(str, names)}).among(names, origin),
    )
    cells = {_plain(path): own for path, own in source.cells.items()}
    cells_N = [cells.get(path, {}) for path in paths] if cells else ()
    return Collected(annotation, tuple(rows.splits), np.array(rows.split_N, np.int64), cells_N)


class _Labels:
    """Labels of all samples: 8 bytes each."""

    def __init__(self) -> None:
        self.images = array("I")
        self.positions = array("i")

    def positions_L(self) -> NDArray[np.int32]:
        """Position of each label, without a copy."""
        return np.frombuffer(self.positions, np.int32)

    def codes(self, rank_P: Ints) -> Ints:
        """Labels as image × classes + class, sorted, each once; unknown ones left out."""
        images_L, positions_L = np.frombuffer(self.images, np.uint32), self.positions_L()
        if (positions_L < 0).any():
            known_L = positions_L >= 0
            images_L, positions_L = images_L[known_L], positions_L[known_L]
        codes_L = images_L.astype(np.int64)
        codes_L *= len(rank_P)
        codes_L += rank_P[positions_L]
        codes_L.sort()
        return codes_L[np.diff(codes_L, prepend=-1) > 0]


class _Rows:
    """Samples in flat arrays, images numbered as they first come."""

    def __init__(self, positions: ClassIndex) -> None:
        self.positions = positions
        self.splits: dict[str, int] = {}
        self.split_N = array("I")
        self.lists = _Labels(), _Labels()  # labels that are present, and the others
        self._numbers: dict[str, dict[str, int]] = {}
        self._blob = bytearray()
        self._offsets = array("q", [0])

    def read(self, source: Source, findings: Findings, *, join_splits: bool) -> None:
        """Add all samples."""
        position, (first, second) = self.positions.__getitem__, self.lists
        last_path, last_split, image = None, None, None
        for path, present, others, split in source.samples:
            if path != last_path or split != last_split or not source.scattered:
                last_path, last_split = path, split
                image = self._number(path, "" if join_splits else split, source, findings)
            if image is None:
                continue
            for own, labels in ((first, present), (second, others)):
                for label in labels:
                    own.images.append(image)
                    own.positions.append(position(label))
        self._numbers.clear()

    def _number(self, path: str, split: str, source: Source, findings: Findings) -> int | None:
        """Number of an image, a new one if it has none; `None` if its path cannot be written."""
        plain = _plain(path)
        number = self._numbers.setdefault(split, {}).get(plain)
        if number is None:
            return self._start(plain, split, findings)
        if not source.scattered:
            findings.noted.add("images listed again (labels joined)", plain)
        return number

    def _start(self, path: str, split: str, findings: Findings) -> int | None:
        try:
            self._blob += path.encode()
        except UnicodeEncodeError:
            findings.dropped.add("images whose path is not text", ascii(path))
            return None
        if any(path in numbers for numbers in self._numbers.values()):
            findings.noted.add("images in more than one split", path)
        number = self._numbers[split][path] = len(self.split_N)
        self._offsets.append(len(self._blob))
        self.split_N.append(self.splits.setdefault(split, len(self.splits)))
        return number

    def paths(self) -> PackedStrings:
        """Path of each image."""
        return PackedStrings(bytes(self._blob), np.array(self._offsets))


def _plain(path: str) -> str:
    """A path without parts that mean nothing; those that lead elsewhere stay, to be refused."""
    if "./" not in path and "//" not in path:
        return path
    root = "/" if path.startswith("/") else ""
    return root + "/".join(part for part in path.split("/") if part not in ("", "."))


def check_floor(annotation: Annotation, findings: Findings) -> None:
    """Refuse a result without any label: nothing can be learnt or measured with it.

    Raises:
        DataError: No image has a label; names the most frequent reason to drop some.
    """
    if annotation.positives.sizes_N().any():
        return
    dropped = findings.dropped.counts
    if not dropped:
        raise DataError(
            f"{annotation.source}: none of its {len(annotation)} images has a label",
            "Are the labels in other files, or is it another format? Name it in place of auto.",
        )
    kind = max(dropped, key=lambda name: dropped[name])
    raise DataError(
        f"{annotation.source}: none of the labels would be left. {findings.dropped.lines()}",
        f"The likely cause: {kind}.",
    )


def among(codes: Ints, sorted_codes: Ints) -> NDArray[np.bool_]:
    """Which codes are among others."""
    if not len(sorted_codes):
        return np.zeros(len(codes), np.bool_)
    positions = np.searchsorted(sorted_codes, codes)
    return np.equal(sorted_codes[np.minimum(positions, len(sorted_codes) - 1)], codes)


def _note_twins(paths: PackedStrings, noted: IssueLog) -> None:
    """Say which images have names that differ from another's in case alone."""
    folded_N = np.fromiter((hash(path.casefold()) for path in paths), np.int64, len(paths))
    _, first, count = np.unique(folded_N, return_index=True, return_counts=True)
    if len(first) == len(paths):
        return
    again = np.isin(folded_N, folded_N[first[count > 1]])
    spelled: dict[str, str] = {}
    for image in np.flatnonzero(again).tolist():
        path = paths[image]
        if spelled.setdefault(path.casefold(), path) != path:
            noted.add("images whose path differs from that of another in case alone", path)


def _add(log: IssueLog, kind: str, paths: PackedStrings, images: Ints) -> None:
    """Count images, with the paths of the first ones."""
    for image in images[:SHOWN].tolist():
        log.add(kind, paths[image])
    if len(images) > SHOWN:
        log.add(kind, "", len(images) - SHOWN)
