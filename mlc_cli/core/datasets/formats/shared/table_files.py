"""Which CSV files of a place are tables of a data set, and of which split each is."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mlc_cli.core.datasets.formats.shared.kept import UNTOLD, Told
from mlc_cli.core.datasets.formats.shared.lines import files_below, is_file
from mlc_cli.core.datasets.formats.shared.split_names import meaning, split_of_name
from mlc_cli.core.datasets.formats.shared.tables import SPLIT_NAMES, Table, words_of
from mlc_cli.errors import DataError

_OF_SPLITS = ("_classes.csv", "_annotations.csv", "metadata.csv")
"""Lie in the folder of a split, with its images, as Roboflow and Hugging Face have them."""
_OF_OTHER_FORMATS = (
    {"ImageID", "LabelName"}, {"annotation_id", "annotator"}, {"filename", "region_attributes"},
)  # fmt: skip
"""Columns of Open Images, of Label Studio and of VGG Image Annotator."""


def find_tables(source: Path, told: Told = UNTOLD) -> list[Table]:
    """The tables at a place: a file; the file of each split; or the only CSV file of a folder.

    A file of a folder is of a split if its name says so; then files that say none are left out.

    Raises:
        DataError: There is none, or one cannot be read.
    """
    if not source.is_dir():
        return [Table.open(source, _split_around(source), told)]
    of_splits = [path for name in _OF_SPLITS for path in sorted(source.glob(f"*/{name}"))]
    if of_splits:
        return [Table.open(path, _split_around(path), told) for path in of_splits]
    files = sorted(filter(is_file, source.glob("*.csv"))) or files_below(source, ["*.csv"])
    if not files:
        raise DataError(f"{source}: there is no CSV file")
    if len(files) == 1:  # "train_v2" alone does not tell that there is a val elsewhere
        return [Table.open(files[0], files[0].stem if meaning(files[0].stem) else "", told)]
    named = [path for path in files if split_of_name(path.stem)] or files
    tables = [Table.open(path, split_of_name(path.stem), told) for path in named]
    return [table for table in tables if table.names_images] or tables


def _split_around(path: Path) -> str:
    """The split that the folder of a table is, where such tables lie in those of splits."""
    folder = path.absolute().parent.name
    told = meaning(folder) or path.name.startswith("_")
    return folder if told and path.name in _OF_SPLITS else ""


def left_out(source: Path, tables: Sequence[Table]) -> tuple[str, ...]:
    """A remark on the tables of a folder that are no splits; empty without any."""
    used = {table.path for table in tables}
    names = [path.name for path in sorted(source.glob("*.csv")) if path not in used]
    if not source.is_dir() or not names:
        return ()
    return (f"tables whose names tell no split are left out: {', '.join(names):.300}",)


def split_remarks(tables: Sequence[Table]) -> Iterator[str]:
    """Which columns are taken for splits though they are not called so."""
    for table in tables:
        column = table.split_column
        if column is not None and "_".join(words_of(table.header[column])) not in SPLIT_NAMES:
            yield f"{table.path.name}: column {table.header[column]} tells the split"


def without_split(tables: Sequence[Table]) -> tuple[str, ...]:
    """Names of the files of which nothing tells the split."""
    return tuple(t.path.name for t in tables if not t.split and t.split_column is None)


def look(source: Path, told: Told = UNTOLD) -> Table | None:
    """The first table at a place, unless it is of a format that has a reader of its own."""
    if not (source.is_dir() or source.suffix.lower() in (".csv", ".tsv")):
        return None
    try:
        table = find_tables(source, told)[0]
    except DataError:
        return None
    return None if any(names <= set(table.header) for names in _OF_OTHER_FORMATS) else table


def place_of(table: Table, source: Path) -> str:
    """Where a table is, for people: its name, and the folders before it unless one is a split's."""
    if not source.is_dir() or table.path.name in _OF_SPLITS:
        return table.path.name
    return table.path.relative_to(source).as_posix()
