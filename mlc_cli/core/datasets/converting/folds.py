"""Folds of a data set: annotation files of which each leaves out one part of the images."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from mlc_cli.core.datasets.annotations import Annotation, LabelSets
from mlc_cli.core.datasets.checks import check_leak, check_same_classes
from mlc_cli.core.datasets.columns import read_columns, write_columns
from mlc_cli.core.datasets.converting.splits import group_by_name, number_groups, parts_of
from mlc_cli.core.datasets.formats.mlc import MLC_WRITER
from mlc_cli.core.datasets.leaks import find_leaks
from mlc_cli.core.datasets.packed import PackedStrings
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError
from mlc_cli.text import some

ALL = "images"
"""Name of the file of all images."""


def joined(first: Annotation, second: Annotation) -> Annotation:
    """The images of two splits as those of one, which keeps the name of the first.

    Raises:
        DataError: They share images, or are not written alike.
    """
    check_same_classes(first, second)
    check_leak(first, second)
    if (first.folder.resolve(), first.unlisted) != (second.folder.resolve(), second.unlisted):
        raise DataError(
            f"{first.source} and {second.source}: their `image_root` or `unlisted` is not the same",
            f"Write them alike with: mlc dataset-convert mlc {first.source.parent} DEST",
        )
    return with_images(first, list(second.paths), second.positives, second.others)


def with_images(
    split: Annotation, paths: list[str], positives: LabelSets, others: LabelSets
) -> Annotation:
    """A split with further images behind its own."""
    return replace(
        split,
        paths=PackedStrings.pack([*split.paths, *paths]),
        positives=_stacked(split.positives, positives),
        others=_stacked(split.others, others),
    )


def _stacked(first: LabelSets, second: LabelSets) -> LabelSets:
    starts = np.concatenate([first.starts, first.starts[-1] + second.starts[1:]])
    return LabelSets(np.concatenate([first.indices, second.indices]), starts)


def write_folds(
    folder: Path, splits: list[Annotation], folds: int, seed: int, group_by: str | None
) -> list[str]:
    """Write `images.json` and, for each fold, `0/train.json` and `0/val.json`, and so on.

    Every class is shared out evenly; images with the same match of a pattern in their paths, or the
    same value in the column that `mlc dataset-convert --group-column` named, stay together.

    Returns:
        What was done, and what the user should know about it, a text for each.

    Raises:
        DataError: The splits do not go together, or there are too few images.
    """
    whole = joined(*splits) if len(splits) > 1 else splits[0]
    beside = [read_columns(split.source) for split in splits]
    cells = {path: own for one in beside for path, own in one.images.items()}
    group = next((one.group for one in beside if one.group), "")
    alone, group_N = IssueLog(), None
    if group_by is not None:
        group_N = group_by_name(whole, re.compile(group_by), alone)
    elif group:
        names = (cells.get(path, {}).get(group) for path in whole.paths)
        group_N = number_groups(whole, names, f"without a {group}", alone)
    units = len(whole) if group_N is None else int(group_N.max()) + 1
    if units < folds:
        raise DataError(f"{whole.source}: {units} images or groups are too few for {folds} folds")
    fold_N = parts_of(whole, [1.0] * folds, seed, group_N)
    for fold in range(folds):
        parts = {"train": fold_N != fold, "val": fold_N == fold}
        own = {name: whole.take(np.flatnonzero(inside_N)) for name, inside_N in parts.items()}
        MLC_WRITER.write(own, folder / str(fold))
    if cells:
        write_columns(folder / f"{ALL}.json", group, cells)
    MLC_WRITER.write({ALL: whole}, folder)
    images = " and ".join(f"{len(split)} of {split.source}" for split in splits)
    kept = "" if group_N is None else f"; {units} groups stay together"
    said = f"folds  {len(whole)} images in {folds} folds ({images}){kept}"
    paths = {str(k): [whole.paths[n] for n in np.flatnonzero(fold_N == k)] for k in range(folds)}
    rows = {k: [cells.get(path, {}) for path in own] for k, own in paths.items()}
    leaks = find_leaks(paths, rows, group, by_name=not group) if group_by is None else []
    return [said, *filter(None, [alone.lines()])] + [
        f"warning: {len(leak.groups)} groups {leak.what} lie in several folds"
        f" ({some(leak.groups, 3)}): scores of images whose like was learnt are too good"
        f" ({leak.flag.replace('--group-by ', '--set data.group_by=')} keeps them together)"
        for leak in leaks
    ]
