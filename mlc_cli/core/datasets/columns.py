"""Columns of a table that stay beside an annotation file, keyed by the path of the image.

    {"group": "patient", "images": {"images/1.jpg": {"patient": "p01", "age": "34"}}}

`val.columns.json` stands beside `val.json`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from mlc_cli.core.datasets.formats.shared.json_files import load
from mlc_cli.core.system.files import write_json

_SUFFIX = ".columns.json"


class Columns(Struct):
    """Cells of kept columns.

    Attributes:
        group: The column whose images belong together; empty if none is known to.
        images: Cells by the path of an image and the name of the column.
    """

    group: str = ""
    images: dict[str, dict[str, str]] = {}


def read_columns(annotation: Path) -> Columns:
    """What was kept beside an annotation file; nothing if there is no such file.

    Raises:
        DataError: It cannot be read.
    """
    path = annotation.with_suffix(_SUFFIX)
    return load(path, Columns, "Delete it if no column is needed.") if path.exists() else Columns()


def write_columns(annotation: Path, group: str, images: Mapping[str, Mapping[str, str]]) -> Path:
    """Write the file beside an annotation file.

    Returns:
        The file.

    Raises:
        MlcError: It cannot be written.
    """
    path = annotation.with_suffix(_SUFFIX)
    write_json(path, {"group": group, "images": dict(images)})
    return path


def by_column(
    splits: Mapping[str, Sequence[Mapping[str, str]]],
) -> dict[str, dict[str, list[str]]]:
    """Values by column, then by split, from the cells of the images of each split."""
    names = dict.fromkeys(name for cells in splits.values() for own in cells for name in own)
    return {
        name: {split: [own.get(name, "") for own in cells] for split, cells in splits.items()}
        for name in names
    }
