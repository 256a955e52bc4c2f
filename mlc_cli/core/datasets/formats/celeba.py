"""CelebA: a count, the names of the attributes, then each image with 1 (present) or -1 (absent).

list_attr_celeba.txt     000001.jpg -1  1  1 -1 ...
list_eval_partition.txt  000001.jpg 0     (0 train, 1 val, 2 test)

Kaggle has both as CSV, without the count and with a header.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.lines import is_file, text_lines
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

_ATTRIBUTES = ("list_attr_celeba.txt", "Anno/list_attr_celeba.txt", "list_attr_celeba.csv")
_PARTITIONS = ("list_eval_partition.txt", "Eval/list_eval_partition.txt",
               "list_eval_partition.csv")  # fmt: skip
_IMAGES = ("img_align_celeba", "Img/img_align_celeba")
_COUNT = re.compile("[0-9]{1,9}")
_SPLITS = {"0": "train", "1": "val", "2": "test"}


def _detect(source: Path) -> str | None:
    """Name the file of attributes, judged by its first three lines."""
    file = _file(source)
    if file.suffix != ".txt" and file.name not in _ATTRIBUTES:
        return None
    try:
        names, rows = _open(file)
        _, row = next(rows, (0, []))
    except DataError:
        return None
    return f"names of attributes in {file.name}" if len(row) == len(names) + 1 else None


def _read(source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open the file of attributes, or the folder that has it."""
    file = _file(source)
    names, rows = _open(file)
    base = file.parent.parent if file.absolute().parent.name == "Anno" else file.parent
    splits = dict(_partition(base, dropped))
    root = images or next((base / name for name in _IMAGES if (base / name).is_dir()), base)
    return Source(root, _samples(file, names, rows, splits, dropped), names)


def _file(source: Path) -> Path:
    """The file of attributes."""
    places = [source / name for name in _ATTRIBUTES] if source.is_dir() else [source]
    return next(filter(is_file, places), places[0])


Rows = Iterator[tuple[int, list[str]]]


def _open(file: Path) -> tuple[list[str], Rows]:
    """Names of attributes, and the words of each line of an image with its number.

    Raises:
        DataError: The file does not begin with a count and names, or with a header of CSV.
    """
    rows = _rows(file)
    if file.suffix != ".csv" and not _COUNT.fullmatch(" ".join(next(rows, (0, [""]))[1])):
        raise DataError(f"{file}: does not begin with a count and a line of names")
    names = next(rows, (0, []))[1][file.suffix == ".csv" :]
    if not names or len(set(names)) < len(names):
        raise DataError(f"{file}: has no names of attributes, or a name twice")
    return names, rows


def _rows(file: Path) -> Rows:
    for number, line in text_lines(file):
        if words := line.replace(",", " ").split():
            yield number, words


def _partition(base: Path, dropped: IssueLog) -> Iterator[tuple[str, str]]:
    """Image and split, if there is a file of them."""
    for path in (base / name for name in _PARTITIONS if is_file(base / name)):
        for number, row in islice(_rows(path), path.suffix == ".csv", None):
            if len(row) == 2 and row[1] in _SPLITS:
                yield row[0], _SPLITS[row[1]]
            else:
                kind = "lines that are not an image and 0, 1 or 2 (its split unknown)"
                dropped.add(kind, f"{path}, line {number}")


def _samples(
    file: Path, names: Sequence[str], rows: Rows, splits: Mapping[str, str], dropped: IssueLog
) -> Iterator[Sample]:
    found = 0
    for number, (image, *states) in rows:
        found += 1
        if len(states) != len(names) or not set(states) <= {"1", "-1"}:
            kind = "lines that are not an image and 1 or -1 for each attribute"
            dropped.add(kind, f"{file}, line {number}")
            continue
        labels = [name for name, state in zip(names, states, strict=True) if state == "1"]
        yield Sample(image, labels, (), splits.get(image, ""))
    _, [count, *_] = next(_rows(file))
    lost = int(count) - found if _COUNT.fullmatch(count) else 0
    if lost > 0:
        dropped.add("images that the count promises, but that are not listed", f"{file}: {count}",
                    lost)  # fmt: skip


CELEBA_READER = Reader("celeba", "CelebA attributes", _detect, _read)
