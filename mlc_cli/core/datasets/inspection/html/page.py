"""The page about a data set."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from mlc_cli.core.datasets.counts import MOST_LABELS, SplitCounts
from mlc_cli.core.datasets.inspection.inspect import Inspection
from mlc_cli.core.datasets.inspection.scan import Files
from mlc_cli.core.datasets.inspection.statistics import LEAST_TOGETHER, Statistics
from mlc_cli.core.datasets.inspection.summary import file_facts, span_words
from mlc_cli.core.html.page import write_page as write_filled
from mlc_cli.core.html.svg import Plot, round_ticks
from mlc_cli.core.html.words import count, gauge, name, value
from mlc_cli.core.images.thumbnails import Picture, read_thumbnails

MATRIX_CLASSES, MOST_TOGETHER, MOST_DOTS = 14, 15, 1500
EXAMPLES, MOST_EXAMPLES = 8, 360
MOST_GROUPS, MOST_COPIES, MOST_PAIRS = 30, 4, 40
Cells = list[str | Markup]


def write_page(path: Path, inspection: Inspection, threads: int) -> None:
    """Write the page as one file that needs no other, atomically.

    Raises:
        MlcError: It cannot be written.
    """
    statistics, files = inspection.statistics, inspection.files
    shown = choose_and_read(inspection, threads)
    write_filled(
        path,
        "datasets/inspection/html/check.html",
        inspection=inspection,
        shown=shown,
        most={"examples": MOST_EXAMPLES, "groups": MOST_GROUPS, "copies": MOST_COPIES,
              "pairs": MOST_PAIRS, "labels": MOST_LABELS},
        labels_chart=labels_chart,
        balance=balance_chart(statistics) if statistics.splits else "",
        sizes=sizes_chart(files) if files is not None else "",
        class_rows=_class_rows(statistics, shown.examples),
        pair_rows=[
            [
                *(name(statistics.classes[c]) for c in (pair.first, pair.second)),
                *(f"{pair.share:.0%}", f"{pair.images:,}", value(pair.lift, 1)),
            ]
            for pair in statistics.pairs()[:MOST_TOGETHER]
        ],
        matrix=_matrix(statistics),
        facts=_facts(files) if files is not None and files.usable_N.any() else {},
        least_together=LEAST_TOGETHER,
    )  # fmt: skip


class Shown(NamedTuple):
    """Rows of examples by the index of their class, and thumbnails by row; at most 600."""

    examples: Mapping[int, Sequence[int]]
    pictures: Mapping[int, Picture]


def choose_and_read(inspection: Inspection, threads: int) -> Shown:
    """Choose images and make their thumbnails; none if files were not to be opened."""
    if inspection.files is None:
        return Shown({}, {})
    examples = _choose_examples(inspection.statistics, inspection.files.problems)
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
    statistics: Statistics, unusable: Mapping[int, str]
) -> dict[int, Sequence[int]]:
    """A few images of each class at even distances, others for each as long as there are any."""
    positives_C, columns = statistics.positives_C, statistics.labels.tocsc()
    wanted = [c for c in np.argsort(-positives_C, kind="stable").tolist() if positives_C[c]]
    wanted = wanted[:MOST_EXAMPLES]
    each = max(1, min(EXAMPLES, MOST_EXAMPLES // max(1, len(wanted))))
    examples: dict[int, Sequence[int]] = {}
    used = set(unusable)
    for c in reversed(wanted):  # the rare ones choose first
        found = columns.indices[columns.indptr[c] : columns.indptr[c + 1]].tolist()
        rows = [row for row in found if row not in unusable]
        fresh = [row for row in rows if row not in used]
        rows = fresh if len(fresh) >= each else rows
        picks = np.linspace(0, len(rows) - 1, min(each, len(rows))).round().astype(int)
        examples[c] = [rows[pick] for pick in picks]
        used.update(examples[c])
    return {c: examples[c] for c in sorted(examples) if examples[c]}


def _class_rows(statistics: Statistics, examples: Mapping[int, Sequence[int]]) -> Iterator[Cells]:
    """A row of counts for each class, the most frequent first."""
    unknown_C = statistics.unknown_SC.sum(axis=0)
    link = Markup('<a href="#class-{}">{}</a>')
    for c in np.argsort(-statistics.positives_SC[:1].sum(axis=0), kind="stable").tolist():
        title, share = name(statistics.classes[c]), statistics.shares_SC[0, c]
        yield [
            link.format(c, title) if c in examples else title,
            *(f"{positives:,}" for positives in statistics.positives_SC[:, c]),
            gauge(f"{share:.1%}", share),
            *([f"{unknown_C[c]:,}"] if unknown_C.any() else []),
        ]


def _matrix(statistics: Statistics) -> tuple[list[str], list[list[tuple[float, object]]]]:
    """The most frequent classes; of the images with one, the share that has another, in percent."""
    positives_C = statistics.positives_C
    ranked = np.argsort(-positives_C, kind="stable")[:MATRIX_CLASSES].tolist()
    classes = [c for c in ranked if positives_C[c]]
    if len(classes) < 3:  # the table of pairs says as much
        return [], []
    shares_KK = statistics.matrix(classes) / positives_C[classes][:, None]
    np.fill_diagonal(shares_KK, 0)
    rows = [[(share, round(100 * share) or "") for share in row] for row in shares_KK.tolist()]
    return [str(statistics.classes[c]) for c in classes], rows


def _facts(files: Files) -> dict[str, str]:
    facts = file_facts(files)
    kinds = (facts[key] for key in ("grey", "transparent", "turned_by_exif"))
    return {
        "Readable": f"{facts['readable']:,} of {len(files.usable_N):,}",
        "Formats": ", ".join(f"{form} {number:,}" for form, number in facts["formats"].items()),
        "Grey, transparent, turned by EXIF": ", ".join(f"{number:,}" for number in kinds),
        "Width": span_words(facts["width"]),
        "Height": span_words(facts["height"]),
        "Width : height": span_words(facts["aspect"], 2),
    }


def labels_chart(name: str, split: SplitCounts) -> Markup:
    """Images of a split by their number of labels."""
    most = max(split.histogram)
    plot = Plot(220, 132, x=(-0.5, MOST_LABELS + 0.5), y=(0, most), left=40)
    ticks = [tick for tick in round_ticks(0, most, 3) if tick == int(tick)]
    plot.axes(range(0, MOST_LABELS + 1, 2), ticks)
    for number, images in enumerate(split.histogram):
        if images:
            plot.bar((number - 0.4, number + 0.4), images)
    return plot.svg(f"Images of {name} by their number of labels")


def balance_chart(statistics: Statistics) -> Markup:
    """Positives from the most to the least frequent class, the axis in powers of ten."""
    positives_C = np.sort(statistics.positives_SC[0])[::-1]
    there = positives_C[positives_C > 0].tolist()
    if len(there) < 3:
        return Markup("")
    top = math.ceil(math.log10(there[0] + 1))
    plot = Plot(340, 200, x=(0, len(there)), y=(0, top), left=44, bottom=34)
    for power in range(top + 1):
        plot.line([(0, power), (len(there), power)], "grid")
        plot.note(0, power, f"{10**power:,}", "end", right=-4, down=4)
    for rank, images in enumerate(there):
        plot.bar((rank, rank + 1), math.log10(images) if images > 1 else 0.04)
    plot.note(len(there) / 2, 0, "classes, the most frequent first", down=22)
    return plot.svg(f"Images of the classes of {next(iter(statistics.splits))}")


def sizes_chart(files: Files) -> Markup:
    """Height over width, a dot for each size; nothing if all are of one size."""
    facts_M = files.facts_N[files.usable_N]
    sizes = np.column_stack([facts_M["width"], facts_M["height"]])
    sizes, numbers = np.unique(sizes, axis=0, return_counts=True)
    if len(sizes) < 2:
        return Markup("")
    kept = np.argsort(-numbers, kind="stable")[:MOST_DOTS]
    most = float(sizes[kept].max()) * 1.05
    plot = Plot(340, 240, x=(0, most), y=(0, most), left=44, bottom=34)
    plot.axes(round_ticks(0, most), round_ticks(0, most))
    plot.line([(0, 0), (most, most)], "soft")
    for (width, height), number in zip(sizes[kept].tolist(), numbers[kept].tolist(), strict=True):
        plot.dot(width, height, f"{width}×{height}: {count(number, 'image')}", "dot", 2.5)
    plot.note(most / 2, 0, "width in pixels; upwards: height", down=29)
    return plot.svg("Height of the images over their width")
