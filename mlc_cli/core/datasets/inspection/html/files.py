"""The image files: sizes and formats, what is there twice, and examples of each class."""

from collections.abc import Mapping, Sequence

import numpy as np

from mlc_cli.core.datasets.inspection.html.thumbnails import (
    MOST_COPIES,
    MOST_EXAMPLES,
    MOST_GROUPS,
    MOST_PAIRS,
    Shown,
)
from mlc_cli.core.datasets.inspection.inspect import Inspection
from mlc_cli.core.datasets.inspection.scan import Files
from mlc_cli.core.datasets.inspection.summary import file_facts, span_words
from mlc_cli.core.html.page import text
from mlc_cli.core.html.svg import Plot, round_ticks
from mlc_cli.core.html.words import count, name
from mlc_cli.core.images.thumbnails import Picture

MOST_DOTS = 1500


def file_table(inspection: Inspection) -> str:
    """Sizes and formats of the files."""
    files = inspection.files
    if files is None or not files.usable_N.any():
        return ""
    facts = file_facts(files)
    forms = facts["formats"].items()
    rows = {
        "Readable": f"{facts['readable']:,} of {len(inspection.collection):,}",
        "Formats": ", ".join(f"{form} {number:,}" for form, number in forms),
        "Grey, transparent, exif_rotated by EXIF": f"{facts['grey']:,}, {facts['transparent']:,},"
        f" {facts['turned_by_exif']:,}",
    }
    for title, key, digits in (("Width", "width", 0), ("Height", "height", 0),
                               ("Width : height", "aspect", 2)):  # fmt: skip
        rows[title] = span_words(facts[key], digits)
    body = "".join(
        f'<tr><th scope="row">{title}</th><td>{text(words)}</td></tr>'
        for title, words in rows.items()
    )
    return (
        '<h2 id="files">Image files</h2><div class="pair"><table class="facts"><tbody>'
        f"{body}</tbody></table>{_sizes_chart(files)}</div>"
    )


def _sizes_chart(files: Files) -> str:
    """Height over width, a dot for each size; nothing if all are of one size."""
    sizes, numbers = np.unique(files.sizes_N2[files.usable_N], axis=0, return_counts=True)
    if len(sizes) < 2:
        return ""
    kept = np.argsort(-numbers, kind="stable")[:MOST_DOTS]
    sizes, numbers = sizes[kept], numbers[kept]
    most = float(sizes.max()) * 1.05
    plot = Plot(340, 240, x=(0, most), y=(0, most), left=44, bottom=34)
    dots = [
        plot.dot(width, height, f"{width}×{height}: {count(number, 'image')}", "dot", 2.5)
        for (width, height), number in zip(sizes.tolist(), numbers.tolist(), strict=True)
    ]
    ticks = round_ticks(0, most)
    words = plot.note(most / 2, 0, "width in pixels; upwards: height", shift=(0, 29))
    diagonal = plot.line([(0, 0), (most, most)], "soft")
    return "<figure>" + plot.svg(
        "Height of the images over their width", plot.axes(ticks, ticks), diagonal, *dots, words
    ) + "</figure>"  # fmt: skip


def repeated(inspection: Inspection, shown: Shown) -> str:
    """Copies and nearly equal pictures, side by side."""
    duplicates = inspection.duplicates
    if duplicates is None or not (duplicates.copies or duplicates.alike):
        return ""
    groups = [
        _side_by_side(inspection, shown.pictures, group.rows, "", contradict=group.contradict)
        for group in duplicates.copies[:MOST_GROUPS]
    ]
    pairs = [
        _side_by_side(
            inspection,
            shown.pictures,
            (pair.first, pair.second),
            f"{pair.distance} of 64 bits differ",
            contradict=pair.contradict,
        )
        for pair in duplicates.alike[:MOST_PAIRS]
    ]
    return (
        '<h2 id="repeated">Images that are there more than once</h2>'
        + _block("Files with the same bytes", groups, len(duplicates.copies), "group")
        + _block("Nearly the same picture", pairs, len(duplicates.alike), "pair")
    )


def _block(title: str, parts: Sequence[str], total: int, noun: str) -> str:
    if not parts:
        return ""
    shown = f", the first {len(parts)} are shown" if total > len(parts) else ""
    return (
        f'<h3>{title}</h3><p class="soft small">{count(total, noun)}{shown}.</p>'
        f'<div class="sides">{"".join(parts)}</div>'
    )


def _side_by_side(
    inspection: Inspection,
    pictures: Mapping[int, Picture],
    rows: Sequence[int],
    words: str,
    *,
    contradict: bool,
) -> str:
    figures = "".join(_thumb(inspection, pictures, row) for row in rows[:MOST_COPIES])
    more = f"and {len(rows) - MOST_COPIES} more" if len(rows) > MOST_COPIES else ""
    notes = [words, more, '<b class="bad">labels contradict</b>' if contradict else ""]
    caption = " · ".join(filter(None, notes))
    return f'<div class="side"><div class="thumbs">{figures}</div><small>{caption}</small></div>'


def _thumb(inspection: Inspection, pictures: Mapping[int, Picture], row: int) -> str:
    collection = inspection.collection
    path = collection.path(row)
    picture = pictures.get(row, Picture(reason="is not shown"))
    image = (
        f'<img src="{text(picture.uri)}" alt="{text(path)}" loading="lazy">'
        if picture.uri
        else f'<div class="nopicture">{text(picture.reason)}</div>'
    )
    return (
        f'<figure class="thumb">{image}<figcaption>{name(collection.labels(row).words())}'
        f'<span class="path" title="{text(path)}"><bdi>{text(collection.split_name(row))}:'
        f" {text(path)}</bdi></span></figcaption></figure>"
    )


def examples(inspection: Inspection, shown: Shown) -> str:
    """A few images of each class."""
    if not shown.examples:
        return ""
    statistics = inspection.statistics
    positives_C = statistics.positives_C
    blocks = "".join(
        f'<section id="class-{c}"><h3>{name(str(statistics.classes[c]))} <span class="soft">'
        f'{count(int(positives_C[c]), "image")}</span></h3><div class="thumbs">'
        + "".join(_thumb(inspection, shown.pictures, row) for row in rows)
        + "</div></section>"
        for c, rows in shown.examples.items()
    )
    left_out = int(np.count_nonzero(positives_C)) - len(shown.examples)
    note = (
        f'<p class="soft small">{left_out:,} classes are left out to keep the page small: at most'
        f" {MOST_EXAMPLES} pictures of examples are shown.</p>"
        if left_out
        else ""
    )
    return (
        '<h2 id="examples">Examples</h2><p>A few images of each class, from all over its split,'
        f" with all their labels.</p>{blocks}{note}"
    )
