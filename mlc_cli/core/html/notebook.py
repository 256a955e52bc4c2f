"""Results as small tables, which notebooks show in place of a `repr`."""

from collections.abc import Sequence
from html import escape

ROWS = 20


def table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[object]], *, strong: int = 0
) -> str:
    """An HTML table of the first rows, so many of them in bold, and how many more there are."""
    lines = [_row(header, "th")]
    lines += [_row(row, "th" if i < strong else "td") for i, row in enumerate(rows[:ROWS])]
    more = f"<p>... and {len(rows) - ROWS} more</p>" if len(rows) > ROWS else ""
    return f"<table><caption>{escape(title)}</caption>{''.join(lines)}</table>{more}"


def _row(cells: Sequence[object], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(str(cell))}</{tag}>' for cell in cells)}</tr>"
