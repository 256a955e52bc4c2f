"""Which images the page shows, and their thumbnails."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mlc_cli.core.datasets.inspection.inspect import Inspection
from mlc_cli.core.images.thumbnails import Picture, read_thumbnails

EXAMPLES = 8
MOST_EXAMPLES = 360
MOST_GROUPS, MOST_COPIES = 30, 4
MOST_PAIRS = 40


class Shown(NamedTuple):
    """Rows of examples by the index of their class, and thumbnails by row; at most 600."""

    examples: Mapping[int, Sequence[int]]
    pictures: Mapping[int, Picture]


def choose_and_read(inspection: Inspection, threads: int) -> Shown:
    """Choose images and make their thumbnails; none if files were not to be opened."""
    if inspection.files is None:
        return Shown({}, {})
    examples = _choose_examples(inspection, inspection.files.problems)
    rows = {row for chosen in examples.values() for row in chosen}
    if inspection.duplicates:
        for group in inspection.duplicates.copies[:MOST_GROUPS]:
            rows.update(group.rows[:MOST_COPIES])
        for pair in inspection.duplicates.alike[:MOST_PAIRS]:
            rows.update((pair.first, pair.second))
    paths = {row: inspection.collection.file(row) for row in sorted(rows)}
    # what could be used a moment ago is not refused for its size now
    return Shown(examples, read_thumbnails(paths, np.inf, threads))


def _choose_examples(
    inspection: Inspection, unusable: Mapping[int, str]
) -> dict[int, Sequence[int]]:
    """A few images of each class, from all over the first split that has any; rare ones first."""
    statistics, collection = inspection.statistics, inspection.collection
    positives_C = statistics.positives_C
    ranked = np.argsort(-positives_C, kind="stable").tolist()
    wanted = {c for c in ranked[:MOST_EXAMPLES] if positives_C[c]}
    each = max(1, min(EXAMPLES, MOST_EXAMPLES // max(1, len(wanted))))
    index = {name: c for c, name in enumerate(statistics.classes)}
    examples: dict[int, Sequence[int]] = {}
    used: set[int] = set()
    for name, split in collection.splits.items():
        owners = np.repeat(np.array(collection.rows(name)), split.positives.sizes_N())
        owners = owners[np.argsort(split.positives.indices, kind="stable")]
        counts_C = split.positives.counts_C(len(split.classes))
        rows_by_class = np.split(owners, np.cumsum(counts_C)[:-1])
        for number in np.argsort(counts_C, kind="stable"):
            c = index[split.classes[number]]
            if c not in wanted or c in examples:
                continue
            rows = [row for row in rows_by_class[number].tolist() if row not in unusable]
            fresh = [row for row in rows if row not in used]
            chosen = _spread(fresh if len(fresh) >= each else rows, each)
            if chosen:
                used.update(chosen)
                examples[c] = chosen
    return dict(sorted(examples.items()))


def _spread(rows: Sequence[int], number: int) -> list[int]:
    """So many of the rows, at even distances."""
    picks = np.linspace(0, len(rows) - 1, min(number, len(rows))).round().astype(int)
    return [rows[pick] for pick in picks]
