"""Classes under other names, joined, or left out, as the user wants them.

Names of arrays: C classes before, L labels of all images.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.annotations import Annotation, Label, LabelSets, sorted_classes
from mlc_cli.core.datasets.converting.collect import Ints, among
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError, UsageError
from mlc_cli.text import nearest, some


def change_classes(
    annotation: Annotation,
    renames: Mapping[str, str],
    dropped: Collection[str],
    noted: IssueLog,
    *,
    listed: Sequence[Label] = (),
) -> Annotation:
    """Rename, join and leave out classes, and note the number of their labels.

    Of classes that become one, an image has the joint class if it has any of them, lacks it if it
    lacks all of them, and otherwise its state is unknown. New names are given by old ones, all at
    once; classes are dropped by either; `listed` are those of the source, also without labels.

    Raises:
        UsageError: There is no class of such a name.
        DataError: No class, or no label of those that there were, would be left.
    """
    if not renames and not dropped:
        return annotation
    labels_C = annotation.positives.counts_C(len(annotation.classes))
    used_C = labels_C + annotation.others.counts_C(len(annotation.classes))
    names = annotation.class_names
    there = {*map(str, listed), *(name for name, n in zip(names, used_C, strict=True) if n)}
    _check_names("--rename-class", renames, there)
    _check_names("--drop-class", dropped, there | set(renames.values()))
    new: list[Label | None] = []
    for old, count in zip(annotation.classes, labels_C.tolist(), strict=True):
        name = renames.get(str(old), str(old))
        if {str(old), name} & set(dropped):
            noted.add("classes that --drop-class leaves out", f"{old}: {count} labels")
            new.append(None)
            continue
        if name != str(old):
            noted.add("classes under another name", f"{old} becomes {name}: {count} labels")
        new.append(old if name == str(old) else name)
    return _changed(annotation, new, "--drop-class")


def old_classes(
    classes: Sequence[Label], renames: Mapping[str, str], dropped: Sequence[str]
) -> list[Label]:
    """The classes that a user fixes, with those that get one of their names or are left out later.

    Raises:
        UsageError: A new name is not among them.
    """
    names = set(map(str, classes))
    for old, new in renames.items():
        if new not in names:
            raise UsageError(
                f"--rename-class {old}={new}: {new} is not among the classes of --classes",
                f"They are {some(sorted(names), 30)}.",
            )
    return [*dict.fromkeys([*classes, *renames, *dropped])]


def drop_rare(annotation: Annotation, least: int, noted: IssueLog) -> Annotation:
    """Leave out classes on fewer images than `least`.

    Raises:
        DataError: None would be left.
    """
    counts_C = annotation.positives.counts_C(len(annotation.classes)).tolist()
    new = []
    for name, count in zip(annotation.classes, counts_C, strict=True):
        if count < least:
            noted.add(f"classes on fewer than {least} images, left out", f"{name}: {count}")
        new.append(name if count >= least else None)
    return _changed(annotation, new, "--min-images") if None in new else annotation


def _check_names(flag: str, names: Collection[str], there: Collection[str]) -> None:
    for name in names:
        if name not in there:
            raise UsageError(
                f"{flag} {name}: there is no such class{nearest(name, there)}",
                f"There are {some(sorted(there), 30)}.",
            )


def _changed(annotation: Annotation, new: Sequence[Label | None], flag: str) -> Annotation:
    """The same images with the class `new[c]` in place of each class c, or without it."""
    if len({type(name) for name in new} - {type(None)}) > 1:  # numbers beside names are names
        new = [name if name is None else str(name) for name in new]
    kept = dict.fromkeys(name for name in new if name is not None)
    if not kept:
        raise DataError(f"{annotation.source}: {flag} leaves no class")
    classes = sorted_classes([*kept], annotation.source)
    index = {name: number for number, name in enumerate(classes)}
    index_C = np.array([-1 if name is None else index[name] for name in new])
    present, _ = _codes(annotation.positives, index_C, len(classes))
    if annotation.positives.sizes_N().any() and not len(present):
        raise DataError(f"{annotation.source}: has labels, but {flag} leaves none of them")
    others, times = _codes(annotation.others, index_C, len(classes))
    if annotation.unlisted == "unknown":  # absent only if all that are joined are
        parts = np.bincount(index_C[index_C >= 0], minlength=len(classes))
        others = others[times == parts[others % len(classes)]]
    others = others[~among(others, present)]
    pairs = zip(annotation.class_names, new, strict=True)
    names = {old: None if name is None else str(name) for old, name in pairs}
    return replace(
        annotation,
        classes=classes,
        positives=LabelSets.of_codes(present, len(annotation), len(classes)),
        others=LabelSets.of_codes(others, len(annotation), len(classes)),
        rules=annotation.rules.renamed(names).among(classes, annotation.source),
    )


def _codes(sets: LabelSets, index_C: Ints, classes: int) -> tuple[Ints, NDArray[np.int64]]:
    """Labels as image × classes + class, sorted, and how many labels became each."""
    indexes_L = index_C[sets.indices]
    codes_L = (sets.owners() * classes + indexes_L)[indexes_L >= 0]
    codes, times = np.unique(codes_L, return_counts=True)
    return codes, times
