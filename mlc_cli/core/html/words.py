"""Names and numbers as people read them on a page: the filters of the templates."""

import math
import re
from collections.abc import Callable
from typing import Any

from markupsafe import Markup, escape

from mlc_cli.text import plain

LONGEST_NAME = 80


def name(words: object) -> Markup:
    """A name that somebody gave; blank ones are shown as such, long ones shortened."""
    words = plain(str(words))
    if len(words) > LONGEST_NAME:
        short = f"{words[:LONGEST_NAME]}…"
        return Markup('<span class="name" title="{}">{}</span>').format(words, short)
    return Markup('<span class="name">{}</span>').format(words if words.strip() else "(blank)")


def value(number: float | None, digits: int = 3) -> str:
    """A number; a dash where it is undefined."""
    return "–" if number is None or not math.isfinite(number) else f"{number:.{digits}f}"


def probability(number: float | None) -> str:
    """A probability, never rounded to a certainty that it is not; a dash where it is unknown."""
    if number is None:
        return "–"
    if 0 < number < 0.001:
        return "< 0.001"
    if 0.999 < number < 1:
        return "> 0.999"
    return f"{number:.3f}"


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def span(interval: Any, digits: int = 3) -> str:
    """An interval from `low` to `high`, empty where it is undefined."""
    if interval is None or not math.isfinite(interval.low):
        return ""
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"


def code(words: str) -> Markup:
    """A text with `commands`."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(words))))


def gauge(words: str, part: float) -> Markup:
    """Words on a bar that fills a part of their cell."""
    if not math.isfinite(part):
        return escape(words)
    return Markup('<span class="gauge" style="--part:{:.4f}">{}</span>').format(part, words)


FILTERS: dict[str, Callable[..., Any]] = {
    made.__name__: made for made in (name, value, probability, count, span, code, gauge)
} | {"thousands": "{:,}".format}
