"""Which classes there are: those of a list, or those that come."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.annotations import Label, sorted_classes
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError
from mlc_cli.text import SHOWN, listing, nearest


class ClassIndex(dict[Label, int]):
    """Position of each label: in a fixed list, or in the order in which labels come.

    A label that is not in a fixed list, compared as text, gets a negative position.
    """

    def __init__(self, fixed: Sequence[Label] | None) -> None:
        super().__init__()
        self._fixed = fixed
        self._by_text = {str(name): position for position, name in enumerate(fixed or ())}
        self._unknown_labels: list[Label] = []

    def __missing__(self, label: Label) -> int:
        if self._fixed is None:
            position = len(self)
        elif str(label) in self._by_text:
            position = self._by_text[str(label)]
        else:
            self._unknown_labels.append(label)
            position = -len(self._unknown_labels)
        self[label] = position
        return position

    def names(self, origin: Path) -> tuple[Label, ...]:
        """The classes in sorted order.

        Raises:
            DataError: There are none, or they are of two kinds.
        """
        names = self._unsorted()
        if not names:
            raise DataError(
                f"{origin}: no image has a label, and no classes are listed",
                "Name the classes with --classes.",
            )
        return sorted_classes(names, origin)

    def sorted_rank_P(self, names: Sequence[Label]) -> NDArray[np.int64]:
        """Place of each position in the order of `names`."""
        rank = {name: number for number, name in enumerate(names)}
        return np.array([rank[name] for name in self._unsorted()], np.int64)

    def _unsorted(self) -> list[Label]:
        return list(self) if self._fixed is None else list(self._fixed)

    def check_unknown_labels(
        self, counts: Sequence[int], origin: Path, dropped: IssueLog, *, drop: bool
    ) -> None:
        """Drop the labels that are not in the fixed list, in the order of their counts.

        Raises:
            DataError: There are some, and they may not be dropped.
        """
        lines: list[str] = []
        for label, count in zip(self._unknown_labels, counts, strict=True):
            near = nearest(str(label), self._by_text) if len(lines) < SHOWN else ""
            lines.append(f"{label!r}, {count} times{near}")
            if drop:
                dropped.add("labels that are not among the classes", lines[-1], count)
        if lines and not drop:
            raise DataError(
                f"{origin}: {len(lines)} labels are not among the {len(self._by_text)} classes:\n"
                + listing(lines, len(lines)),
                "Add them to --classes, or leave them out with `--set on_unknown_class=drop`.",
            )
