"""Small diagrams."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from mlc_cli.core.evaluation.reliability import reliability
from mlc_cli.core.evaluation.report.charts import (
    Curve,
    histogram,
    learning_chart,
    pr_chart,
    reliability_chart,
    short,
)
from mlc_cli.core.html.svg import Plot, round_ticks, scatter


def test_values_are_mapped_to_the_edges() -> None:
    plot = Plot(100, 50, x=(0, 10), y=(-1, 1), left=20, right=10, top=5, bottom=15)
    assert (plot.px(0), plot.px(10)) == (20, 90)
    assert (plot.py(-1), plot.py(1)) == (35, 5)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.5, 1]),
        (0.62, 0.69, [0.62, 0.64, 0.66, 0.68]),
        (0, 60, [0, 20, 40, 60]),
        (1, 1, [1]),
        (-3e-5, 3e-5, [-2e-5, 0, 2e-5]),
    ],
)
def test_ticks_are_round_and_inside(low: float, high: float, expected: list[float]) -> None:
    assert round_ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("count", [(0, "0"), (999, "999"), (1000, "1k"), (8240, "8.2k"),
                                   (1_250_000, "1.2M")])  # fmt: skip
def test_counts_are_short(count: tuple[int, str]) -> None:
    assert short(count[0]) == count[1]


HOSTILE = '<b onload="x">&\''


def points(svg: str, css: str) -> list[list[tuple[float, float]]]:
    """Points of the lines of a class in an SVG, which must be well-formed."""
    return [
        [tuple(map(float, pair.split())) for pair in path.attrib["d"].removeprefix("M").split("L")]
        for path in ET.fromstring(svg).iter("path")
        if path.attrib["class"] == css
    ]


def test_the_area_below_the_curve_is_the_average_precision() -> None:
    curve = Curve(np.array([0.25, 0.5, 1.0]), np.array([1.0, 0.5, 0.75]))
    (line,) = points(pr_chart(HOSTILE, curve, 0.5, 0.5, chance=0.1), "line")
    plot = Plot(220, 132, right=10)
    xs = [(x - plot.px(0)) / (plot.px(1) - plot.px(0)) for x, _ in line]
    ys = [(y - plot.py(0)) / (plot.py(1) - plot.py(0)) for _, y in line]
    area = sum((xs[i + 1] - xs[i]) * (ys[i + 1] + ys[i]) / 2 for i in range(len(xs) - 1))
    assert area == pytest.approx(0.25 * 1 + 0.25 * 0.5 + 0.5 * 0.75, abs=0.01)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0, -1.0, 2.0])
def test_a_threshold_is_marked_if_it_is_a_probability(threshold: float) -> None:
    svg = histogram(HOSTILE, np.array([0.5, 0, 0.5]), np.zeros(3), threshold)
    assert len(points(svg, "mark")) == (0 <= threshold <= 1)
    assert len(list(ET.fromstring(svg).iter("rect"))) == 2


def test_charts_without_anything_to_draw_are_well_formed() -> None:
    nothing = Curve(np.zeros(0), np.zeros(0))
    assert points(pr_chart(HOSTILE, nothing, np.nan, np.nan, 0.0), "line") == []
    assert ET.fromstring(histogram(HOSTILE, np.zeros(4), np.zeros(4), 0.5)).attrib["aria-label"]
    empty = reliability(np.zeros((0, 1)), np.zeros((0, 1), np.int8))
    assert not list(ET.fromstring(reliability_chart(empty)).iter("circle"))


def test_reliability_has_a_point_for_each_bin_that_is_filled() -> None:
    bins = reliability(np.array([[0.05], [0.95], [0.97]]), np.array([[0], [1], [1]], np.int8))
    root = ET.fromstring(reliability_chart(bins))
    hints = [circle.findtext("title") for circle in root.iter("circle")]
    assert hints == ["says 0.050, is 0.000, 1 labels", "says 0.960, is 1.000, 2 labels"]


ROWS = [
    {"epoch": 0, "val/mAP": 0.5, "val/mAP_ema": None},
    {"epoch": 1, "val/mAP": 0.6, "val/mAP_ema": 0.7},
    {"epoch": 2, "val/mAP": None, "val/mAP_ema": "?"},
    {"epoch": 3, "val/mAP": 0.9},
]


def test_learning_curves_leave_out_what_is_missing() -> None:
    svg = learning_chart("mAP", ROWS, ("val/mAP", "val/mAP_ema"), epoch=3)
    assert [len(line) for line in points(svg, "line")] == [3]
    assert [len(line) for line in points(svg, "line second")] == [1]
    assert len(points(svg, "mark")) == 1
    assert len(list(ET.fromstring(svg).iter("circle"))) == 1


@pytest.mark.parametrize(
    "rows", [[], [{}], [{"epoch": 1}], [{"epoch": 1, "loss": None}], [{"loss": 1.0}],
             [{"epoch": 1, "loss": float("nan")}]]
)  # fmt: skip
def test_without_values_there_is_no_learning_curve(rows: list[dict[str, object]]) -> None:
    assert learning_chart("Loss", rows, ("loss",), epoch=0) == ""


@pytest.mark.parametrize("loss", [0.0, 1.0, 1e9, -2.0])
def test_one_value_or_equal_values_can_be_drawn(loss: float) -> None:
    for rows in ([{"epoch": 4, "loss": loss}], [{"epoch": e, "loss": loss} for e in (1, 2)]):
        assert ET.fromstring(learning_chart("Loss", rows, ("loss",), epoch=9)) is not None


def test_powers_of_ten_are_even_on_a_logarithmic_axis() -> None:
    dots = [(10.0**power, 0.5, HOSTILE) for power in (-4, -3, -2)]
    svg = scatter(HOSTILE, dots, [(1e-4, 0.2), (1e-2, 0.6)], log=True, marks=[1e-3])
    left, middle, right = (
        float(circle.attrib["cx"]) for circle in ET.fromstring(svg).iter("circle")
    )
    assert middle - left == pytest.approx(right - middle, abs=0.2)
    ((start, end),) = points(svg, "line")
    assert (start[0], end[0]) == (pytest.approx(left), pytest.approx(right))
    ((mark, _),) = points(svg, "mark")
    assert mark[0] == pytest.approx(middle)
    assert "0.001" in [text.text for text in ET.fromstring(svg).iter("text")]


def test_one_dot_can_be_drawn() -> None:
    assert len(list(ET.fromstring(scatter("One", [(3.0, 0.5, "")])).iter("circle"))) == 1


def test_between_whole_numbers_is_no_tick() -> None:
    drawn = scatter("Two", [(x, 0.3 + x / 7, "") for x in range(2)])
    below = [t.text for t in ET.fromstring(drawn).iter("text") if t.get("text-anchor") == "middle"]
    assert below == ["0", "1"]
