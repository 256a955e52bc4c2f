"""Columns that the user tells, and those that are kept beside the annotation."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mlc_cli.core.datasets.leaks import tells_groups
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError
from mlc_cli.text import some


@dataclass(frozen=True)
class Told:
    """Names of columns that the user tells; what is not told is decided from names and cells.

    Attributes:
        keep: Keep columns that are not used; that of the groups is kept in any case.
    """

    image: str | None = None
    labels: tuple[str, ...] = ()
    split: str | None = None
    group: str | None = None
    keep: bool = False


UNTOLD = Told()


class Kept:
    """Cells of columns that are neither image, labels nor split, by image.

    Attributes:
        cells: Cells by the path of the image and the name of the column.
        remarks: Which columns are not used, or kept, by table.
    """

    def __init__(self, told: Told) -> None:
        self._told = told
        self._stays = told.keep or told.group is not None
        self.cells: dict[str, Mapping[str, str]] = {}
        self.remarks: list[str] = []

    def choose(self, file: str, header: Sequence[str], used: Collection[int]) -> dict[int, str]:
        """Columns of a table to keep, and those that are only looked at, as they may tell groups.

        Args:
            file: Name of the table.
            header: Its columns.
            used: Those of images, labels and split.

        Raises:
            DataError: It has no column of this name for groups.
        """
        group = self._told.group
        if group is not None and group not in header:
            raise DataError(f"{file}: has no column {group}", f"It has {some(header, 30)}.")
        spare = {c: name for c, name in enumerate(header) if name and c not in used}
        kept = spare if self._told.keep else {}
        if group is not None:
            kept = {**kept, header.index(group): group}
        if rest := [name for c, name in spare.items() if c not in kept]:
            self.remarks.append(
                f"{file}: columns that are not used (--keep-columns keeps them): {some(rest, 30)}"
            )
        if kept:
            self.remarks.append(f"{file}: columns kept: {some([*kept.values()], 30)}")
        return kept if self._stays else {c: n for c, n in spare.items() if tells_groups(n)}

    def add(
        self, path: str, row: Sequence[str], columns: Mapping[int, str], dropped: IssueLog
    ) -> None:
        """Keep cells of an image; of several rows the first counts."""
        if not columns:
            return
        own = {name: row[column] for column, name in columns.items()}
        if self.cells.setdefault(path, own) != own and self._stays:
            kind = "rows whose kept columns differ from the first row of the image (which counts)"
            dropped.add(kind, path)
