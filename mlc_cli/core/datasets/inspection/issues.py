"""What is wrong with a data set, how bad it is, and how it is repaired."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mlc_cli.text import SHOWN

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        severity: `error`: a training would stop, or metrics would be wrong. `warning`: it is
            hardly meant so. `note`: worth knowing.
        kind: One word for programs, such as `missing-images`.
        message: What was found, with its number.
        repair: What to do about it.
        count: How often.
        examples: The first ten.
    """

    severity: Severity
    kind: str
    message: str
    repair: str
    count: int = 1
    examples: tuple[str, ...] = ()

    @property
    def more(self) -> int:
        """How many there are beyond the examples."""
        return self.count - len(self.examples) if self.examples else 0


def many(
    severity: Severity, kind: str, what: str, found: Sequence[str], repair: str
) -> list[Finding]:
    """A finding with its number and its first examples; none if nothing was found.

    Args:
        severity: How bad it is.
        kind: One word for programs.
        what: What was found, in words that follow a number; for one and, behind `|`, for many.
        found: All that was found.
        repair: What to do about it.
    """
    if not found:
        return []
    one, _, several = what.partition("|")
    words = one if len(found) == 1 or not several else several
    message = f"{len(found):,} {words}"
    return [Finding(severity, kind, message, repair, len(found), tuple(found[:SHOWN]))]


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first, otherwise in their order."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))
