"""Lists of images with numbers of classes, and the names of these, as datumaro and Caffe have them.

`synsets.txt`, or `classes.txt` and the like, and a list of images for each split:

name.jpg 0 3              a name with a space: "two words".jpg 1

Where all lines have 0 or 1 for each class, these are its states.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.images import is_image
from mlc_cli.core.datasets.formats.shared.json_files import (
    STATES_REMARK,
    are_states,
    numbered,
    opening,
    present_in,
)
from mlc_cli.core.datasets.formats.shared.lines import is_file, text_lines
from mlc_cli.core.datasets.formats.shared.naming import ImageNames
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

_HEAD = 1000
_SYNSETS = "synsets.txt"
_NAMES = (_SYNSETS, "classes.txt", "class_names.txt", "labels.txt", "label_names.txt", "names.txt")
_NUMBERED = re.compile(r'\s*(?:"[^"\n]+"\S*|[^\s"]+)(?:[ \t]+\d+)+[ \t]*(?:\r?\n|$)')
_COUNTED = re.compile(r"(\d+)[\s:,]+(.+)")


def _detect(source: Path) -> str | None:
    """Name the list of classes, if there are lists of images beside it."""
    names, lists = _look(source)
    return f"{names.name} and {lists[0].name}" if names and lists else None


def _read(source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open a folder, or one of its lists."""
    names, lists = _look(source)
    classes = _classes(names) if names else []
    if not lists or not classes:
        raise DataError(f"{source}: has no list of images beside {_SYNSETS}")
    folder = lists[0].parent
    found = folder / "images"
    root = images or (found if found.is_dir() else folder)
    finder = ImageNames(root, dropped)
    first = [_parse(line)[1] for own in lists for _, line in islice(text_lines(own), _HEAD)]
    states = are_states(first) and len(first[0]) == len(classes)
    parts = (_samples(file, classes, finder, dropped, states=states) for file in lists)
    remarks = (STATES_REMARK,) if states else ()
    return Source(root, chain.from_iterable(parts), list(dict.fromkeys(classes)), remarks=remarks)


def _look(source: Path) -> tuple[Path | None, list[Path]]:
    """The list of classes, and the lists of images: beside `synsets.txt` these are all others."""
    folder = source if source.is_dir() else source.parent
    names = next((folder / own for own in _NAMES if is_file(folder / own)), None)
    texts = sorted(folder.glob("*.txt")) if source.is_dir() else [source]
    lists = [own for own in texts if own.suffix == ".txt" and own.name not in _NAMES]
    certain = names is not None and names.name == _SYNSETS
    return names, [own for own in lists if is_file(own) and (certain or _is_list(own))]


def _is_list(file: Path) -> bool:
    """Whether the first line is the name of an image and numbers."""
    line = _NUMBERED.match(opening(file))
    return line is not None and is_image(_parse(line[0])[0])


def _classes(file: Path) -> list[str]:
    """Lines of a list of classes, without the numbers if they are counted from 0."""
    lines = [line for _, line in text_lines(file)]
    counted = [_COUNTED.fullmatch(line) for line in lines]
    if all(own and int(own[1]) == number for number, own in enumerate(counted)):
        return [own[2] for own in counted if own]
    return lines


def _samples(
    file: Path, classes: Sequence[str], names: ImageNames, dropped: IssueLog, *, states: bool
) -> Iterator[Sample]:
    for number, line in text_lines(file):
        where = f"{file}, line {number}"
        name, numbers = _parse(line)
        if not name or not all(re.fullmatch("[0-9]{1,9}", word) for word in numbers):
            dropped.add("lines that are not a name and numbers of classes", f"{where}: {line:.80}")
            continue
        path, own = names(name), present_in(numbers) if states else numbers
        if path is not None:
            yield Sample(path, numbered(own, classes, where, dropped), (), file.stem)


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
