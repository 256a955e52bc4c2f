"""Findings about the image files and about images that are there more than once."""

import os
from collections.abc import Iterator

import numpy as np

from mlc_cli.core.datasets.formats.shared.images import walk_images
from mlc_cli.core.datasets.inspection.collection import Collection
from mlc_cli.core.datasets.inspection.duplicates import Alike, Duplicates
from mlc_cli.core.datasets.inspection.issues import Finding, Severity, many
from mlc_cli.core.datasets.inspection.scan import Files

SMALL = 32
LONG = 4.0
_PROBLEMS = {
    "is missing": ("missing-images", "is missing|are missing"),
    "leads out of the image folder": (
        "outside-images",
        "leads out of the image folder|lead out of the image folder",
    ),
    "is truncated": ("truncated-images", "is truncated|are truncated"),
    "too large": ("large-images", "has too many pixels|have too many pixels"),
}
_REPAIRS = {
    "missing-images": "Put the files where the annotation says, or name another folder with"
    " `--set image_root=DIR`; --fix leaves them out.",
    "outside-images": "Put the files into the folder, or accept it here with"
    " `--set allow_outside_root=true`, in training with `--set data.allow_outside_root=true`.",
    "large-images": "Shrink them, or raise `--set max_megapixels=N` here and"
    " `--set data.max_megapixels=N` in training.",
}
_UNREADABLE = ("unreadable-images", "cannot be read|cannot be read")
_REPLACE = "Get the files anew; --fix leaves them out."


def image_checks(collection: Collection, files: Files) -> Iterator[Finding]:
    """What is wrong with image files."""
    yield from _problems(collection, files)
    widths_N, heights_N = files.sizes_N2[:, 0], files.sizes_N2[:, 1]
    usable_N = files.usable_N
    yield from _noted(
        collection,
        files.flat_N,
        "one-shade",
        "image is of one shade|images are of one shade",
        "They show nothing, or stand for pictures that were lost: look at them.",
    )
    yield from _noted(
        collection,
        usable_N & (files.sizes_N2.min(axis=1) < SMALL),
        "small-images",
        f"image is smaller than {SMALL} pixels|images are smaller than {SMALL} pixels",
        "Little is left to see in them: take them out, or get larger ones.",
    )
    longer_N = np.maximum(widths_N, heights_N) > LONG * np.minimum(widths_N, heights_N)
    yield from _noted(
        collection,
        usable_N & longer_N,
        "long-images",
        f"image is over {LONG:g} times as long as wide|images are over {LONG:g} times as long as"
        " wide",
        "Images are squashed to the model's input: cut these into parts.",
    )
    yield from _noted(
        collection,
        files.transparent_N,
        "transparent-images",
        "image has transparency|images have transparency",
        "It is dropped when they are read, and what was hidden shows: lay them on a background.",
    )
    yield from _not_listed(collection)


def _noted(
    collection: Collection, found_N: np.ndarray, kind: str, what: str, repair: str
) -> list[Finding]:
    return many("note", kind, what, _titles(collection, np.flatnonzero(found_N).tolist()), repair)


def _titles(collection: Collection, rows: list[int]) -> list[str]:
    return [collection.title(row) for row in rows]


def _problems(collection: Collection, files: Files) -> Iterator[Finding]:
    found: dict[tuple[str, str], list[str]] = {}
    for row, reason in files.problems.items():
        simple = "too large" if "megapixels" in reason else reason
        kind, what = _PROBLEMS.get(simple, _UNREADABLE)
        words = collection.title(row)
        if kind in ("large-images", "unreadable-images"):
            words = f"{words}: {reason}"
        found.setdefault((kind, what), []).append(words)
    for (kind, what), rows in found.items():
        one, several = what.split("|")
        repair = _REPAIRS.get(kind, _REPLACE)
        yield from many("error", kind, f"image {one}|images {several}", rows, repair)


def _not_listed(collection: Collection) -> list[Finding]:
    """Image files in the folder that no annotation lists."""
    folders = {split.folder for split in collection.splits.values()}
    if collection.faults or folders != {collection.source}:
        return []
    listed = {os.path.normpath(path) for _, path in collection.files()}
    found = [
        path for path in walk_images(collection.source) if os.path.normpath(path) not in listed
    ]
    return many(
        "note",
        "not-listed",
        "image file is in the folder but in no annotation"
        "|image files are in the folder but in no annotation",
        found,
        "They are not used. An image without labels is listed as [path, []].",
    )


def duplicate_checks(collection: Collection, duplicates: Duplicates) -> Iterator[Finding]:
    """What is wrong with images that are there more than once."""
    inside, across, contradicting = _sort_copies(collection, duplicates)
    yield from many(
        "warning",
        "contradicting-copies",
        "image is there several times with labels that contradict"
        "|images are there several times with labels that contradict",
        contradicting,
        "Look which labels are right and keep one of each; --fix leaves those of one split as they"
        " are.",
    )
    for (first, second), found in across.items():
        yield from many(
            "error",
            "copies-across-splits",
            f"file of {second} is a copy of one in {first}"
            f"|files of {second} are copies of files in {first}",
            found,
            f"Metrics on images that were trained or chosen on mean little: take them out of"
            f" {second}; --fix does.",
        )
    yield from many(
        "warning",
        "copies",
        "file is a copy of another in its split|files are copies of others in their split",
        inside,
        "Each copy counts again in training and metrics: keep one; --fix does.",
    )
    yield from _judge_alike(collection, duplicates)


def _sort_copies(
    collection: Collection, duplicates: Duplicates
) -> tuple[list[str], dict[tuple[str, str], list[str]], list[str]]:
    """Copies as words: within a split, across splits, and those that contradict.

    What has one path in two splits is a finding of its own, made without opening files.
    """
    inside: list[str] = []
    across: dict[tuple[str, str], list[str]] = {}
    contradicting: list[str] = []
    for group in duplicates.copies:
        if group.contradict:
            contradicting.append(" = ".join(_titles(collection, list(group.rows[:4]))))
        first = group.rows[0]
        home = collection.split_name(first)
        at_home = {
            os.path.normpath(collection.file(row))
            for row in group.rows
            if collection.split_name(row) == home
        }
        for row in group.rows[1:]:
            split = collection.split_name(row)
            if split != home:
                if os.path.normpath(collection.file(row)) not in at_home:
                    words = f"{collection.path(row)} = {collection.title(first)}"
                    across.setdefault((home, split), []).append(words)
            elif not group.contradict:
                inside.append(f"{collection.title(row)} = {collection.path(first)}")
    return inside, across, contradicting


def _judge_alike(collection: Collection, duplicates: Duplicates) -> Iterator[Finding]:
    found: dict[tuple[str, str], list[Alike]] = {}
    for pair in duplicates.alike:
        splits = collection.split_name(pair.first), collection.split_name(pair.second)
        found.setdefault(splits, []).append(pair)
    for (first, second), pairs in found.items():
        within = first == second
        severity: Severity = "note" if within else "warning"
        where = f"in {first}" if within else f"one in {first}, one in {second}"
        yield from many(
            severity,
            "near-copies" if within else "near-copies-across-splits",
            f"pair of nearly equal images {where}|pairs of nearly equal images {where}",
            [_words(collection, pair) for pair in pairs],
            "Compare them side by side (--html): copies at another size or quality add little."
            if within
            else "Compare them side by side (--html): if they are one picture, take it out of"
            f" {second}.",
        )
    yield from many(
        "note",
        "near-copies-contradict",
        "pair of nearly equal images has labels that contradict"
        "|pairs of nearly equal images have labels that contradict",
        [_words(collection, pair) for pair in duplicates.alike if pair.contradict],
        "Compare them side by side (--html): if they are one picture, one of the labels is wrong.",
    )
    if not duplicates.complete:
        yield Finding(
            "note",
            "near-copies-many",
            f"only the first {len(duplicates.alike):,} pairs of nearly equal images were looked at",
            "Pass a smaller --near.",
        )


def _words(collection: Collection, pair: Alike) -> str:
    return (
        f"{collection.title(pair.first)} ~ {collection.title(pair.second)}"
        f" ({pair.distance} of 64 bits)"
    )
