"""The diagrams of the report."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from mlc_cli.core.evaluation.curves import Curve, pr_curve, score_shares
from mlc_cli.core.evaluation.metrics import Floats
from mlc_cli.core.evaluation.reliability import Reliability, wilson
from mlc_cli.core.evaluation.report.content import Content
from mlc_cli.core.html.svg import Plot, round_ticks

ENDS = (0.0, 0.5, 1.0)
FIFTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
Points = list[tuple[float, float]]
CURVES = (
    ("Training loss", ("train/loss",)),
    ("Validation mAP", ("val/mAP", "val/mAP_ema")),
    ("Learning rate", ("train/lr",)),
)


def pr_of(content: Content, c: int) -> Markup:
    """Precision over recall of a class."""
    scores_N, targets_N = content.scores.probabilities_NC[:, c], content.scores.targets_NC[:, c]
    metrics = content.decisions
    return pr_chart(
        content.evaluation.classes[c],
        pr_curve(scores_N, targets_N, points=60),
        float(metrics.precision_C[c]),
        float(metrics.recall_C[c]),
        float(content.chance_C[c]),
    )


def scores_of(content: Content, c: int) -> Markup:
    """Scores of a class."""
    shares = score_shares(
        content.scores.probabilities_NC[:, c], content.scores.targets_NC[:, c], bins=20
    )
    return histogram(content.evaluation.classes[c], *shares, float(content.thresholds_C[c]))


def learning_charts(content: Content) -> dict[str, Markup]:
    """How the training went, by what is drawn; empty without a record of it."""
    drawn = {
        title: learning_chart(title, content.history, keys, content.epoch) for title, keys in CURVES
    }
    return {title: chart for title, chart in drawn.items() if chart}


def pr_chart(name: str, curve: Curve, precision: float, recall: float, chance: float) -> Markup:
    """Precision over recall, with the point that the threshold stands for.

    Args:
        name: Of the class.
        curve: To draw.
        precision: At the threshold; nan leaves the point out.
        recall: At the threshold.
        chance: Precision of guessing: the share of images that have the label.
    """
    plot = Plot(220, 132, right=10)
    parts = [plot.axes(ENDS, ENDS), plot.line([(0, chance), (1, chance)], "soft")]
    parts.append(plot.line(_steps(curve)))
    if math.isfinite(precision) and math.isfinite(recall):
        parts.append(plot.dot(recall, precision, f"P {precision:.3f}, R {recall:.3f}"))
    return plot.svg(f"Precision over recall of {name}", *parts)


def _steps(curve: Curve) -> Points:
    """Corners of the curve as steps: the area below them is the average precision."""
    lefts = [0.0, *curve.recall.tolist()]
    corners: Points = []
    for place, precision in enumerate(curve.precision.tolist()):
        corners += [(lefts[place], precision), (lefts[place + 1], precision)]
    return corners


def histogram(name: str, present_K: Floats, absent_K: Floats, threshold: float) -> Markup:
    """Scores of images with the label above the line, of those without it below.

    Heights are square roots of shares, so that the few images in the middle are seen.
    """
    highest = float(np.sqrt(max(present_K.max(), absent_K.max()))) or 1.0
    plot = Plot(220, 96, y=(-highest, highest), right=10)
    edges = np.linspace(0, 1, len(present_K) + 1).tolist()
    parts = [plot.line([(0, 0), (1, 0)], "grid")]
    for k, (up, down) in enumerate(zip(np.sqrt(present_K), np.sqrt(absent_K), strict=True)):
        if up > 0:
            parts.append(plot.bar((edges[k], edges[k + 1]), (0, float(up))))
        if down > 0:
            parts.append(plot.bar((edges[k], edges[k + 1]), (0, -float(down)), "bar second"))
    if 0 <= threshold <= 1:
        parts.append(plot.line([(threshold, -highest), (threshold, highest)], "mark"))
    parts += [plot.note(x, -highest, f"{x:g}", shift=(0, 14)) for x in ENDS]
    return plot.svg(f"Scores of {name} with and without the label", *parts)


def reliability_chart(bins: Reliability) -> Markup:
    """Share of labels that are there over their probability, with 95 % intervals."""
    plot = Plot(460, 320, left=34, top=22, bottom=38)
    probability_K, share_K, counts_K = bins.curve()
    low_K, high_K = wilson(bins.overall.present_CK[0], counts_K)
    parts = [plot.axes(FIFTHS, FIFTHS), plot.line([(0, 0), (1, 1)], "soft")]
    filled = np.flatnonzero(counts_K).tolist()
    parts.append(plot.line([(float(probability_K[k]), float(share_K[k])) for k in filled]))
    for k in filled:
        x, y = float(probability_K[k]), float(share_K[k])
        parts.append(plot.line([(x, float(low_K[k])), (x, float(high_K[k]))], "line thin"))
        parts.append(plot.dot(x, y, f"says {x:.3f}, is {y:.3f}, {counts_K[k]} labels"))
        parts.append(
            plot.note((k + 0.5) / len(counts_K), 1, short(int(counts_K[k])), shift=(0, -8))
        )
    parts.append(plot.note(0.5, 0, "probability that the model gives", shift=(0, 31)))
    return plot.svg("Share of labels that are present over their probability", *parts)


def short(count: int) -> str:
    """A count in few characters: 950, 9.5k, 1.2M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.1f}".removesuffix(".0") + unit
    return str(count)


def learning_chart(
    title: str, rows: Sequence[dict[str, Any]], keys: Sequence[str], epoch: int
) -> Markup:
    """Values over epochs, one line a key, the epoch of the checkpoint marked; "" if none is there.

    Args:
        title: What the values are.
        rows: Lines of `metrics.jsonl`.
        keys: At most two of them; the second line is dashed.
        epoch: Of the checkpoint.
    """
    lines = {key: _points(rows, key) for key in keys}
    values = [y for points in lines.values() for _, y in points]
    if not values:
        return Markup("")
    epochs = [x for points in lines.values() for x, _ in points]
    low, high = min(values), max(values)
    margin = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    span = (min(epochs), max(epochs)) if max(epochs) > min(epochs) else (0.0, max(epochs) + 1)
    plot = Plot(340, 200, x=span, y=(low - margin, high + margin), left=44)
    whole = sorted({round(tick) for tick in round_ticks(*span, 6)})
    parts = [plot.axes(whole, round_ticks(*plot.y))]
    if span[0] <= epoch <= span[1]:
        parts.append(plot.line([(epoch, plot.y[0]), (epoch, plot.y[1])], "mark"))
    for number, points in enumerate(lines.values()):
        css = "line second" if number else "line"
        parts.append(plot.line(points, css))
        if len(points) < 2:
            parts += [plot.dot(x, y, f"{y:.4g}") for x, y in points]
    return plot.svg(f"{title} over epochs", *parts)


def _points(rows: Sequence[dict[str, Any]], key: str) -> Points:
    pairs = [(row.get("epoch"), row.get(key)) for row in rows]
    return [(float(x), float(y)) for x, y in pairs if _is_number(x) and _is_number(y)]  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
