"""The classes: how frequent, how balanced, and which come together."""

import math

import numpy as np

from mlc_cli.core.datasets.inspection.html.thumbnails import Shown
from mlc_cli.core.datasets.inspection.inspect import Inspection
from mlc_cli.core.datasets.inspection.statistics import LEAST_TOGETHER, Together
from mlc_cli.core.html.page import text
from mlc_cli.core.html.svg import Plot
from mlc_cli.core.html.words import count, name

SHOWN_PAIRS = 15
MATRIX_CLASSES = 14


def class_table(inspection: Inspection, shown: Shown) -> str:
    """A row for each class, the most frequent first; headers sort."""
    statistics = inspection.statistics
    if not statistics.classes:
        return ""
    unknown = bool(statistics.unknown_SC.any())
    titles = [*statistics.splits, f"share of {next(iter(statistics.splits))}"]
    titles += ["unknown"] if unknown else []
    heads = "".join(
        f'<th scope="col"{_SORTED if place == 0 else ""}><button type="button">{text(title)}'
        "</button></th>"
        for place, title in enumerate(titles)
    )
    order = np.argsort(-statistics.positives_SC[0], kind="stable").tolist()
    rows = "".join(_row(inspection, c, unknown=unknown, linked=c in shown.examples) for c in order)
    search = (
        '<input id="class-search" class="noprint" type="search" placeholder="Find a class"'
        ' aria-label="Find a class">'
        if len(order) > 12
        else ""
    )
    return (
        '<h2 id="classes">Classes</h2><p>Images with each class by split. A click on a header sorts'
        f' anew.</p>{search}<div class="row"><div class="wide"><table id="classes-table"'
        ' class="sortable"><thead><tr><th scope="col"><button type="button">class</button></th>'
        f"{heads}</tr></thead><tbody>{rows}</tbody></table></div>{_tail(inspection)}</div>"
    )


_SORTED = ' aria-sort="descending"'


def _row(inspection: Inspection, c: int, *, unknown: bool, linked: bool) -> str:
    statistics = inspection.statistics
    label = name(str(statistics.classes[c]))
    title = f'<a href="#class-{c}">{label}</a>' if linked else label
    share = float(statistics.shares_SC[0, c])
    cells = "".join(
        f'<td data-v="{positives}">{positives:,}</td>'
        for positives in statistics.positives_SC[:, c].tolist()
    )
    cells += f'<td class="gauge" style="--part:{share:.4f}" data-v="{share:.9g}">{share:.1%}</td>'
    if unknown:
        number = int(statistics.unknown_SC[:, c].sum())
        cells += f'<td data-v="{number}">{number:,}</td>'
    return f"<tr><td>{title}</td>{cells}</tr>"


def _tail(inspection: Inspection) -> str:
    """Positives from the most to the least frequent class, the axis in powers of ten."""
    positives_C = np.sort(inspection.statistics.positives_SC[0])[::-1]
    there = positives_C[positives_C > 0]
    if len(there) < 3:
        return ""
    top = math.ceil(math.log10(int(there[0]) + 1))
    plot = Plot(340, 200, x=(0, len(there)), y=(0, top), left=44, bottom=34)
    bars = [
        plot.bar((rank, rank + 1), (0, math.log10(int(images)) if images > 1 else 0.04))
        for rank, images in enumerate(there)
    ]
    grid = "".join(
        plot.line([(0, power), (len(there), power)], "grid")
        + plot.note(0, power, f"{10**power:,}", "end", (-4, 4))
        for power in range(top + 1)
    )
    words = plot.note(len(there) / 2, 0, "classes, the most frequent first", shift=(0, 22))
    first = next(iter(inspection.statistics.splits))
    drawing = plot.svg(f"Images of the classes of {first}", grid, *bars, words)
    return (
        f'<figure class="tail"><figcaption><b>Balance</b> <span class="soft">images of'
        f" {text(first)}, in powers of ten</span></figcaption>{drawing}</figure>"
    )


def together(inspection: Inspection) -> str:
    """Which classes come together: a table, and a matrix of the most frequent."""
    pairs = inspection.statistics.pairs()
    if not pairs:
        return ""
    rows = "".join(_pair_row(inspection, pair) for pair in pairs[:SHOWN_PAIRS])
    return (
        '<h2 id="together">Classes that come together</h2><p>Pairs on at least'
        f" {LEAST_TOGETHER} images, those first that come together most often compared with chance"
        ' (lift). What always comes together cannot be told apart.</p><div class="row">'
        '<div class="wide"><table><thead><tr><th>of the images with</th>'
        '<th class="text">so many have</th><th>share</th><th>images</th><th>lift</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{_matrix(inspection)}</div>"
    )


def _pair_row(inspection: Inspection, pair: Together) -> str:
    classes = inspection.statistics.classes
    return (
        f'<tr><td>{name(str(classes[pair.first]))}</td><td class="text">'
        f"{name(str(classes[pair.second]))}</td><td>{pair.share:.0%}</td><td>{pair.images:,}</td>"
        f"<td>{pair.lift:.1f}</td></tr>"
    )


def _matrix(inspection: Inspection) -> str:
    statistics = inspection.statistics
    positives_C = statistics.positives_C
    ranked = np.argsort(-positives_C, kind="stable")[:MATRIX_CLASSES].tolist()
    classes = [c for c in ranked if positives_C[c]]
    if len(classes) < 3:  # the table says as much
        return ""
    joint_KK = statistics.matrix(classes)
    heads = "".join(f'<th scope="col">{name(str(statistics.classes[c]))}</th>' for c in classes)
    rows = "".join(
        f'<tr><th scope="row">{name(str(statistics.classes[c]))}</th>'
        + "".join(
            _cell(int(joint_KK[row, column]) / int(positives_C[c]), same=row == column)
            for column in range(len(classes))
        )
        + "</tr>"
        for row, c in enumerate(classes)
    )
    frequent = count(len(classes), "most frequent class", "most frequent classes")
    return (
        '<div class="wide"><table class="matrix shares"><thead><tr>'
        f"<td></td>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        '<p class="small soft">Of the images with the class of the row, how many in a hundred have'
        f" that of the column. Shown: the {frequent}.</p></div>"
    )


def _cell(share: float, *, same: bool) -> str:
    if same:
        return "<td></td>"
    return f'<td style="--part:{share:.3f}">{round(100 * share) or ""}</td>'
