"""A cleaned copy of a data set: what is left out, by which rule, and the writing of it.

The rules, in this order:

1. Images that cannot be used are left out.
2. An image that is in several splits, by its path or its bytes, stays in the first of train, val
   and test alone.
3. Images have what their labels imply by the label rules, too.
4. Of files with the same bytes in one split the first stays, with what all of them know; if their
   labels contradict each other, all stay and are named.

Nearly equal pictures stay: a person has to look at them.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mlc_cli.core.datasets.columns import read_columns, write_columns
from mlc_cli.core.datasets.inspection.collection import Collection, Labels
from mlc_cli.core.datasets.inspection.inspect import Inspection
from mlc_cli.core.system.files import folder_beside
from mlc_cli.errors import DataError, MlcError, UsageError

LEFT_OUT = "left_out.json"
OUTSIDE = "outside"


@dataclass(frozen=True)
class Plan:
    """What becomes of each image.

    Attributes:
        left_out: Why images are left out, by row.
        labels: Labels that change because copies are joined, by row.
        kept_contradictions: Groups of copies that stay because their labels contradict.
    """

    left_out: dict[int, str] = field(default_factory=dict)
    labels: dict[int, Labels] = field(default_factory=dict)
    kept_contradictions: list[tuple[int, ...]] = field(default_factory=list)


def plan_cleaning(inspection: Inspection) -> Plan:
    """Decide by the rules above what stays.

    Raises:
        DataError: An annotation file cannot be read, or nothing would be left of a split.
    """
    collection = inspection.collection
    for name in collection.faults:
        raise DataError(
            f"--fix: the annotation file of {name} cannot be read",
            "Repair it first: nothing is guessed about labels.",
        )
    plan = Plan()
    files = inspection.files
    for row, reason in (files.problems if files else {}).items():
        plan.left_out[row] = f"the file {reason}"
    _part_splits(collection, plan)
    for group in inspection.duplicates.copies if inspection.duplicates else ():
        _join_copies(collection, group.rows, plan)
    for name in collection.names:
        if all(row in plan.left_out for row in collection.rows(name)):
            raise DataError(f"--fix: nothing would be left of {name}")
    return plan


def _part_splits(collection: Collection, plan: Plan) -> None:
    """Rule 2 by path; a file that cannot be used may still be in several splits."""
    seen: dict[str, str] = {}
    for name, split in collection.splits.items():
        for row, path in zip(collection.rows(name), split.paths, strict=True):
            first = seen.setdefault(os.path.normpath(split.folder / path), name)
            if first != name:
                plan.left_out.setdefault(row, f"the same file is in {first}")


def _join_copies(collection: Collection, rows: tuple[int, ...], plan: Plan) -> None:
    """Rule 2 by bytes, then rule 4."""
    rows = tuple(row for row in rows if row not in plan.left_out)
    if not rows:
        return
    home = collection.split_name(rows[0])
    for row in rows:
        if collection.split_name(row) != home:
            plan.left_out[row] = f"a copy is in {home}"
    same = [row for row in rows if row not in plan.left_out]
    joined = collection.labels(same[0])
    for row in same[1:]:
        if joined.contradicts(collection.labels(row)):
            plan.kept_contradictions.append(tuple(same))
            return
        joined = joined.joined(collection.labels(row))
    for row in same[1:]:
        plan.left_out[row] = f"a copy is in {home} already"
    if joined != collection.labels(same[0]):
        plan.labels[same[0]] = joined


def check_destination(source: Path, destination: Path) -> None:
    """Refuse a place that exists or that would change the source.

    Raises:
        UsageError: It does.
    """
    if destination.exists() or destination.is_symlink():
        raise UsageError(
            f"--fix {destination}: exists already", "Name a folder that does not exist yet."
        )
    folder = source if source.is_dir() else source.parent
    if Path(os.path.realpath(destination)).is_relative_to(os.path.realpath(folder)):
        raise UsageError(
            f"--fix {destination}: lies inside of the data set", "Name a folder beside it."
        )


def write_clean(
    inspection: Inspection,
    plan: Plan,
    destination: Path,
    progress: Callable[[int, int], object] | None = None,
) -> None:
    """Write the cleaned copy under a temporary name, then rename it.

    Images become hard links, or copies where the file system allows none.

    Args:
        inspection: Of the data set.
        plan: What stays.
        destination: A folder that does not exist.
        progress: Told how many of how many images are done.

    Raises:
        MlcError: It cannot be written.
    """
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with folder_beside(destination) as temporary:
            _write(inspection, plan, temporary, progress)
            temporary.chmod(0o755)
            temporary.rename(destination)
    except OSError as error:
        raise MlcError(
            f"--fix {destination} cannot be written: {error.strerror or error}",
            "Free some space or choose another place; the data set itself is untouched.",
        ) from error


def _write(
    inspection: Inspection,
    plan: Plan,
    folder: Path,
    progress: Callable[[int, int], object] | None,
) -> None:
    """Write annotations and images into a folder."""
    collection = inspection.collection
    images, done = _Images(collection, folder), 0
    for name in collection.names:
        with (folder / f"{name}.json").open("w", encoding="utf-8") as stream:
            for line in _lines(collection, name, plan, images):
                stream.write(line)
                done += 1
                if progress:
                    progress(min(done, len(collection)), len(collection))
        kept = read_columns(collection.splits[name].source)
        if kept.images:
            rows = [row for row in collection.rows(name) if row in images.paths]
            cells = {images.paths[r]: kept.images.get(collection.path(r), {}) for r in rows}
            write_columns(folder / f"{name}.json", kept.group, cells)
    left_out = [
        {"split": collection.split_name(row), "image": collection.path(row), "reason": reason}
        for row, reason in sorted(plan.left_out.items())
    ]
    (folder / LEFT_OUT).write_text(
        json.dumps(left_out, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


class _Images:
    """Puts images below a folder.

    Args:
        collection: Where they come from.
        folder: Where they go.
    """

    def __init__(self, collection: Collection, folder: Path) -> None:
        self._collection = collection
        self._folder = folder
        self._placed: dict[str, Path] = {}
        self.paths: dict[int, str] = {}

    def place(self, row: int) -> str:
        """Put an image there; its path below the folder, the same as before where it can be."""
        path = self._collection.path(row)
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts:
            path = f"{OUTSIDE}/{row}-{parts.name}"
        source = self._collection.file(row).resolve()
        if self._placed.setdefault(path, source) != source:  # splits may have folders of their own
            path = f"{self._collection.split_name(row)}/{path}"
        self.paths[row] = path
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            _link_or_copy(source, target)
        return path


def _link_or_copy(source: Path, target: Path) -> None:
    """A hard link, or a copy; a file that is there is never written to: it may be linked."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        with source.open("rb") as reader, target.open("xb") as writer:
            shutil.copyfileobj(reader, writer)


def _lines(collection: Collection, name: str, plan: Plan, images: _Images) -> Iterator[str]:
    """Text of an annotation file, an image a line; each image is placed as its line is made."""
    split = collection.splits[name]
    head = f'{{"classes": {_json(list(split.classes))},\n '
    if split.rules:
        head += f'"rules": {_json(split.rules.written())},\n '
    if split.unlisted == "unknown":
        head += '"unlisted": "unknown",\n '
    separator = f'{head}"images": [\n  '
    for row in collection.rows(name):
        if row in plan.left_out:
            continue
        labels = plan.labels.get(row) or collection.labels(row)
        entry = [images.place(row), [label for label in split.classes if label in labels.present]]
        others = [label for label in split.classes if label in labels.others]
        yield separator + _json([*entry, others] if others else entry)
        separator = ",\n  "
    yield "\n ]}\n"


def _json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False)
