"""What was found, by kind: how often, and the first examples of each."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mlc_cli import text
from mlc_cli.text import SHOWN


@dataclass
class IssueLog:
    """Findings by kind, their first examples alone: memory does not grow with their number."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, example: str | Callable[[], str], count: int = 1) -> None:
        """Count findings of a kind, in words that follow a number (`images that are missing`).

        An example that is a function is only called if it will be shown.
        """
        self.counts[kind] = self.counts.get(kind, 0) + count
        shown = self.examples.setdefault(kind, [])
        if len(shown) < SHOWN:
            shown.append(example if isinstance(example, str) else example())

    def lines(self) -> str:
        """Each kind with its number and its first examples; empty if nothing was found."""
        return "\n".join(
            f"{count} {kind}:\n{text.listing(self.examples[kind], count)}"
            for kind, count in self.counts.items()
        )
