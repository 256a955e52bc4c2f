"""Which CSV files of a place are tables of a data set, of which split each is, and their rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mlc_cli.core.datasets.annotations import Label
from mlc_cli.core.datasets.formats.base import Sample, Source
from mlc_cli.core.datasets.formats.shared.column_names import SCORE_NAMES, called_image, joined
from mlc_cli.core.datasets.formats.shared.images import is_image
from mlc_cli.core.datasets.formats.shared.json_files import opening
from mlc_cli.core.datasets.formats.shared.lines import files_below, is_file
from mlc_cli.core.datasets.formats.shared.naming import ImageNames
from mlc_cli.core.datasets.formats.shared.split_names import meaning, split_of_name, split_words
from mlc_cli.core.datasets.formats.shared.tables import UNTOLD, Table, Told
from mlc_cli.core.datasets.leaks import tells_groups
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError
from mlc_cli.text import some

Rows = Iterator[tuple[str, Sequence[str], str, str]]
"""Of each row its place for people, its cells, and the path and the split of its image."""

_OF_SPLITS = ("_classes.csv", "_annotations.csv", "metadata.csv")
"""Lie in folders, with their images, as Roboflow and Hugging Face have them."""
_PROBED = 20
_PATTERNS = ("*.csv", "*.tsv")
_OF_OTHER_FORMATS = (
    {"ImageID", "LabelName"}, {"EstimatedYesNo"}, {"annotation_id", "annotator"},
    {"filename", "region_attributes"},
)  # fmt: skip
"""Columns of Open Images, of its points, of Label Studio and of VGG Image Annotator."""


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
    texts = (path for path in sorted(source.glob("*.txt")) if _has_tabs(path))
    files = _tables(source) or files_below(source, _PATTERNS) or [*texts]
    if not files:
        raise DataError(f"{source}: there is no CSV file")
    if len(files) == 1:  # "train_v2" alone does not tell that there is a val elsewhere
        return [Table.open(files[0], files[0].stem if meaning(files[0].stem) else "", told)]
    splits = {path: split_of_name(path.stem) or _split_around(path) for path in files}
    named = [path for path in files if splits[path]] or files
    tables = [Table.open(path, splits[path], told) for path in named]
    given = {told.image, *told.labels, told.split, told.group} - {None}
    tables = [table for table in tables if given <= {*table.header}] or tables
    tables = [table for table in tables if table.names_images] or tables
    tables = [table for table in tables if not table.holds_pixels] or tables
    names = {table.header[column] for table in tables for column in table.label_columns}
    alike = (table if table.label_columns else table.told_labels(names) for table in tables)
    found = [table for table in alike if table.label_columns]
    labels = {cell for own in found for column in own.label_columns for cell in own.cells(column)}
    wide = [table for table in tables if not table.label_columns and labels & {*table.header}]
    if any(labels - {""} <= {*table.header} for table in wide):  # each class is a column too
        return wide
    return found or tables


def _tables(folder: Path) -> list[Path]:
    return sorted(path for own in _PATTERNS for path in folder.glob(own) if is_file(path))


def _has_tabs(path: Path) -> bool:
    return "\t" in opening(path).partition("\n")[0]


def _split_around(path: Path) -> str:
    """The split that the folder of a table is, if its name means one or Roboflow has made it."""
    folder = path.absolute().parent.name
    return folder if meaning(folder) or path.name in _OF_SPLITS[:2] else ""


def look(source: Path, told: Told = UNTOLD) -> Table | None:
    """The widest table at a place, unless it is of a format that has a reader of its own."""
    try:
        is_table = source.is_dir() or source.suffix.lower() in (".csv", ".tsv")
        if not is_table and not (source.suffix == ".txt" and _has_tabs(source)):
            return None
        table = max(find_tables(source, told), key=_width)
    except DataError:
        return None
    known = any(names <= set(table.header) for names in _OF_OTHER_FORMATS)
    return None if known or table.path.name == "list_attr_celeba.csv" else table


def _width(table: Table) -> tuple[int, int]:
    columns = range(len(table.header))
    return sum(map(table.holds_flags, columns)), len(columns)


def place_of(table: Table, source: Path) -> str:
    """Where a table is, for people: its name, and the folders before it unless one is a split's."""
    if not source.is_dir() or table.path.name in _OF_SPLITS:
        return table.path.name
    return table.path.relative_to(source).as_posix()


class TableSet:
    """The tables of a place: all of them but the columns of labels is read in one way.

    Attributes:
        parts: Each table with its columns of labels, as `labels_of` finds them.
    """

    def __init__(
        self,
        source: Path,
        images: Path | None,
        told: Told,
        dropped: IssueLog,
        labels_of: Callable[[Table], Sequence[int]],
    ) -> None:
        self._place, self._told, self._dropped = source, told, dropped
        self._names = ImageNames(images or (source if source.is_dir() else source.parent), dropped)
        parts = [(table, labels_of(table)) for table in find_tables(source, told)]
        self.parts = [(table, labels) for table, labels in parts if labels] or parts
        for table, _ in self.parts:
            self._check_images(table)
        self._remarks: list[str] = []
        self._cells: dict[str, Mapping[str, str]] = {}
        self._kept = [self._choose(table, labels) for table, labels in self.parts]

    def source(
        self,
        samples: Callable[[Table, Sequence[int], Rows], Iterator[Sample]],
        remarks: Sequence[str],
        classes: Sequence[Label] | None = None,
    ) -> Source:
        """A source, whose samples come from the rows of each table and its columns of labels."""
        parts = zip(self.parts, self._kept, strict=True)
        tables = [table for table, _ in self.parts]
        return Source(
            image_root=self._names.root,
            samples=(
                sample
                for (table, labels), kept in parts
                for sample in samples(table, labels, self._rows(table, kept))
            ),
            classes=classes,
            remarks=(*remarks, *dict.fromkeys(self._remarks), *_split_remarks(self._place, tables)),
            unsplit=tuple(t.path.name for t in tables if not t.split and t.split_column is None),
            cells=self._cells,
        )

    def _check_images(self, table: Table) -> None:
        """Refuse a table whose rows are of parts of images, or of what has several.

        Raises:
            DataError: Says which.
        """
        name, prefix = table.header[table.image_column], table.folder(self._names.root)
        cells = [prefix + row[table.image_column] for row in table.first[:_PROBED]]
        why = "" if any(map(is_image, cells)) else self._names.why_missing(cells)
        plain = self._told.image is None and not table.names_images and not called_image(name)
        for path in _tables(self._place) if plain else ():
            with suppress(DataError):
                header = Table.open(path).header
                if name in header and any(map(called_image, header)):
                    why = why or f"{path.name} tells the images of each"
        if why:
            raise DataError(
                f"{table.path}: column {name} does not name images: {why}",
                "Write a line for each image, with its file and its labels: image,labels.",
            )

    def _rows(self, table: Table, kept: Mapping[int, str]) -> Rows:
        prefix = table.folder(self._names.root)
        for number, row in table.rows(self._dropped):
            where, name = f"{table.path}, line {number}", row[table.image_column]
            split = table.split_of(row)
            if not name:
                self._dropped.add("rows without an image", where)
            elif (path := self._names(prefix + name, split)) is not None:
                if kept:
                    self._keep(path, {name: row[column] for column, name in kept.items()})
                yield where, row, path, split

    def _keep(self, path: str, cells: Mapping[str, str]) -> None:
        """Keep cells of an image; of several rows the first counts."""
        stays = self._told.keep or self._told.group is not None
        if self._cells.setdefault(path, cells) != cells and stays:
            kind = "rows whose kept columns differ from the first row of the image (which counts)"
            self._dropped.add(kind, path)

    def _choose(self, table: Table, labels: Sequence[int]) -> dict[int, str]:
        """Columns of a table to keep, and those that are only looked at, as they may tell groups.

        Raises:
            DataError: It has no column of this name for groups.
        """
        group, header, file = self._told.group, table.header, table.path.name
        if group is not None and group not in header:
            raise DataError(f"{file}: has no column {group}", f"It has {some(header, 30)}.")
        used = {table.image_column, table.split_column, *labels}
        if table.label_columns and table.state_column is not None:
            used.add(table.state_column)
            named = header[table.state_column]
            self._remarks.append(f"{file}: column {named} says whether the label of a row is there")
        spare = {c: name for c, name in enumerate(header) if name and c not in used}
        kept = spare if self._told.keep else {}
        if group is not None:
            kept = {**kept, header.index(group): group}
        self._remarks.extend(_warnings(table, spare))
        if rest := [name for c, name in spare.items() if c not in kept]:
            self._remarks.append(
                f"{file}: columns that are not used (--keep-columns keeps them): {some(rest, 30)}"
            )
        if kept:
            self._remarks.append(f"{file}: columns kept: {some([*kept.values()], 30)}")
            return kept
        return {c: name for c, name in spare.items() if tells_groups(name)}


def _warnings(table: Table, spare: Mapping[int, str]) -> Iterator[str]:
    """What the columns that are not used tell of how the others are to be read."""
    file, column = table.path.name, table.header[table.image_column]
    images = _names_in(table, table.image_column)
    for other, name in spare.items():
        if table.has_images(other) and not _names_in(table, other) <= images:
            yield f"warning: {file}: {name} names images, too; only those of {column} are read"
        if table.label_columns and joined(name) in SCORE_NAMES:
            yield f"warning: {file}: a row counts, whatever its {name} is"
    if any(map(table.holds_flags, (c for c, name in enumerate(table.header) if c and not name))):
        yield f"warning: {file}: a column without a name is left out"
    if not table.names_images and not called_image(column):
        yield f"{file}: column {column} names the images"


def _names_in(table: Table, column: int) -> set[str]:
    return {cell.replace("\\", "/").rpartition("/")[2] for cell in table.cells(column)}


def _split_remarks(source: Path, tables: Sequence[Table]) -> Iterator[str]:
    """Columns that are taken for splits though they are not called so, and tables left out."""
    for table in tables:
        column = table.split_column
        if column is not None and not table.called_split(column):
            yield f"{table.path.name}: column {table.header[column]} tells the split"
    used = {table.path for table in tables}
    names = [path.name for path in _tables(source) if path not in used]
    if source.is_dir() and names:
        yield f"other tables are left out: {', '.join(names):.300}"
    lists = [path.name for path in sorted(source.glob("*.txt")) if split_words(path.stem)]
    if lists and not any(table.split or table.split_column is not None for table in tables):
        yield f"lists of images do not divide a table: {', '.join(lists):.300}"
