"""Names and numbers as people read them on a page."""

import math

from mlc_cli.core.html.page import text

LONGEST_NAME = 80


def name(words: str) -> str:
    """HTML of a name that somebody gave; blank ones are shown as such, long ones shortened."""
    if len(words) > LONGEST_NAME:
        short = f"{words[:LONGEST_NAME]}…"
        return f'<span class="name" title="{text(words)}">{text(short)}</span>'
    return f'<span class="name">{text(words) if words.strip() else "(blank)"}</span>'


def value(number: float, digits: int = 3) -> str:
    """A number for people; a dash where it is undefined."""
    return f"{number:.{digits}f}" if math.isfinite(number) else "–"


def probability(number: float) -> str:
    """A probability for people, never rounded to a certainty that it is not."""
    if 0 < number < 0.001:
        return "&lt; 0.001"
    if 0.999 < number < 1:
        return "&gt; 0.999"
    return f"{number:.3f}"


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
