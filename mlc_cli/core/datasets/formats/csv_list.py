"""CSV with a column that lists the labels of each image.

Labels are separated by a comma, `|`, `;` or a space, or are a Python list as text. An empty cell
is an image without labels. A file, or a folder with a CSV file for each split.
"""

import ast
import re
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

from mlc_cli.core.datasets.annotations import Annotation, Label
from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.json_files import (
    STATES_REMARK,
    are_states,
    present_in,
)
from mlc_cli.core.datasets.formats.shared.states import (
    MISSING,
    State,
    StateRule,
    flag,
    is_flag,
)
from mlc_cli.core.datasets.formats.shared.table_files import Rows, TableSet, look, place_of
from mlc_cli.core.datasets.formats.shared.tables import HEAD, UNTOLD, Table, Told
from mlc_cli.core.datasets.formats.shared.writing import (
    changed_by_tables,
    check_below,
    exported_paths,
    unknown_states,
    write_rows,
)
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError
from mlc_cli.text import some

PYTHON_LIST = "[]"
_COMMA, _FEW = ",", 20
_WHOLE = re.compile(r"(\d+)\.0*")  # as tables write a number in a column with blanks
_SCORED = re.compile(r".+:[01]?\.\d+")
_EMPTY = {"", *(own for word in MISSING for own in (word, word.upper(), word.title())), "NaN"}
_NAMES = {
    PYTHON_LIST: "a Python list", " ": "a space", "\n": "a line break",
    "": "none, a cell is one label",
}  # fmt: skip
_BRACKETS = re.compile(r"\[.*\]|\(.*\)|\{.*\}|set\(\)", re.DOTALL)
_WITHOUT_COMMA = re.compile(r"['\"]\s+['\"]")  # as numpy prints; Python would join the two


def find_separator(cells: Sequence[str]) -> str:
    """What separates labels, judged from cells.

    `PYTHON_LIST` if all that are not empty stand in brackets; else the first of `|`, `;`, `,` and a
    line break that any of them has; else a space if they consist of fewer different words than
    there are different cells, or all words of cells with several are numbers or cells of their own,
    or words follow each other as names do not in a small table, or in a larger one come again while
    cells do not, as those of long lists; else nothing.
    """
    texts = [cell for cell in cells if cell not in _EMPTY]
    filled = set(texts)
    if filled and all(_BRACKETS.fullmatch(cell) for cell in filled):
        return PYTHON_LIST
    for separator in "|;,\n":
        if any(separator in cell for cell in filled):
            return separator
    words = {word for cell in filled for word in cell.split()}
    several = {word for cell in filled if " " in cell for word in cell.split()}
    apart = several <= filled or all(word.isdigit() for word in several) or _follows(filled)
    counts = len(texts), sum(len(cell.split()) for cell in filled)
    lists = _FEW <= counts[0] < 1.25 * len(filled) and counts[1] > 2 * len(words)
    return " " if len(words) < len(filled) or (several and apart) or lists else ""


def _follows(cells: Collection[str]) -> bool:
    """Whether words of few cells follow each other as those of names do not.

    A word has other numbers of words before and behind it in another cell, as in `haze primary` and
    `road clear primary water`, or a cell begins with another, as `cat dog` does with `cat`; not so
    in `polar bear, brown bear, bear`. Of many names some do so by chance, such as `stone wall` and
    `wall clock`.
    """
    few = sorted(cells) if len(cells) < _FEW else []
    if any(cell.startswith(f"{other} ") for cell in few for other in few):
        return True
    places: dict[str, tuple[int, int]] = {}
    for words in map(str.split, few):
        for before, word in enumerate(words):
            behind = len(words) - before
            first = places.setdefault(word, (before, behind))
            if len(words) > 1 and before != first[0] and behind != first[1]:
                return True
    return False


def csv_list_reader(separator: str | None = None, told: Told = UNTOLD) -> Reader:
    """Reads CSV with a column that lists labels."""
    title = "CSV with a column of labels"
    return Reader("csv-list", title, partial(_detect, told), partial(_read, separator, told))


def _detect(told: Told, source: Path) -> str | None:
    """Name the column that is called after labels."""
    table = look(source, told)
    if table is None or not table.label_columns:
        return None
    return f"column {table.header[table.label_columns[0]]} in {place_of(table, source)}"


def _read(
    given: str | None, told: Told, source: Path, images: Path | None, dropped: IssueLog
) -> Source:
    """Open a file, or the files of a folder."""
    tables = TableSet(source, images, told, dropped, _label_columns)
    first = [row[c] for table, columns in tables.parts for row in table.first for c in columns]
    separator = find_separator(first) if given is None else given
    remark = f"separator of labels: {_NAMES.get(separator, separator)}"
    if spaced := [cell for cell in first if " " in cell and not separator]:
        remark += f" ({spaced[0]!r:.40}; `--set csv.separator=' '` would divide it)"
    if given is None and any(table.is_import for table, _ in tables.parts):
        separator = ""
    labels_of = _python_list if separator == PYTHON_LIST else partial(_separated, separator)

    scored = (label for own in _readable(labels_of, first) for label in own)
    if found := next(filter(_SCORED.fullmatch, scored), ""):
        raise DataError(
            f"{source}: has classes with confidences, such as {found:.40}, which are not read",
            "Write a line for each image, with the classes that count: image,labels.",
        )
    if nothing := sorted({cell for cell in first if cell} & _EMPTY):
        remark += f"; {', '.join(nothing)} in place of labels: there is none"
    states = are_states(list(_readable(labels_of, first)))

    def samples(table: Table, columns: Sequence[int], rows: Rows) -> Iterator[Sample]:
        state_of = _states(table)
        for where, row, path, split in rows:
            try:
                labels = [label for column in columns for label in labels_of(row[column])]
            except ValueError:
                cells = [row[column] for column in columns]
                kind = "rows whose labels are not a Python list"
                dropped.add(kind, f"{where}: {cells!r:.80}")
            else:
                own: Sequence[Label] = present_in(labels) if states else labels
                state = state_of(row)
                present, unknown = state == "present", state == "unknown"
                yield Sample(path, own if present else (), own if unknown else (), split)

    remarks = [remark] * (given is None) + [STATES_REMARK] * states + _joined(told, tables)
    return tables.source(samples, remarks)


def _joined(told: Told, tables: TableSet) -> list[str]:
    """That numbers of told columns, which seldom mean the same, become one class."""
    columns = [table.cells(c) for table, own in tables.parts for c in own if told.labels[1:]]
    counts = Counter(cell for cells in columns for cell in cells if cell.isdigit())
    same = [cell for cell, count in counts.items() if count > len(tables.parts)]
    return [f"warning: equal numbers of different columns are one class: {some(same)}"] * bool(same)


def _states(table: Table) -> Callable[[Sequence[str]], State]:
    """What is the state of the labels of a row: present, unless a column says it."""
    column = table.state_column
    if column is None:
        return lambda _: "present"
    flags = {cell: flag(cell) for cell in table.cells(column)}
    states = StateRule().decide(Counter(flags.values()))
    return lambda row: states[flag(row[column])] if is_flag(row[column]) else "unknown"


def _readable(
    labels_of: Callable[[str], Sequence[str]], cells: Iterable[str]
) -> Iterator[Sequence[str]]:
    """Labels of the cells that are not empty, where they can be read."""
    for cell in {cell for cell in cells if cell not in _EMPTY}:
        with suppress(ValueError):
            yield labels_of(cell)


def _label_columns(table: Table) -> tuple[int, ...]:
    """The columns that are called so, or the only one that there is."""
    if table.label_columns:
        return table.label_columns
    others = [c for c, name in enumerate(table.header) if name and c not in table.taken]
    if len(others) == 1:
        return (others[0],)
    raise DataError(
        f"{table.path}: no column is called labels, there are {', '.join(table.header):.200}",
        "Tell it with --label-column, or call the columns image, labels and split.",
    )


def _separated(separator: str, cell: str) -> Sequence[str]:
    if cell in _EMPTY:
        return ()
    parts = [cell] if not separator else cell.split(None if separator == " " else separator)
    return _cleaned(parts)


def _cleaned(parts: Iterable[str]) -> list[str]:
    """Labels that are not blank; `3.0` is the number 3."""
    return [_WHOLE.sub(r"\1", label) if _WHOLE.fullmatch(label) else label
            for part in parts if (label := part.strip())]  # fmt: skip


@lru_cache(maxsize=65536)
def _python_list(cell: str) -> Sequence[str]:
    if cell in _EMPTY:
        return ()
    if not _BRACKETS.fullmatch(cell):
        raise ValueError("no brackets")
    text = "()" if cell == "set()" else _WITHOUT_COMMA.sub(_with_comma, cell)
    if not {"'", '"'} & set(text) and text != "()":
        inside, numbers = text[1:-1], not text[1:-1].strip("0123456789. \n")
        return _cleaned(inside.split() if numbers else inside.split(","))
    try:
        with warnings.catch_warnings(action="ignore"):
            labels = ast.literal_eval(text)
    except (SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError("not a Python list") from None
    if isinstance(labels, str | int):  # ('cat') is no tuple
        labels = [labels]
    if not isinstance(labels, list | tuple | set) or not all(
        type(label) in (str, int) for label in labels
    ):
        raise ValueError("not a list of labels")
    given = sorted(labels, key=str) if isinstance(labels, set) else labels
    return _cleaned(map(str, given))


def _with_comma(gap: re.Match[str]) -> str:
    return f"{gap[0][0]},{gap[0][-1]}"


class CsvListWriter:
    """Writes a CSV file for each split: `image_path,label`, labels with commas between them.

    Only labels that images have are in it: a class that none has would be lost. lightly-train reads
    these files, but leaves out images without labels.
    """

    name = "csv-list"

    def losses(self, splits: Mapping[str, Annotation]) -> list[str]:
        """Unknown labels, classes without images, names in which the separator would be seen."""
        names = next(iter(splits.values())).class_names
        counts = [own.positives.counts_C(len(names)) for own in splits.values()]
        used = [name for name, *has in zip(names, *counts, strict=True) if any(has)]
        reasons = [*changed_by_tables(splits), *unknown_states(splits)]
        if unused := [name for name in names if name not in used]:
            share = f"{len(unused)} of {len(names)} classes would be named nowhere"
            reasons.append(f"no image has {some(unused)}: {share}")
        if broken := [name for name in used if _COMMA in name or name in _EMPTY]:
            reasons.append(f"the separator {_COMMA} is in names of classes: {broken[0]}")
        elif _is_hidden(splits, used):
            reasons.append("the first images do not show what separates their labels")
        return reasons

    def write(self, splits: Mapping[str, Annotation], folder: Path) -> list[Path]:
        """Write `<split>.csv`."""
        check_below(splits, folder)
        files = {folder / f"{split or 'annotations'}.csv": own for split, own in splits.items()}
        for path, annotation in files.items():
            cells = zip(exported_paths(annotation, folder), _cells(annotation), strict=True)
            write_rows(path, [("image_path", "label")], cells)
        return list(files)


def _is_hidden(splits: Mapping[str, Annotation], names: Iterable[str]) -> bool:
    """Whether the reader would see another separator, one that names have inside."""
    found = find_separator([c for own in splits.values() for c in islice(_cells(own), HEAD)])
    if found in (_COMMA, PYTHON_LIST):
        return found == PYTHON_LIST
    return any(list(_separated(found, name)) != [name] for name in names)


def _cells(annotation: Annotation) -> Iterator[str]:
    """Labels of each image."""
    names = annotation.class_names
    for image in range(len(annotation)):
        yield _COMMA.join(names[label] for label in annotation.positives.of(image))
