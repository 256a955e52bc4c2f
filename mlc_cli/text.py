"""Words that messages share, and how names that others chose are shown."""

import difflib
import json
import unicodedata
from collections.abc import Iterable, Sequence

SHOWN = 10
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"  # parts of words and of emoji


def plain(text: str, keep: str = "") -> str:
    """Text that is safe to show: what moves a cursor or turns a line becomes an escape of JSON.

    Characters that are to `keep` stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        json.dumps(char)[1:-1]
        if unicodedata.category(char) in _UNSEEN and char not in _JOINERS + keep
        else char
        for char in text
    )


def csv_cell(text: str, *, guard: bool = True) -> str:
    """Text for one cell of a table on one line; guarded, no spreadsheet takes it for a formula."""
    shown = plain(text)
    return f"'{shown}" if guard and shown.startswith(("=", "+", "-", "@")) else shown


def some(names: Sequence[object], most: int = SHOWN) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(plain(str(name)) for name in names[:most]) + more


def listing(examples: Sequence[str], count: int | None = None) -> str:
    """At most ten examples, a line each, and how many more of `count` there are."""
    shown = [f"  {plain(example)}" for example in examples[:SHOWN]]
    more = (len(examples) if count is None else count) - len(shown)
    return "\n".join([*shown, f"  ... and {more:,} more"] if more > 0 else shown)


def only_one_side(here: Iterable[object], there: Iterable[object]) -> str:
    """The names that only one of two lists has, a line for each list that has some."""
    left, right = set(map(str, here)), set(map(str, there))
    sides = {"only here": left - right, "only there": right - left}
    return "\n".join(f"  {title}: {some(sorted(names))}" for title, names in sides.items() if names)


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, as a question; empty if none is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f", did you mean '{close[0]}'?" if close else ""
