"""Ranges of settings to search in: `log:1e-4..1e-2`, `3..7`, `a|b|c`, `[a, b]`."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlc_cli.errors import UsageError
from mlc_cli.settings.base import Settings
from mlc_cli.settings.fields import field_at, type_text
from mlc_cli.settings.yaml_io import parse_yaml

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_SPAN = re.compile(rf"\s*(log:)?\s*({_NUMBER})\s*\.\.\s*({_NUMBER})\s*")


@dataclass(frozen=True)
class Range:
    """Values that a setting may take.

    Attributes:
        values: All of them as text, or the lowest and the highest.
        spans: Whether everything between two values is meant.
        log: Whether each power of ten is as likely as the next.
    """

    key: str
    values: tuple[str, ...]
    spans: bool = False
    log: bool = False
    whole: bool = False

    def suggest(self, trial: Any) -> str:
        """The text that a trial of Optuna takes; numbers have four digits that count."""
        if not self.spans:
            return str(trial.suggest_categorical(self.key, self.values))
        low, high = map(float, self.values)
        if self.whole:
            return str(trial.suggest_int(self.key, int(low), int(high), log=self.log))
        return f"{trial.suggest_float(self.key, low, high, log=self.log):.4g}"

    def place(self, value: Any) -> Any:
        """What a trial has to take for this value of the setting; `None` if it cannot."""
        if self.spans:
            low, high = map(float, self.values)
            return value if isinstance(value, int | float) and low <= value <= high else None
        return next((text for text in self.values if parse_yaml(text, self.key) == value), None)


def split_ranges(
    model: type[Settings], assignments: Sequence[str]
) -> tuple[list[Range], list[str]]:
    """Ranges among texts `key=value`, and the other texts.

    A list is a range unless the setting itself is a list.

    Raises:
        UsageError: A range is empty, or a logarithmic one is not above 0.
    """
    ranges, fixed = [], []
    for assignment in assignments:
        key, _, text = (part.strip() for part in assignment.partition("="))
        field = field_at(model, key)
        kind = type_text(field) if field else ""
        if span := _SPAN.fullmatch(text):
            log, *ends = span.groups()
            if not (0 if log else float("-inf")) < float(ends[0]) < float(ends[1]):
                raise UsageError(
                    f"--set {assignment}: a range goes up{', from above 0' if log else ''}",
                    "For example: --set optim.lr=log:1e-4..1e-2",
                )
            whole = kind.startswith("whole number")
            ranges.append(Range(key, tuple(ends), spans=True, log=bool(log), whole=whole))
        elif "|" in text or (text.startswith("[") and "[" not in kind):
            parts = text.split("|") if "|" in text else parse_yaml(text, f"--set {key}")
            texts = [part.strip() if isinstance(part, str) else json.dumps(part) for part in parts]
            if len(set(texts)) < max(2, len(texts)) or "" in texts:
                raise UsageError(f"--set {assignment}: expected two or more different values")
            ranges.append(Range(key, tuple(texts)))
        else:
            fixed.append(assignment)
    return ranges, fixed
