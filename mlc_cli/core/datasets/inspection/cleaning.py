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

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from mlc_cli.core.datasets.annotations import Annotation, SetsBuilder
from mlc_cli.core.datasets.columns import read_columns, write_columns
from mlc_cli.core.datasets.converting.copying import atomic_output, put_file
from mlc_cli.core.datasets.formats.mlc import MLC_WRITER
from mlc_cli.core.datasets.inspection.collection import Collection, Labels
from mlc_cli.core.datasets.inspection.inspect import Inspection
from mlc_cli.core.datasets.packed import PackedStrings
from mlc_cli.core.system.files import write_json
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError, UsageError

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
    for row, first in collection.shared_paths():  # rule 2 by path
        plan.left_out.setdefault(row, f"the same file is in {first}")
    for group in inspection.duplicates.copies if inspection.duplicates else ():
        _join_copies(collection, group.rows, plan)
    for name in collection.names:
        if all(row in plan.left_out for row in collection.rows(name)):
            raise DataError(f"--fix: nothing would be left of {name}")
    return plan


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
    """Write the cleaned copy, which appears only when it is whole.

    Images become hard links, or copies where the file system allows none.

    Raises:
        MlcError: It cannot be written.
    """
    with atomic_output(destination) as folder:
        _write(inspection, plan, folder, progress)


def _write(
    inspection: Inspection, plan: Plan, folder: Path, progress: Callable[[int, int], object] | None
) -> None:
    """Put images into a folder, then write the annotations of what is there."""
    collection = inspection.collection
    paths: dict[int, str] = {}
    sources: dict[str, Path] = {}
    for row in range(len(collection)):
        if row not in plan.left_out:
            paths[row] = _put(collection, row, folder, sources)
        if progress:
            progress(row + 1, len(collection))
    splits = {name: _cleaned(collection, name, plan, paths, folder) for name in collection.names}
    MLC_WRITER.write(splits, folder)
    for name, split in collection.splits.items():
        kept = read_columns(split.source)
        if kept.images:
            rows = [row for row in collection.rows(name) if row in paths]
            cells = {paths[row]: kept.images.get(collection.path(row), {}) for row in rows}
            write_columns(folder / f"{name}.json", kept.group, cells)
    left_out = [
        {"split": collection.split_name(row), "image": collection.path(row), "reason": reason}
        for row, reason in sorted(plan.left_out.items())
    ]
    write_json(folder / LEFT_OUT, left_out)


def _put(collection: Collection, row: int, folder: Path, sources: dict[str, Path]) -> str:
    """Put an image into a folder; its path there, the same as before where it can be."""
    path = collection.path(row)
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        path = f"{OUTSIDE}/{row}-{parts.name}"
    source = collection.file(row).resolve()
    if sources.setdefault(path, source) != source:  # splits may have folders of their own
        path = f"{collection.split_name(row)}/{path}"
    if not (folder / path).exists():
        try:
            put_file(source, folder / path, "hardlink")
        except OSError:  # "copy" fails again where the place is taken
            put_file(source, folder / path, "copy")
    return path


def _cleaned(
    collection: Collection, name: str, plan: Plan, paths: Mapping[int, str], folder: Path
) -> Annotation:
    """The annotation of what stays of a split."""
    split = collection.splits[name]
    rows = [row for row in collection.rows(name) if row in paths]
    index = {label: c for c, label in enumerate(split.classes)}
    positives, others = SetsBuilder(index), SetsBuilder(index)
    for row in rows:
        labels = plan.labels.get(row) or collection.labels(row)
        positives.add(list(labels.present), paths[row], IssueLog())
        others.add(list(labels.others), paths[row], IssueLog())
    return replace(
        split,
        folder=folder,
        paths=PackedStrings.pack([paths[row] for row in rows]),
        positives=positives.build(),
        others=others.build(),
    )
