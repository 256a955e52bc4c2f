"""Which images the page shows, and their thumbnails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.inspection.inspect import Inspection
from mlc_cli.core.datasets.inspection.scan import read_reduced
from mlc_cli.core.images.thumbnails import Picture, thumbnail
from mlc_cli.core.system.threads import in_threads
from mlc_cli.errors import BadImageError

SIDE, QUALITY = 160, 72
EXAMPLES = 8
MOST_EXAMPLES = 360
MOST_GROUPS, MOST_COPIES = 30, 4
MOST_PAIRS = 40


@dataclass(frozen=True)
class Shown:
    """Images on the page; some five kilobytes each, and at most 600.

    Attributes:
        examples: Rows of images with a class, by its place; classes without are left out.
        pictures: Thumbnails by row.
    """

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
    wanted = sorted(rows)

    def read(row: int) -> Picture:
        try:
            # what could be used a moment ago is not refused for its size now
            pixels = read_reduced(inspection.collection.file(row), SIDE, np.inf)
        except BadImageError as error:
            return Picture(reason=error.reason)
        return Picture(thumbnail(pixels, SIDE, QUALITY))

    pictures = zip(wanted, in_threads(read, wanted, threads), strict=True)
    return Shown(examples, dict(pictures))


def _choose_examples(
    inspection: Inspection, unusable: Mapping[int, str]
) -> dict[int, Sequence[int]]:
    """A few images of each class, from all over the first split that has any."""
    statistics, collection = inspection.statistics, inspection.collection
    positives_C = statistics.positives_C
    classes = np.flatnonzero(positives_C)
    if len(classes) > MOST_EXAMPLES:
        classes = np.sort(classes[np.argsort(-positives_C[classes], kind="stable")][:MOST_EXAMPLES])
    each = max(1, min(EXAMPLES, MOST_EXAMPLES // max(1, len(classes))))
    place = {name: c for c, name in enumerate(statistics.classes)}
    wanted = set(classes.tolist())
    examples: dict[int, Sequence[int]] = {}
    used: set[int] = set()
    for name, split in collection.splits.items():
        start = collection.rows(name).start
        images_by_class = _images_by_class(split)
        for number in np.argsort(split.positives.counts_C(len(split.classes)), kind="stable"):
            c = place[split.classes[number]]
            if c not in wanted or c in examples:
                continue
            rows = [start + image for image in images_by_class[number].tolist()]
            rows = [row for row in rows if row not in unusable]
            fresh = [row for row in rows if row not in used]
            chosen = _spread(fresh if len(fresh) >= each else rows, each)
            if chosen:
                used.update(chosen)
                examples[c] = chosen
    return dict(sorted(examples.items()))


def _images_by_class(split: Annotation) -> list[np.ndarray]:
    images = np.repeat(np.arange(len(split)), split.positives.sizes_N())
    order = np.argsort(split.positives.indices, kind="stable")
    ends = np.cumsum(split.positives.counts_C(len(split.classes)))
    return np.split(images[order], ends[:-1])


def _spread(rows: Sequence[int], number: int) -> list[int]:
    """So many of the rows, at even distances."""
    places = np.linspace(0, len(rows) - 1, min(number, len(rows))).round().astype(int)
    return [rows[place] for place in places]
