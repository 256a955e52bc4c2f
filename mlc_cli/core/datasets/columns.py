"""Columns of a table that stay beside an annotation file, keyed by the path of the image.

    {"group": "patient", "images": {"images/1.jpg": {"patient": "p01", "age": "34"}}}

`val.columns.json` stands beside `val.json`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.formats.shared.json_files import load
from mlc_cli.core.datasets.leaks import find_leaks
from mlc_cli.core.system.files import exists, write_json
from mlc_cli.core.system.issues import IssueLog

_SUFFIX = ".columns.json"


class Columns(Struct):
    """Cells of kept columns, by path and column; `group` is that whose images belong together."""

    group: str = ""
    images: dict[str, dict[str, str]] = {}


def read_columns(annotation: Path) -> Columns:
    """What was kept beside an annotation file; nothing if there is no such file.

    Raises:
        DataError: It cannot be read.
    """
    path = annotation.with_suffix(_SUFFIX)
    return load(path, Columns, "Delete it if no column is needed.") if exists(path) else Columns()


def write_columns(annotation: Path, group: str, images: Mapping[str, Mapping[str, str]]) -> Path:
    """Write the file beside an annotation file, and return it.

    Raises:
        MlcError: It cannot be written.
    """
    path = annotation.with_suffix(_SUFFIX)
    write_json(path, {"group": group, "images": dict(images)})
    return path


@dataclass(frozen=True)
class Beside:
    """Cells of kept columns, by path and column.

    Attributes:
        group: The column whose images belong together; may be empty.
        stays: Whether they are written, and not only looked at.
    """

    cells: Mapping[str, Mapping[str, str]]
    group: str
    stays: bool

    def hint(self, splits: Mapping[str, Annotation], noted: IssueLog, *, names: bool) -> None:
        """Note which images belong together and lie in several splits.

        With `names`, their names are looked at too where no column tells groups.
        """
        paths = {name: split.paths for name, split in splits.items()}
        rows = ((name, own if self.cells else ()) for name, own in paths.items())
        cells = {name: [self.cells[path] for path in own] for name, own in rows}
        for leak in find_leaks(paths, cells, self.group, by_name=names and not self.group):
            kind = f"groups {leak.what} in several splits ({leak.flag} keeps them together)"
            for example in leak.groups:
                noted.add(kind, example)

    def write(
        self, before: Mapping[str, Annotation], after: Mapping[str, Annotation], folder: Path
    ) -> list[Path]:
        """Write the columns of each split under the new paths of its images.

        Raises:
            MlcError: A file cannot be written.
        """
        files = []
        for name, own in after.items() if self.cells and self.stays else ():
            moves = zip(before[name].paths, own.paths, strict=True)
            images = {new: self.cells[old] for old, new in moves}
            files.append(write_columns(folder / f"{name}.json", self.group, images))
        return files
