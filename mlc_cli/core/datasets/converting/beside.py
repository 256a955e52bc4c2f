"""What is kept beside the annotation of a converted data set, and what it tells of the splits."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.columns import by_column, write_columns
from mlc_cli.core.datasets.leaks import leak_by_name, leaks_by_column
from mlc_cli.core.system.issues import IssueLog


@dataclass(frozen=True)
class Beside:
    """Cells of kept columns.

    Attributes:
        cells: By the path of an image and the name of the column; empty without any.
        group: The column whose images belong together; may be empty.
        stays: Whether they are written, and not only looked at.
    """

    cells: Mapping[str, Mapping[str, str]]
    group: str
    stays: bool

    def hint(self, splits: Mapping[str, Annotation], noted: IssueLog, *, names: bool) -> None:
        """Say which images belong together and lie in several splits.

        Args:
            splits: The images.
            noted: Takes the groups.
            names: Whether to look at names, too, where no column tells groups.
        """
        paths = {name: split.paths for name, split in splits.items()}
        leaks = []
        if self.cells:
            rows = {name: [self.cells[path] for path in own] for name, own in paths.items()}
            leaks = leaks_by_column(by_column(rows), self.group)
        if names and not self.group:
            leaks += leak_by_name(paths)
        for leak in leaks:
            kind = f"groups {leak.what} in several splits ({leak.flag} keeps them together)"
            for example in leak.groups:
                noted.add(kind, example)

    def write(
        self, before: Mapping[str, Annotation], after: Mapping[str, Annotation], folder: Path
    ) -> list[Path]:
        """Write the columns of each split under the new paths of its images.

        Returns:
            The files; none without columns.

        Raises:
            MlcError: A file cannot be written.
        """
        files = []
        for name, own in after.items() if self.cells and self.stays else ():
            moves = zip(before[name].paths, own.paths, strict=True)
            images = {new: self.cells[old] for old, new in moves}
            files.append(write_columns(folder / f"{name}.json", self.group, images))
        return files
