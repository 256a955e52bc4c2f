"""The diagrams of the report."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mlc_cli.core.evaluation.metrics import Floats, ratio
from mlc_cli.core.evaluation.ranking import rank_positives
from mlc_cli.core.evaluation.reliability import Reliability, share_interval
from mlc_cli.core.html.svg import Plot, round_ticks

MOST_CHARTS = 300
SUMMARY = ("CP", "CR", "CF1", "OP", "OR", "OF1")
ENDS = (0.0, 0.5, 1.0)
FIFTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
Points = list[tuple[float, float]]


class Curve(NamedTuple):
    """Precision over recall of a class, from high thresholds to low ones."""

    recall: Floats
    precision: Floats


def pr_curve(scores_N: NDArray[Any], targets_N: NDArray[np.int8], points: int) -> Curve:
    """Precision over recall at the scores of positives, thinned out to at most `points`."""
    ranked = rank_positives(scores_N, targets_N)
    hits, first = np.unique(ranked.hits_P, return_index=True)
    ranks = ranked.sorted_rank_P[first]
    if len(hits) > points:
        chosen = np.linspace(0, len(hits) - 1, points).round().astype(np.int64)
        hits, ranks = hits[chosen], ranks[chosen]
    return Curve(hits / max(1, len(ranked.scores_P)), ratio(hits, ranks))


def score_shares(
    probabilities_N: NDArray[Any], targets_N: NDArray[np.int8], bins: int
) -> tuple[Floats, Floats]:
    """Shares of the present and of the absent labels in equal bins of probability.

    Returns:
        Two arrays that each sum to 1, or are 0 where there are no such labels.
    """
    place_N = np.clip((probabilities_N * bins).astype(np.int64), 0, bins - 1)
    counts = [np.bincount(place_N[targets_N == state], minlength=bins) for state in (1, 0)]
    present, absent = (count / max(1, count.sum()) for count in counts)
    return present, absent


def pr_chart(name: str, curve: Curve, precision: float, recall: float, chance: float) -> Markup:
    """Precision over recall of a class, with the point of its threshold unless that is nan.

    Chance is the precision of guessing.
    """
    plot = Plot(220, 132, right=10)
    plot.axes(ENDS, ENDS)
    plot.line([(0, chance), (1, chance)], "soft")
    recalls, heights = (part.tolist() for part in curve)
    corners: Points = []  # as steps: the area below them is the average precision
    for left, right, height in zip([0.0, *recalls], recalls, heights, strict=False):
        corners += [(left, height), (right, height)]
    plot.line(corners)
    if math.isfinite(precision) and math.isfinite(recall):
        plot.dot(recall, precision, f"P {precision:.3f}, R {recall:.3f}")
    return plot.svg(f"Precision over recall of {name}")


def histogram(name: str, present_K: Floats, absent_K: Floats, threshold: float) -> Markup:
    """Scores of images with the label above the line, of those without it below.

    Heights are square roots of shares, so that the few images in the middle are seen.
    """
    highest = float(np.sqrt(max(present_K.max(), absent_K.max()))) or 1.0
    plot = Plot(220, 96, y=(-highest, highest), right=10)
    edges = np.linspace(0, 1, len(present_K) + 1).tolist()
    plot.line([(0, 0), (1, 0)], "grid")
    for sign, shares_K, css in ((1, present_K, "bar"), (-1, absent_K, "bar second")):
        for k in np.flatnonzero(shares_K).tolist():
            plot.bar((edges[k], edges[k + 1]), sign * math.sqrt(shares_K[k]), css)
    if 0 <= threshold <= 1:
        plot.line([(threshold, -highest), (threshold, highest)], "mark")
    for x in ENDS:
        plot.note(x, -highest, f"{x:g}", down=14)
    return plot.svg(f"Scores of {name} with and without the label")


def reliability_chart(bins: Reliability) -> Markup:
    """Share of labels that are there over their probability, with 95 % intervals."""
    plot = Plot(460, 320, left=34, top=22, bottom=38)
    probability_K, counts_K = bins.probability_K, bins.counts_K
    share_K = ratio(bins.present_K, counts_K)
    low_K, high_K = share_interval(bins.present_K, counts_K)
    plot.axes(FIFTHS, FIFTHS)
    plot.line([(0, 0), (1, 1)], "soft")
    filled = np.flatnonzero(counts_K)
    plot.line(zip(probability_K[filled], share_K[filled], strict=True))
    for k in filled.tolist():
        x, y, number = float(probability_K[k]), float(share_K[k]), int(counts_K[k])
        plot.line([(x, float(low_K[k])), (x, float(high_K[k]))], "line thin")
        plot.dot(x, y, f"says {x:.3f}, is {y:.3f}, {number} labels")
        plot.note((k + 0.5) / len(counts_K), 1, short(number), down=-8)
    plot.note(0.5, 0, "probability that the model gives", down=31)
    return plot.svg("Share of labels that are present over their probability")


def short(count: int) -> str:
    """A count in few characters: 950, 9.5k, 1.2M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.1f}".removesuffix(".0") + unit
    return str(count)


def learning_chart(
    title: str, rows: Sequence[dict[str, Any]], keys: Sequence[str], epoch: int
) -> Markup:
    """Values of lines of `metrics.jsonl` over epochs, the epoch of the checkpoint marked.

    There is a line for each key, the second dashed; "" where there is no value.
    """
    lines = [_points(rows, key) for key in keys]
    if not any(lines):
        return Markup("")
    epochs, values = zip(*[point for points in lines for point in points], strict=True)
    low, high = min(values), max(values)
    margin = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    span = (min(epochs), max(epochs)) if max(epochs) > min(epochs) else (0.0, max(epochs) + 1)
    plot = Plot(340, 200, x=span, y=(low - margin, high + margin), left=52)
    plot.axes(
        sorted({round(tick) for tick in round_ticks(span[0], span[1], 6)}), round_ticks(*plot.y)
    )
    if span[0] <= epoch <= span[1]:
        plot.line([(epoch, plot.y[0]), (epoch, plot.y[1])], "mark")
    for points, css in zip(lines, ("line", "line second"), strict=False):
        plot.line(points, css)
        for x, y in points if len(points) < 2 else ():
            plot.dot(x, y, f"{y:.4g}")
    return plot.svg(f"{title} over epochs")


def _points(rows: Sequence[dict[str, Any]], key: str) -> Points:
    pairs = [(row.get("epoch"), row.get(key)) for row in rows]
    return [(float(x), float(y)) for x, y in pairs if _is_number(x) and _is_number(y)]  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
