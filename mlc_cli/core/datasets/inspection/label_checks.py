"""Findings about annotation files, classes and labels; no image is opened for them."""

import os
from collections.abc import Iterator

import numpy as np

from mlc_cli.core.datasets.checks import check_classes
from mlc_cli.core.datasets.columns import read_columns
from mlc_cli.core.datasets.completing import BLOCK
from mlc_cli.core.datasets.inspection.collection import SPLITS, Collection
from mlc_cli.core.datasets.inspection.issues import Finding, many
from mlc_cli.core.datasets.inspection.names import (
    misspellings,
    of_other_things,
    plurals,
    twins,
    untrimmed,
)
from mlc_cli.core.datasets.inspection.statistics import Statistics
from mlc_cli.core.datasets.leaks import find_leaks
from mlc_cli.core.rules import BoundRules
from mlc_cli.errors import DataError

FEW = 20
_ONE_NAME = "Give both one name in all annotation files if they are one class."


def label_checks(collection: Collection, statistics: Statistics) -> Iterator[Finding]:
    """All findings that need no image."""
    yield from _files(collection)
    yield from _class_lists(collection)
    yield from _same_paths(collection)
    yield from _leaks(collection)
    yield from _rules(collection)
    yield from _positives(statistics)
    yield from _images(collection, statistics)
    yield from _names([str(name) for name in statistics.classes if isinstance(name, str)])
    yield from _always_together(statistics)


def _files(collection: Collection) -> Iterator[Finding]:
    for fault in collection.faults.values():
        yield Finding(
            "error",
            "annotation",
            fault,
            "Repair the annotation file; its images are not examined.",
        )
    if collection.source.is_dir():
        known = {*collection.splits, *collection.faults}
        for name in [name for name in SPLITS[:2] if name not in known]:
            yield Finding(
                "warning",
                "missing-split",
                f"there is no {name}.json",
                "`mlc train` needs train.json and val.json; `mlc dataset-convert` with --split"
                " makes both from one.",
            )


def _class_lists(collection: Collection) -> Iterator[Finding]:
    splits = list(collection.splits.values())
    for split in splits[1:]:
        try:
            check_classes(split, splits[0].classes, f"those of {splits[0].source}")
        except DataError as error:
            yield Finding("error", "classes-differ", error.message, error.hint)


def _same_paths(collection: Collection) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    shared: dict[tuple[str, str], list[str]] = {}
    for name, split in collection.splits.items():
        own = {os.path.normpath(split.folder / path): path for path in split.paths}
        for place, path in own.items():
            if place in seen:
                shared.setdefault((seen[place], name), []).append(path)
        for place in own:
            seen.setdefault(place, name)
    for (first, second), paths in shared.items():
        yield from many(
            "error",
            "same-path",
            f"image of {second} is also in {first}|images of {second} are also in {first}",
            paths,
            f"Metrics on images that were trained or chosen on mean little: take them out of"
            f" {second}; --fix does.",
        )


def _leaks(collection: Collection) -> Iterator[Finding]:
    kept = {name: read_columns(split.source) for name, split in collection.splits.items()}
    cells = {
        name: [kept[name].images.get(path, {}) for path in split.paths if kept[name].images]
        for name, split in collection.splits.items()
    }
    group = next((own.group for own in kept.values() if own.group), "")
    paths = {name: split.paths for name, split in collection.splits.items()}
    for leak in find_leaks(paths, cells, group):
        yield from many(
            "warning",
            "split-groups",
            f"group {leak.what} is in several splits|groups {leak.what} are in several splits",
            leak.groups,
            "Metrics on pictures like those that were trained on mean little: divide the data anew"
            f" with `mlc dataset-convert` and {leak.flag}.",
        )


def _rules(collection: Collection) -> Iterator[Finding]:
    for name, split in collection.splits.items():
        found: dict[str, list[str]] = {}
        rules = BoundRules(split.rules, split.classes)
        for start in range(0, len(split) if rules else 0, BLOCK):
            images = range(start, min(start + BLOCK, len(split)))
            for words, broken_N in rules.broken(split.targets_NC(images)):
                own = found.setdefault(words, [])
                own += [split.paths[start + image] for image in np.flatnonzero(broken_N)]
        for words, paths in found.items():
            yield from many(
                "warning",
                "broken-rule",
                f"image of {name} has {words}|images of {name} have {words}",
                paths,
                "A label rule forbids it: --fix adds what labels imply; of labels that exclude each"
                " other a person has to take one away.",
            )


def _positives(statistics: Statistics) -> Iterator[Finding]:
    names = [str(name) for name in statistics.classes]
    nowhere_C = statistics.positives_C == 0
    yield from many(
        "warning",
        "no-positives",
        "class is on no image at all|classes are on no image at all",
        [names[c] for c in np.flatnonzero(nowhere_C)],
        "Label images with them, or take them out of 'classes'.",
    )
    for s, split in enumerate(statistics.splits):
        positives_C, listed_C = statistics.positives_SC[s], statistics.listed_SC[s]
        learns = split == "train" or len(statistics.splits) == 1
        yield from many(
            "warning" if learns else "note",
            "no-positives-in-split",
            f"class is on no image of {split}|classes are on no image of {split}",
            [names[c] for c in np.flatnonzero((positives_C == 0) & listed_C & ~nowhere_C)],
            "They cannot be learnt: split the data anew, stratified by label."
            if learns
            else "Metrics leave them out: split the data anew, stratified by label.",
        )
        yield from _negatives(statistics, s, names)
        rare_C = (positives_C > 0) & (positives_C < FEW)
        if learns:
            yield from many(
                "note",
                "few-positives",
                f"class has fewer than {FEW} images in {split}"
                f"|classes have fewer than {FEW} images in {split}",
                [f"{names[c]}: {positives_C[c]}" for c in np.flatnonzero(rare_C)],
                "Expect little of them: add images, or join them with a broader class.",
            )


def _negatives(statistics: Statistics, s: int, names: list[str]) -> Iterator[Finding]:
    """Classes that no image of a split is known to lack."""
    split, positives_C = list(statistics.splits)[s], statistics.positives_SC[s]
    unknown_C = statistics.unknown_SC[s]
    always_C = (positives_C + unknown_C == statistics.splits[split].images) & statistics.listed_SC[
        s
    ]
    yield from many(
        "warning",
        "no-negatives",
        f"class is on every image of {split}|classes are on every image of {split}",
        [names[c] for c in np.flatnonzero(always_C & (unknown_C == 0))],
        "There is nothing to tell them from: add images without them, or drop the class.",
    )
    yield from many(
        "warning",
        "no-negatives",
        f"class is known to be absent from no image of {split}"
        f"|classes are known to be absent from no image of {split}",
        [
            f"{names[c]}: {positives_C[c]} present, {unknown_C[c]} unknown"
            for c in np.flatnonzero(always_C & (unknown_C > 0))
        ],
        "There is nothing to tell them from: say of some images that they lack them, or read"
        " what is unknown as absent where that is so (such as csv.blank=absent).",
    )


def _images(collection: Collection, statistics: Statistics) -> Iterator[Finding]:
    for name, split in collection.splits.items():
        without = statistics.splits[name].without
        if not without:
            continue
        if without == len(split):
            yield Finding(
                "error" if name != "test" or len(collection.splits) == 1 else "warning",
                "no-labels",
                f"no image of {name} has a label",
                "Nothing can be learnt or measured there: look for lost labels in the source, and"
                " convert it anew.",
            )
            continue
        empty = np.flatnonzero(split.positives.sizes_N() == 0)[:10]
        examples = tuple(str(split.paths[image]) for image in empty.tolist())
        share = without / len(split)
        noun = "image has" if without == 1 else "images have"
        yield Finding(
            "note",
            "without-labels",
            f"{without:,} {noun} no labels in {name} ({share:.1%})",
            "They count as negatives of every class, which is right if somebody looked at them;"
            " otherwise label them or take them out.",
            without,
            examples,
        )


def _names(names: list[str]) -> Iterator[Finding]:
    yield from many(
        "warning",
        "spaces-in-names",
        "class name has spaces at an end or several in a row"
        "|class names have spaces at an end or several in a row",
        [repr(name) for name in untrimmed(names)],
        "Write the names without these spaces in all annotation files.",
    )
    yield from many(
        "warning",
        "odd-names",
        "class name begins or ends with a quote, bracket or separator, or is that of a file"
        "|class names begin or end with quotes, brackets or separators, or are those of files",
        [repr(name) for name in of_other_things(names)],
        "A list of labels was probably read as one name, or a column of files as one of labels:"
        " convert the source anew, and look at the separator and the columns that it says.",
    )
    yield from many(
        "warning",
        "twin-names",
        "group of class names differs in case, spaces or signs alone"
        "|groups of class names differ in case, spaces or signs alone",
        [" / ".join(map(repr, group)) for group in twins(names)],
        _ONE_NAME,
    )
    for kind, pairs, what in (
        ("plural-names", plurals(names), "of which one is the plural of the other"),
        ("misspelt-names", misspellings(names), "one letter apart"),
    ):
        yield from many(
            "note",
            kind,
            f"pair of class names {what}|pairs of class names {what}",
            [f"{a!r} / {b!r}" for a, b in pairs],
            _ONE_NAME,
        )


def _always_together(statistics: Statistics) -> Iterator[Finding]:
    positives_C = statistics.positives_C
    same = [
        f"{statistics.classes[pair.first]} / {statistics.classes[pair.second]}: {pair.images}"
        for pair in statistics.pairs()
        if pair.images == positives_C[pair.second]
        and pair.images == positives_C[pair.first]
    ]  # fmt: skip
    yield from many(
        "note",
        "always-together",
        "pair of classes is always on the same images"
        "|pairs of classes are always on the same images",
        same,
        "No model can tell them apart: keep one of them, or add images with one alone.",
    )
