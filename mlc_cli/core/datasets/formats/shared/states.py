"""What the flags of a table mean, decided from which of them occur."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal["present", "absent", "unknown"]
Flag = int | None
"""1, 0, -1, or `None` where a cell is blank."""

MISSING = ("nan", "na", "n/a", "<na>", "null", "none")
"""What programs and people write in place of nothing, in small letters."""
_PRESENT = (
    "1 1.0 true t yes y x ja oui si sí wahr vrai verdadero vero positive pos present ✓ ✔ ☑ ✅"
)
_ABSENT = "0 0.0 false f no n nein non falsch faux falso negative neg absent ✗ ✘ ☐ ❌"
_FLAGS: dict[str, Flag] = {
    **dict.fromkeys(_PRESENT.split(), 1),
    **dict.fromkeys(_ABSENT.split(), 0),
    **dict.fromkeys(("-1", "-1.0"), -1),
    **dict.fromkeys(("", *MISSING), None),
}
_NAMES = {1: "1", 0: "0", -1: "-1", None: "blank"}
_SETTINGS = {0: "csv.zero", -1: "csv.minus_one", None: "csv.blank"}


def flag(cell: str) -> Flag:
    """What a cell says: 1, 0, -1, or `None` where it is blank.

    Raises:
        ValueError: It says something else.
    """
    text = cell.lower()
    if text in _FLAGS:
        return _FLAGS[text]
    number = float(text)
    if number not in (1, 0, -1):
        raise ValueError(cell)
    return int(number)


def is_flag(cell: str) -> bool:
    """Whether a cell says 1, 0 or -1, or is blank."""
    try:
        flag(cell)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class StateRule:
    """What the user says that flags mean.

    Attributes:
        minus_one: State of -1 where 0 occurs too; alone with 1 it is absent.
        zero: State of 0.
        blank: State of blank cells.
    """

    minus_one: State = "unknown"
    zero: State = "absent"
    blank: State = "unknown"

    def decide(self, counts: Mapping[Flag, int]) -> dict[Flag, State]:
        """State of each flag, from how often each occurs in the whole table."""
        pair = counts.get(-1, 0) > 0 and not counts.get(0, 0)
        minus_one = "absent" if pair else self.minus_one
        return {1: "present", 0: self.zero, -1: minus_one, None: self.blank}

    def remark(self, counts: Mapping[Flag, int]) -> str:
        """What was decided, with the counts; empty where 0 and 1 alone occur."""
        if not (counts.get(-1) or counts.get(None)):
            return ""
        states = self.decide(counts)
        parts = [
            f"{_NAMES[value]} is {states[value]} ({counts[value]} cells"
            + (f", {_SETTINGS[value]})" if value in _SETTINGS else ")")
            for value in (1, 0, -1, None)
            if counts.get(value)
        ]
        return "values: " + ", ".join(parts)
