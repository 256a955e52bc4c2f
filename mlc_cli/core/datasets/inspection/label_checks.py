"""Findings about annotation files, classes and labels; no image is opened for them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.checks import check_classes
from mlc_cli.core.datasets.columns import read_columns
from mlc_cli.core.datasets.completing import BLOCK
from mlc_cli.core.datasets.inspection import names as suspicious
from mlc_cli.core.datasets.inspection.collection import SPLITS, Collection
from mlc_cli.core.datasets.inspection.issues import FEW, Finding, found
from mlc_cli.core.datasets.inspection.statistics import Statistics
from mlc_cli.core.datasets.leaks import find_leaks
from mlc_cli.core.datasets.rules import BoundRules
from mlc_cli.errors import DataError
from mlc_cli.text import SHOWN


def label_checks(collection: Collection, statistics: Statistics) -> Iterator[Finding]:
    """All findings that need no image."""
    yield from _files(collection)
    yield from _shared_paths(collection)
    yield from _leaks(collection)
    yield from _rules(collection)
    yield from _classes(statistics)
    yield from _images(collection)
    yield from _names([name for name in statistics.classes if isinstance(name, str)])
    positives_C = statistics.positives_C
    same = [
        f"{statistics.classes[pair.first]} / {statistics.classes[pair.second]}: {pair.images}"
        for pair in statistics.pairs()
        if pair.images == positives_C[pair.second] == positives_C[pair.first]
    ]
    yield from found("always-together", same)


def _files(collection: Collection) -> Iterator[Finding]:
    for fault in collection.faults.values():
        yield from found("annotation", number=1, fault=fault)
    if collection.source.is_dir():
        for name in SPLITS[:2]:
            if name not in {*collection.splits, *collection.faults}:
                yield from found("missing-split", number=1, split=name)
    splits = list(collection.splits.values())
    for split in splits[1:]:
        try:
            check_classes(split, splits[0].classes, f"those of {splits[0].source}")
        except DataError as error:
            yield from found("classes-differ", number=1, fault=error.message, hint=error.hint)


def _shared_paths(collection: Collection) -> Iterator[Finding]:
    shared: dict[tuple[str, str], list[str]] = {}
    for row, first in collection.shared_paths():
        shared.setdefault((first, collection.split_name(row)), []).append(collection.path(row))
    for (first, second), paths in shared.items():
        yield from found("same-path", paths, first=first, second=second)


def _leaks(collection: Collection) -> Iterator[Finding]:
    kept = {name: read_columns(split.source) for name, split in collection.splits.items()}
    cells = {
        name: [kept[name].images.get(path, {}) for path in split.paths if kept[name].images]
        for name, split in collection.splits.items()
    }
    group = next((own.group for own in kept.values() if own.group), "")
    paths = {name: split.paths for name, split in collection.splits.items()}
    for leak in find_leaks(paths, cells, group):
        yield from found(
            "split-groups", leak.groups, what=leak.what, flag=leak.flag, data=collection.source
        )


def _rules(collection: Collection) -> Iterator[Finding]:
    for name, split in collection.splits.items():
        broken: dict[str, list[str]] = {}
        rules = BoundRules(split.rules, split.classes)
        for start in range(0, len(split) if rules else 0, BLOCK):
            images = range(start, min(start + BLOCK, len(split)))
            for words, broken_N in rules.broken(split.targets_NC(images)):
                own = broken.setdefault(words, [])
                own += [split.paths[start + image] for image in np.flatnonzero(broken_N)]
        for words, paths in broken.items():
            yield from found("broken-rule", paths, split=name, words=words)


def _classes(statistics: Statistics) -> Iterator[Finding]:
    """Classes with too few images that have them, or without any that lacks them."""
    names = list(map(str, statistics.classes))

    def named(chosen_C: NDArray[np.bool_]) -> list[str]:
        return [names[c] for c in np.flatnonzero(chosen_C)]

    nowhere_C = statistics.positives_C == 0
    yield from found("no-positives", named(nowhere_C))
    for s, (split, counts) in enumerate(statistics.splits.items()):
        positives_C, unknown_C = statistics.positives_SC[s], statistics.unknown_SC[s]
        listed_C = statistics.listed_SC[s]
        learnt = split == "train" or len(statistics.splits) == 1
        bare = named((positives_C == 0) & listed_C & ~nowhere_C)
        yield from found(f"no-positives-in-split{'/learnt' * learnt}", bare, split=split)
        always_C = (positives_C + unknown_C == counts.images) & listed_C
        yield from found("no-negatives", named(always_C & (unknown_C == 0)), split=split)
        unsure = [
            f"{names[c]}: {positives_C[c]} present, {unknown_C[c]} unknown"
            for c in np.flatnonzero(always_C & (unknown_C > 0))
        ]
        yield from found("no-negatives/known", unsure, split=split)
        rare = np.flatnonzero((positives_C > 0) & (positives_C < FEW)) if learnt else ()
        few = [f"{names[c]}: {positives_C[c]}" for c in rare]
        yield from found("few-positives", few, split=split)


def _images(collection: Collection) -> Iterator[Finding]:
    for name, split in collection.splits.items():
        empty = np.flatnonzero(split.positives.sizes_N() == 0)
        if len(empty) == len(split):
            spared = name == "test" and len(collection.splits) > 1
            yield from found(f"no-labels{'/test' * spared}", number=1, split=name)
        else:
            paths = [split.paths[image] for image in empty[:SHOWN].tolist()]
            share = len(empty) / len(split)
            yield from found("without-labels", paths, len(empty), split=name, share=share)


def _names(names: list[str]) -> Iterator[Finding]:
    for kind, suspects in (
        ("spaces-in-names", [(name,) for name in suspicious.untrimmed(names)]),
        ("odd-names", [(name,) for name in suspicious.of_other_things(names)]),
        ("twin-names", suspicious.twins(names)),
        ("plural-names", suspicious.plurals(names)),
        ("misspelt-names", suspicious.misspellings(names)),
    ):
        yield from found(kind, [" / ".join(map(repr, group)) for group in suspects])
