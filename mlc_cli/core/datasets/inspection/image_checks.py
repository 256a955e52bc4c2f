"""Findings about the image files and about images that are there more than once."""

import os
from collections.abc import Iterable, Iterator

import numpy as np

from mlc_cli.core.datasets.formats.shared.images import walk_images
from mlc_cli.core.datasets.inspection.collection import Collection
from mlc_cli.core.datasets.inspection.duplicates import Alike, Duplicates
from mlc_cli.core.datasets.inspection.issues import LONG, SMALL, Finding, found
from mlc_cli.core.datasets.inspection.scan import Files
from mlc_cli.core.system.addresses import is_remote

_PROBLEMS = {
    "is missing": "missing-images",
    "leads out of the image folder": "outside-images",
    "is truncated": "truncated-images",
}


def image_checks(collection: Collection, files: Files) -> Iterator[Finding]:
    """What is wrong with image files."""
    problems: dict[str, list[str]] = {}
    for row, reason in files.problems.items():
        kind = "large-images" if "megapixels" in reason else "unreadable-images"
        title = collection.title(row) + ("" if reason in _PROBLEMS else f": {reason}")
        problems.setdefault(_PROBLEMS.get(reason, kind), []).append(title)
    for kind, titles in problems.items():
        yield from found(kind, titles)
    damaged = [f"{collection.title(row)}: {what}" for row, what in files.damaged.items()]
    yield from found("damaged-images", damaged)
    facts_N = files.facts_N
    shorter_N = np.minimum(facts_N["width"], facts_N["height"])
    longer_N = np.maximum(facts_N["width"], facts_N["height"])
    for kind, odd_N in (
        ("one-shade", facts_N["flat"]),
        ("small-images", files.usable_N & (shorter_N < SMALL)),
        ("long-images", longer_N > LONG * shorter_N),
        ("transparent-images", facts_N["transparent"]),
    ):
        yield from found(kind, _titles(collection, np.flatnonzero(odd_N).tolist()))
    dim = _titles(collection, np.flatnonzero(facts_N["bits"]).tolist())
    yield from found("dim-images", dim, bits=max(8, facts_N["bits"].max(initial=0)))
    yield from _not_listed(collection)


def _titles(collection: Collection, rows: Iterable[int]) -> list[str]:
    return list(map(collection.title, rows))


def _not_listed(collection: Collection) -> list[Finding]:
    """Image files in the folder that no annotation lists."""
    folders = {split.folder for split in collection.splits.values()}
    elsewhere = any(split.pieces for split in collection.splits.values())
    elsewhere = elsewhere or is_remote(collection.source)
    if collection.faults or elsewhere or folders != {collection.source}:
        return []
    listed = {os.path.normpath(split.paths[image]) for split, image in collection.files()}
    there = walk_images(collection.source)
    return found("not-listed", [path for path in there if os.path.normpath(path) not in listed])


def duplicate_checks(collection: Collection, duplicates: Duplicates) -> Iterator[Finding]:
    """What is wrong with images that are there more than once."""
    contradicting = [group.rows[:4] for group in duplicates.copies if group.contradict]
    words = [" = ".join(_titles(collection, rows)) for rows in contradicting]
    yield from found("contradicting-copies", words)
    inside, across = _sort_copies(collection, duplicates)
    for (first, second), words in across.items():
        yield from found("copies-across-splits", words, first=first, second=second)
    yield from found("copies", inside)
    alike: dict[tuple[str, str], list[str]] = {}
    for pair in duplicates.alike:
        splits = collection.split_name(pair.first), collection.split_name(pair.second)
        alike.setdefault(splits, []).append(_words(collection, pair))
    for (first, second), words in alike.items():
        kind = "near-copies" if first == second else "near-copies-across-splits"
        yield from found(kind, words, first=first, second=second)
    words = [_words(collection, pair) for pair in duplicates.alike if pair.contradict]
    yield from found("near-copies-contradict", words)
    if not duplicates.complete:
        yield from found("near-copies-many", number=len(duplicates.alike))


def _sort_copies(
    collection: Collection, duplicates: Duplicates
) -> tuple[list[str], dict[tuple[str, str], list[str]]]:
    """Copies within a split whose labels agree, and copies across splits, as words.

    What has one path in two splits is a finding of its own, made without opening files.
    """
    inside: list[str] = []
    across: dict[tuple[str, str], list[str]] = {}
    for group in duplicates.copies:
        first, *others = group.rows
        home, title = collection.split_name(first), collection.title(first)
        paths = {row: os.path.normpath(collection.file(row)) for row in group.rows}
        at_home = {paths[row] for row in group.rows if collection.split_name(row) == home}
        for row in others:
            split = collection.split_name(row)
            if split == home and not group.contradict:
                inside.append(f"{collection.title(row)} = {collection.path(first)}")
            elif split != home and paths[row] not in at_home:
                across.setdefault((home, split), []).append(f"{collection.path(row)} = {title}")
    return inside, across


def _words(collection: Collection, pair: Alike) -> str:
    first, second = _titles(collection, (pair.first, pair.second))
    return f"{first} ~ {second} ({pair.distance} of 64 bits)"
