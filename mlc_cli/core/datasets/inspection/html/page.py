"""The page about a data set."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from mlc_cli.core.datasets.counts import MOST_LABELS
from mlc_cli.core.datasets.inspection.html import charts, thumbnails
from mlc_cli.core.datasets.inspection.inspect import Inspection
from mlc_cli.core.datasets.inspection.scan import Files
from mlc_cli.core.datasets.inspection.statistics import LEAST_TOGETHER, Statistics
from mlc_cli.core.datasets.inspection.summary import file_facts, span_words
from mlc_cli.core.html.page import write_page as write_filled
from mlc_cli.core.html.words import gauge, name, value

MATRIX_CLASSES, MOST_TOGETHER = 14, 15
Cells = list[str | Markup]


def write_page(path: Path, inspection: Inspection, threads: int) -> None:
    """Write the page as one file that needs no other, atomically.

    Raises:
        MlcError: It cannot be written.
    """
    statistics, files = inspection.statistics, inspection.files
    shown = thumbnails.choose_and_read(inspection, threads)
    write_filled(
        path,
        "datasets/inspection/html/check.html",
        inspection=inspection,
        shown=shown,
        limits=thumbnails,
        charts=charts,
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
        most_labels=MOST_LABELS,
        least_together=LEAST_TOGETHER,
    )


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
