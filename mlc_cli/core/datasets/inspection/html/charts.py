"""The diagrams of the page."""

import math

import numpy as np
from markupsafe import Markup

from mlc_cli.core.datasets.counts import MOST_LABELS, SplitCounts
from mlc_cli.core.datasets.inspection.scan import Files
from mlc_cli.core.datasets.inspection.statistics import Statistics
from mlc_cli.core.html.svg import Plot, round_ticks
from mlc_cli.core.html.words import count

MOST_DOTS = 1500


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
