"""Drawing small diagrams as inline SVG; colours come from the page's CSS.

Classes of lines and shapes: `line`, `line second`, `grid`, `mark`, `bar`, `bar second`, `soft`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

Range = tuple[float, float]


@dataclass(frozen=True)
class Plot:
    """A rectangle with axes inside margins.

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

    def line(self, points: Iterable[tuple[float, float]], css: str = "line") -> Markup:
        """A line through points."""
        path = "L".join(f"{self.px(x):.1f} {self.py(y):.1f}" for x, y in points)
        return Markup('<path class="{}" d="M{}"/>').format(css, path) if path else Markup("")

    def dot(self, x: float, y: float, hint: str, css: str = "mark", radius: float = 3.5) -> Markup:
        """A dot with a hint under the pointer."""
        return Markup(
            '<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:g}"><title>{}</title></circle>'
        ).format(css, self.px(x), self.py(y), radius, hint)

    def bar(self, x: Range, y: Range, css: str = "bar") -> Markup:
        """A filled rectangle between two values on each axis."""
        left, width = self.px(x[0]), max(0.0, self.px(x[1]) - self.px(x[0]) - 0.6)
        top, height = min(map(self.py, y)), abs(self.py(y[0]) - self.py(y[1]))
        return Markup(
            '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>'
        ).format(css, left, top, width, height)

    def note(
        self,
        x: float,
        y: float,
        words: str,
        anchor: str = "middle",
        shift: tuple[int, int] = (0, 0),
    ) -> Markup:
        """Text at a point, shifted to the right and down by so many units."""
        return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
            self.px(x) + shift[0], self.py(y) + shift[1], anchor, words
        )

    def axes(self, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> Markup:
        """Grid lines with their values."""
        parts = [self.line([(self.x[0], y), (self.x[1], y)], "grid") for y in y_ticks]
        parts += [self.note(self.x[0], y, f"{y:.4g}", "end", (-4, 4)) for y in y_ticks]
        parts += [self.note(x, self.y[0], f"{x:.4g}", shift=(0, 14)) for x in x_ticks]
        return Markup("").join(parts)

    def svg(self, label: str, *parts: Markup) -> Markup:
        """The drawing; the label is for those who cannot see it."""
        return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
            self.width, self.height, label, Markup("").join(parts)
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
