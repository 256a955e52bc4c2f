"""Splits of a data set: their names in the result, and dividing a data set anew."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.converting.collect import Collected
from mlc_cli.core.datasets.formats.base import Sample, Source
from mlc_cli.core.datasets.formats.shared.split_names import SPLITS, meaning, split_of_folders
from mlc_cli.core.datasets.stratify import Units, share_out
from mlc_cli.core.system.issues import IssueLog

RESERVED = "convert"
"""No split has this name: its file would be that of the record."""


def rename_splits(names: Iterable[str]) -> dict[str, str]:
    """The name of each split in the result, fit for a file.

    A name whose meaning two claim stays as it is, as do those without a clear one.
    """
    names = list(names)
    claims = [meaning(name) for name in names]
    result: dict[str, str] = {}
    for name, claim in zip(names, claims, strict=True):
        own = name if name in SPLITS or claims.count(claim) > 1 else claim or name
        result[name] = _free(_for_file(own), result.values())
    return result


def _for_file(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("._-") or "rest"


def _free(name: str, taken: Iterable[str]) -> str:
    taken = [*taken, RESERVED]
    numbered = (f"{name}-{number}" for number in count(2))
    return next(choice for choice in chain([name], numbered) if choice not in taken)


def with_splits(source: Source, names: Mapping[str, str], seen: set[str]) -> Source:
    """A source whose splits have other names; those that it has are added to `seen`."""

    def samples() -> Iterator[Sample]:
        for sample in source.samples:
            seen.add(sample.split)
            yield sample._replace(split=names.get(sample.split, sample.split))

    return replace(source, samples=samples())


def by_folders(whole: Collected, remarks: list[str]) -> Collected:
    """The same with other splits: where none is told, the folders that images lie in tell them.

    All have to lie in folders of splits, of more than one.
    """
    paths = whole.annotation.paths
    if whole.splits != ("",) or not split_of_folders(paths[0]):
        return whole
    names = list(map(split_of_folders, paths))
    if not all(names) or len(set(map(meaning, names))) == 1:
        return whole
    remarks.append("the folders of the images tell the split")
    splits, split_N = np.unique(names, return_inverse=True)
    return replace(whole, splits=tuple(splits.tolist()), split_N=split_N)


def in_order(splits: Mapping[str, Annotation]) -> dict[str, Annotation]:
    """The same, train, val and test first."""
    names = sorted(splits, key=lambda name: SPLITS.index(name) if name in SPLITS else len(SPLITS))
    return {name: splits[name] for name in names}


def divide(
    annotation: Annotation, shares: Sequence[float], seed: int, group_N: NDArray[np.int64] | None
) -> dict[str, Annotation]:
    """Divide images into splits as `parts_of` does."""
    part_N = parts_of(annotation, shares, seed, group_N)
    return {
        name: annotation.take(np.flatnonzero(part_N == part))
        for part, name in zip(range(len(shares)), SPLITS, strict=False)
    }


def parts_of(
    annotation: Annotation, shares: Sequence[float], seed: int, group_N: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Part of each image, so that every class is shared out evenly, and groups stay together.

    Groups are numbered from 0 without gaps; the seed decides between equals.
    """
    unit_N = np.arange(len(annotation)) if group_N is None else group_N
    owners, labels = annotation.positives.owners(), annotation.positives.indices.astype(np.int64)
    units = Units.of_images(unit_N, owners, labels, len(annotation.classes))
    return share_out(units, shares, seed)[unit_N]


def group_by_name(
    annotation: Annotation, pattern: re.Pattern[str], noted: IssueLog
) -> NDArray[np.int64]:
    """Group of each image, from 0 without gaps: what a pattern, or its first group, matches.

    An image without a match is a group of its own.
    """
    found = map(pattern.search, annotation.paths)
    names = [match and (match[min(1, pattern.groups)] or "") for match in found]
    return number_groups(annotation, names, "that --group-by does not match", noted)


def number_groups(
    annotation: Annotation, names: Iterable[str | None], alone: str, noted: IssueLog
) -> NDArray[np.int64]:
    """Group of each image, from 0 without gaps, by the names of the groups.

    An image without one is a group of its own; `alone` says so in words that follow `images`.
    """
    numbers: dict[str, int] = {}
    group_N = np.empty(len(annotation), np.int64)
    for image, (path, name) in enumerate(zip(annotation.paths, names, strict=True)):
        if name is None:
            noted.add(f"images {alone}, each a group of its own", path)
        key = f"{name is None}{path if name is None else name}"
        group_N[image] = numbers.setdefault(key, len(numbers))
    return group_N


def missing_classes(splits: Mapping[str, Annotation]) -> dict[str, list[str]]:
    """Classes without a positive, for each split that lacks some which others have."""
    counts = {name: split.positives.counts_C(len(split.classes)) for name, split in splits.items()}
    anywhere_C = np.sum(list(counts.values()), axis=0) > 0
    lacking = {
        name: [splits[name].class_names[c] for c in np.flatnonzero(anywhere_C & (counts_C == 0))]
        for name, counts_C in counts.items()
    }
    return {name: classes for name, classes in lacking.items() if classes}
