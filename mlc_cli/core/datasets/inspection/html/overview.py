"""The top of the page: numbers, findings, splits."""

from mlc_cli.core.datasets.inspection.inspect import Inspection
from mlc_cli.core.datasets.inspection.issues import Finding
from mlc_cli.core.datasets.inspection.statistics import MOST_LABELS, SplitCounts
from mlc_cli.core.html.page import text
from mlc_cli.core.html.svg import Plot, round_ticks
from mlc_cli.core.html.words import count


def tiles(inspection: Inspection) -> str:
    """The numbers to look at first."""
    statistics = inspection.statistics
    splits = " · ".join(f"{text(name)} {c.images:,}" for name, c in statistics.splits.items())
    labels = sum(counts.labels for counts in statistics.splits.values())
    without = sum(counts.without for counts in statistics.splits.values())
    imbalance = statistics.imbalance()
    boxes = [
        ("images", f"{statistics.images:,}", splits),
        ("classes", f"{len(statistics.classes):,}", _balance(imbalance)),
        (
            "labels an image",
            f"{labels / max(1, statistics.images):.2f}",
            f"{count(without, 'image')} without labels",
        ),
        ("to repair", f"{_to_repair(inspection):,}", inspection.verdict),
    ]
    body = "".join(
        f'<div class="tile">{title}<b>{number}</b><div class="soft">{more}</div></div>'
        for title, number, more in boxes
    )
    return f'<div class="tiles">{body}</div>'


def _balance(imbalance: float | None) -> str:
    return "no labels" if imbalance is None else f"most to least frequent {imbalance:,.1f} : 1"


def _to_repair(inspection: Inspection) -> int:
    return inspection.number_of("error") + inspection.number_of("warning")


def findings(inspection: Inspection) -> str:
    """All findings, the worst first."""
    if not inspection.findings:
        return '<h2 id="findings">Findings</h2><p>There are none.</p>'
    cards = "".join(map(_card, inspection.findings))
    return (
        '<h2 id="findings">Findings</h2><p class="soft"><b>Error</b>: a training would stop, or its'
        " numbers would be wrong. <b>Warning</b>: hardly meant so. <b>Note</b>: worth knowing.</p>"
        f"{cards}"
    )


def _card(finding: Finding) -> str:
    items = "".join(f"<li>{text(example)}</li>" for example in finding.examples)
    if finding.more:
        items += f"<li>and {finding.more:,} more</li>"
    examples = (
        f'<details class="printed"><summary>Which ones</summary><ul>{items}</ul></details>'
        if items
        else ""
    )
    return (
        f'<div class="finding {finding.severity}"><b class="badge">{finding.severity}</b>'
        f'<div><div class="message">{text(finding.message)}</div>'
        f'<div class="soft">{text(finding.repair)}</div>{examples}</div></div>'
    )


def splits(inspection: Inspection) -> str:
    """A row and a diagram for each split."""
    counts = inspection.statistics.splits
    if not counts:
        return ""
    rows = "".join(_split_row(name, split) for name, split in counts.items())
    figures = "".join(
        f"<figure><figcaption><b>{text(name)}</b></figcaption>{_labels_chart(name, split)}</figure>"
        for name, split in counts.items()
    )
    return (
        '<h2 id="splits">Splits</h2><div class="wide"><table><thead><tr><th>split</th>'
        "<th>images</th><th>labels an image</th><th>without labels</th><th>unknown labels</th></tr>"
        f"</thead><tbody>{rows}</tbody></table></div><h3>Labels an image</h3>"
        f'<p class="soft small">Images by their number of labels; the last bar is {MOST_LABELS} and'
        f' more.</p><div class="charts">{figures}</div>'
    )


def _split_row(name: str, split: SplitCounts) -> str:
    return (
        f"<tr><td>{text(name)}</td><td>{split.images:,}</td>"
        f"<td>{split.labels / split.images:.2f}</td>"
        f"<td>{split.without:,} ({split.without / split.images:.1%})</td>"
        f"<td>{split.unknown:,}</td></tr>"
    )


def _labels_chart(name: str, split: SplitCounts) -> str:
    most = max(split.histogram)
    plot = Plot(220, 132, x=(-0.5, MOST_LABELS + 0.5), y=(0, most), left=40)
    bars = [
        plot.bar((number - 0.4, number + 0.4), (0, images))
        for number, images in enumerate(split.histogram)
        if images
    ]
    ticks = [tick for tick in round_ticks(0, most, 3) if tick == int(tick)]
    axes = plot.axes(range(0, MOST_LABELS + 1, 2), ticks)
    return plot.svg(f"Images of {name} by their number of labels", axes, *bars)
