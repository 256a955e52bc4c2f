"""Drawing small diagrams as inline SVG; colours come from the page's CSS.

Classes of lines and shapes: `line`, `line second`, `grid`, `mark`, `bar`, `bar second`, `soft`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from mlc_cli.text import plain

Range = tuple[float, float]


@dataclass(frozen=True)
class Plot:
    """A drawing with axes inside margins; what is drawn lies over what was drawn before.

    Attributes:
        width: Of the whole drawing, in units of its text (11 high), like height and margins.
        x: Values at the left and the right edge of the plot.
        y: Values at its lower and its upper edge.
    """

    width: int
    height: int
    x: Range = (0.0, 1.0)
    y: Range = (0.0, 1.0)
    left: int = 30
    right: int = 8
    top: int = 8
    bottom: int = 20
    _parts: list[Markup] = field(default_factory=list)

    def px(self, value: float) -> float:
        """Position of a value on the x axis."""
        low, high = self.x
        inner = self.width - self.left - self.right
        return self.left + (value - low) / (high - low) * inner

    def py(self, value: float) -> float:
        """Position of a value on the y axis."""
        low, high = self.y
        inner = self.height - self.top - self.bottom
        return self.height - self.bottom - (value - low) / (high - low) * inner

    def _add(self, template: str, *values: object) -> None:
        self._parts.append(Markup(template).format(*values))

    def line(self, points: Iterable[tuple[float, float]], css: str = "line") -> None:
        """A line through points."""
        if path := "L".join(f"{self.px(x):.1f} {self.py(y):.1f}" for x, y in points):
            self._add('<path class="{}" d="M{}"/>', css, path)

    def dot(self, x: float, y: float, hint: str, css: str = "mark", radius: float = 3.5) -> None:
        """A dot with a hint under the pointer."""
        dot = '<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:g}"><title>{}</title></circle>'
        self._add(dot, css, self.px(x), self.py(y), radius, plain(hint))

    def bar(self, x: Range, y: float, css: str = "bar") -> None:
        """A filled rectangle between two values on the x axis, from 0 to a value on the other."""
        left, width = self.px(x[0]), max(0.0, self.px(x[1]) - self.px(x[0]) - 0.6)
        top, height = min(self.py(0), self.py(y)), abs(self.py(0) - self.py(y))
        bar = '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>'
        self._add(bar, css, left, top, width, height)

    def note(
        self, x: float, y: float, words: str, anchor: str = "middle", right: int = 0, down: int = 0
    ) -> None:
        """Text at a point, shifted by so many units."""
        text = '<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>'
        self._add(text, self.px(x) + right, self.py(y) + down, anchor, plain(words))

    def axes(self, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> None:
        """Grid lines with their values."""
        for y in y_ticks:
            self.line([(self.x[0], y), (self.x[1], y)], "grid")
            self.note(self.x[0], y, f"{y:.4g}", "end", right=-4, down=4)
        for x in x_ticks:
            self.note(x, self.y[0], f"{x:.4g}", down=14)

    def svg(self, label: str) -> Markup:
        """The drawing; the label is for those who cannot see it."""
        return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
            self.width, self.height, plain(label), Markup("").join(self._parts)
        )


def round_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers from `low` to `high`, about so many."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    unit = 10.0 ** math.floor(math.log10(rough))
    step = unit * next(factor for factor in (1, 2, 5, 10) if factor * unit >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def scatter(
    title: str,
    dots: Iterable[tuple[float, float, str]],
    line: Sequence[tuple[float, float]] = (),
    *,
    log: bool = False,
    marks: Sequence[float] = (),
) -> Markup:
    """Dots with hints, a line, and upright marks; with `log` the x axis goes by powers of ten."""
    scale = math.log10 if log else float
    drawn = [(scale(x), y, hint) for x, y, hint in dots]
    points = [(scale(x), y) for x, y in line]
    xs, ys = zip(*[one[:2] for one in drawn], *points, strict=True)
    edges = [(min(part), max(part)) for part in (xs, ys)]
    x, y = ((low - ((high - low) * 0.05 or 0.5), high + ((high - low) * 0.05 or 0.5))
            for low, high in edges)  # fmt: skip
    plot = Plot(440, 240, x=x, y=y, left=48)
    ticks = round_ticks(*x)
    if all(number.is_integer() for number in xs):  # nothing lies between two trials
        ticks = [tick for tick in ticks if tick.is_integer()]
    plot.axes([] if log else ticks, round_ticks(*y))
    for tick in ticks if log else ():
        plot.note(tick, y[0], f"{10**tick:.2g}", down=14)
    for mark in marks:
        plot.line([(scale(mark), y[0]), (scale(mark), y[1])], "mark")
    plot.line(points)
    for across, up, hint in drawn:
        plot.dot(across, up, hint, "dot")
    return plot.svg(title)
