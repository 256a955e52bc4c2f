"""ImageNet lists as datumaro writes them: `synsets.txt`, and a list of images for each split.

name.jpg 0 3              a name with a space: "two words".jpg 1
"""

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.json_files import numbered
from mlc_cli.core.datasets.formats.shared.lines import is_file, text_lines
from mlc_cli.core.datasets.formats.shared.naming import ImageNames
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

_SYNSETS = "synsets.txt"


def _detect(source: Path) -> str | None:
    """Name the list of classes, if there are lists of images beside it."""
    folder = _folder(source)
    lists = _lists(source)
    return f"{_SYNSETS} and {lists[0].name}" if is_file(folder / _SYNSETS) and lists else None


def _read(source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open a folder, or one of its lists."""
    folder, lists = _folder(source), _lists(source)
    classes = [line for _, line in text_lines(folder / _SYNSETS)]
    if not lists or not classes:
        raise DataError(f"{source}: has no list of images beside {_SYNSETS}")
    found = folder / "images"
    root = images or (found if found.is_dir() else folder)
    names = ImageNames(root, dropped)
    parts = (_samples(file, classes, names, dropped) for file in lists)
    return Source(root, chain.from_iterable(parts), list(dict.fromkeys(classes)))


def _folder(source: Path) -> Path:
    return source if source.is_dir() else source.parent


def _lists(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source] if source.suffix == ".txt" and source.name != _SYNSETS else []
    return sorted(file for file in source.glob("*.txt") if file.name != _SYNSETS and is_file(file))


def _samples(
    file: Path, classes: Sequence[str], names: ImageNames, dropped: IssueLog
) -> Iterator[Sample]:
    for number, line in text_lines(file):
        where = f"{file}, line {number}"
        name, numbers = _parse(line)
        if not name or not all(re.fullmatch("[0-9]{1,9}", word) for word in numbers):
            dropped.add("lines that are not a name and numbers of classes", f"{where}: {line:.80}")
            continue
        path = names(name)
        if path is not None:
            yield Sample(path, numbered(numbers, classes, where, dropped), (), file.stem)


def _parse(line: str) -> tuple[str, Sequence[str]]:
    """Name and the words after it; the suffix may be behind the quotation marks or inside."""
    if '"' not in line:
        name, *words = line.split()
        return name, words
    head, stem, *rest = line.split('"')
    if head or len(rest) != 1:
        return "", ()
    suffix = "" if rest[0][:1].isspace() else rest[0].partition(" ")[0]
    return stem + suffix, rest[0].removeprefix(suffix).split()


IMAGENET_TXT_READER = Reader(
    "imagenet-txt", "ImageNet lists with numbers of classes", _detect, _read
)
