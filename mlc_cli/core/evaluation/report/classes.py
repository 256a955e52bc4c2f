"""The labels one by one: a table to sort, and diagrams of each."""

import math

from mlc_cli.core.evaluation.curves import pr_curve, score_shares
from mlc_cli.core.evaluation.report.charts import histogram, pr_chart
from mlc_cli.core.evaluation.report.content import Content, span
from mlc_cli.core.html.words import count, value

OPEN_CHARTS = 24
MOST_CHARTS = 300
FIRST_SORTED = ' aria-sort="ascending"'
COLUMNS = (
    ("AP", "Average precision: 1 if all images with the label rank above all others"),
    ("95 %", "Interval of AP"),
    ("P", "Precision: part of the predictions that is right"),
    ("R", "Recall: part of the images with the label that is found"),
    ("F1", "Precision and recall in one number"),
    ("ECE", "Calibration error: how far probabilities are from the truth, on average"),
    ("positives", "Images that have the label"),
    ("threshold", "Probability from which the label counts as present"),
)


def class_table(content: Content) -> str:
    """A row for each class, the weakest first; headers sort."""
    heads = "".join(
        f'<th scope="col"{FIRST_SORTED if title == "AP" else ""}>'
        f'<button type="button" title="{meaning}">{title}</button></th>'
        for title, meaning in COLUMNS
    )
    ece_C = content.diagnosis.reliability.ece_C
    rows = "".join(_row(content, c, float(ece_C[c])) for c in content.by_ap())
    search = (
        '<input id="class-search" class="noprint" type="search" placeholder="Find a label"'
        ' aria-label="Find a label">'
        if len(content.evaluation.classes) > 12
        else ""
    )
    meanings = "; ".join(f"<b>{title}</b>: {meaning[0].lower()}{meaning[1:]}"
                         for title, meaning in COLUMNS)  # fmt: skip
    return (
        f'<h2 id="classes">Label by label</h2><p>Precision, recall and F1 {content.at}. The weakest'
        " come first; a click on a header sorts anew.</p>"
        f'{search}<div class="wide"><table id="classes-table" class="sortable"><thead><tr>'
        f'<th scope="col"><button type="button">label</button></th>{heads}</tr></thead>'
        f'<tbody>{rows}</tbody></table></div><p class="soft small">{meanings}. A dash stands where'
        " a number is undefined: without positive images, or without predictions.</p>"
    )


def _row(content: Content, c: int, ece: float) -> str:
    metrics, ap = content.decisions, float(content.evaluation.ap_C[c])
    interval = content.diagnosis.intervals.ap_C[c]
    width = interval.high - interval.low
    gauge = f' class="gauge" style="--part:{ap:.3f}"' if math.isfinite(ap) else ""
    linked = f'<a href="#chart-{c}">{content.name(c)}</a>' if _has_chart(content, c) else ""
    return (
        f"<tr><td>{linked or content.name(c)}</td><td{gauge}{_sort_key(ap)}>{value(ap)}</td>"
        f'<td class="range small"{_sort_key(width)}>{span(interval, 2) or "–"}</td>'
        + "".join(
            f"<td{_sort_key(number)}>{value(number)}</td>"
            for number in (
                float(metrics.precision_C[c]),
                float(metrics.recall_C[c]),
                float(metrics.f1_C[c]),
                ece,
            )
        )
        + f"<td{_sort_key(int(content.evaluation.positives_C[c]))}>"
        f"{content.evaluation.positives_C[c]:,}</td>"
        f"<td{_sort_key(float(content.thresholds_C[c]))}>{value(content.thresholds_C[c])}</td></tr>"
    )


def _sort_key(number: float) -> str:
    return f' data-v="{number:.9g}"' if math.isfinite(number) else ' data-v=""'


def _drawn(content: Content) -> list[int]:
    """Classes that get a diagram: the weakest, those without positives last."""
    return content.by_ap()[:MOST_CHARTS]


def _has_chart(content: Content, c: int) -> bool:
    return len(content.evaluation.classes) <= MOST_CHARTS or c in set(_drawn(content))


def class_charts(content: Content) -> str:
    """Two diagrams for each class: precision over recall, and scores."""
    drawn = _drawn(content)
    figures = [_figure(content, c) for c in drawn]
    first, more = figures[:OPEN_CHARTS], figures[OPEN_CHARTS:]
    rest = ""
    if more:
        rest = (
            f"<details><summary>{count(len(more), 'more label')}</summary>"
            f'<div class="charts">{"".join(more)}</div></details>'
        )
    left_out = len(content.evaluation.classes) - len(drawn)
    note = (
        f'<p class="soft small">Diagrams of the {MOST_CHARTS} weakest labels are drawn; those of'
        f" {left_out:,} others are left out to keep the page small.</p>"
        if left_out
        else ""
    )
    return (
        '<h2 id="charts">Curves and scores</h2><p>Above: precision (upwards) over recall (to the'
        " right) as the threshold falls; the red dot is the threshold in use, the dotted line is"
        ' guessing. Below: the scores of images <span class="key bar" style="background:'
        'var(--accent)"></span> with the label (upwards) and <span class="key" style="background:'
        'var(--soft)"></span> without it (downwards), the red line is the threshold. Heights are'
        " square roots of shares, so that few images can be seen beside many.</p>"
        f'<div class="charts">{"".join(first)}</div>{rest}{note}'
    )


def _figure(content: Content, c: int) -> str:
    scores_N = content.scores.probabilities_NC[:, c]
    targets_N = content.scores.targets_NC[:, c]
    title = content.evaluation.classes[c]
    metrics = content.decisions
    curve = pr_chart(
        title,
        pr_curve(scores_N, targets_N, points=60),
        float(metrics.precision_C[c]),
        float(metrics.recall_C[c]),
        float(content.chance_C[c]),
    )
    bars = histogram(
        title, *score_shares(scores_N, targets_N, bins=20), float(content.thresholds_C[c])
    )
    if not content.evaluation.positives_C[c]:
        curve = '<p class="soft small">on no image: no curve</p>'
    return (
        f'<figure id="chart-{c}"><figcaption><b>{content.name(c)}</b><span class="soft">AP'
        f" {value(content.evaluation.ap_C[c])}</span></figcaption>{curve}{bars}</figure>"
    )
