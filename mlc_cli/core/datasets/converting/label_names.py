"""Numbers in place of labels, and the table of names that is told or lies beside them."""

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mlc_cli.core.datasets.annotations import Label
from mlc_cli.core.datasets.formats.base import Source
from mlc_cli.core.datasets.formats.shared.images import is_image
from mlc_cli.core.datasets.formats.shared.json_files import id_key
from mlc_cli.core.datasets.formats.shared.lines import is_file, text_lines
from mlc_cli.core.system.files import read_json
from mlc_cli.errors import DataError

_HEAD = 1000
_TABLE = re.compile(
    r"(?i)(?:(?:id|idx|index)[ _-]?(?:to|2)[ _-]?)?(?:class(?:es)?|labels?|categor(?:y|ies)|names?)"
    r"(?:[ _-](?:\w+[ _-])?(?:to|2)[ _-]?\w+)?(?:[ _-]?(?:names?|map|mapping|list|index|dict|2id))?"
    r"\.(?:txt|csv|tsv|json)"
)
_NUMBER_FIRST, _NUMBER_LAST = re.compile(r"(\d+)[\s,;:]+(.+)"), re.compile(r"(.+?)[,;:\t]\s*(\d+)")


def name_numbers(source: Source, origin: Path, file: Path | None) -> Source:
    """A source whose labels are names where they were numbers.

    The table of names is `file`, or else one that lies beside the source, has a name such as
    `classes.txt`, and names all numbers that are seen first.

    Raises:
        DataError: The file cannot be read, or is no such table.
    """
    if file is not None:
        return _named(source, read_label_names(file), file)
    if source.classes is not None:
        return source
    samples = iter(source.samples)
    first = list(islice(samples, _HEAD))
    source = replace(source, samples=chain(first, samples))
    numbers = {id_key(label) for sample in first for label in sample.labels}
    if not numbers or not all(type(number) is int for number in numbers):
        return source
    folder = origin if origin.is_dir() else origin.parent
    found = {}
    for path in sorted(folder.iterdir()):
        if path != origin and _TABLE.fullmatch(path.name) and is_file(path):
            with suppress(DataError):
                names = read_label_names(path)
                if numbers <= set(names) and not any(map(is_image, names.values())):
                    found[path] = names
    if len(found) == 1:
        ((path, names),) = found.items()
        return _named(source, names, path)
    several = f"; {', '.join(path.name for path in found)} all name them" if found else ""
    remark = f"labels are numbers{several} (--label-names FILE tells their names)"
    return replace(source, remarks=(*source.remarks, remark))


def _named(source: Source, names: dict[int, str], file: Path) -> Source:
    def named(labels: Sequence[Label]) -> list[Label]:
        return [names.get(_number(label), label) for label in labels]

    return replace(
        source,
        samples=(
            s._replace(labels=named(s.labels), others=named(s.others)) for s in source.samples
        ),
        classes=list(dict.fromkeys(names.values())),
        remarks=(*source.remarks, f"names of {len(names)} numbers are those of {file.name}"),
    )


def read_label_names(file: Path) -> dict[int, str]:
    """Names by number: a list that counts from 0, pairs in either order, or a table with an id.

    Raises:
        DataError: The file cannot be read, or is neither.
    """
    content = read_json(file) if file.suffix.lower() == ".json" else _rows(file)
    if isinstance(content, dict):
        keys = ("classes", "names", "categories")
        content = next((content[key] for key in keys if key in content), content)
    if not isinstance(content, dict | list):
        content = [content]
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    names: dict[int, str] = {}
    for key, value in pairs:
        number, name = _pair(key, value)
        if type(number) is not int or not isinstance(name, str) or not name or number in names:
            raise DataError(
                f"{file}: does not tell one name of each number: {value!r:.80}",
                "Write a name a line, counted from 0, or lines such as 7,cat.",
            )
        names[number] = name
    if not names:
        raise DataError(f"{file}: has no names")
    return names


def _pair(key: Any, value: Any) -> tuple[Any, Any]:
    """Number and name, whichever comes first."""
    match value:
        case {"id": number, "name": name}:
            key, value = number, name
        case [first, second]:
            key, value = first, second
    return (key, value) if type(key := _number(key)) is int else (_number(value), key)


def _number(value: Any) -> Any:
    return id_key(value) if type(value) in (int, float, str) else value


def _rows(file: Path) -> Sequence[Any]:
    """Lines of a text, or two columns of a table: the first of numbers and the first of others."""
    lines = [line for _, line in text_lines(file)]
    if file.suffix.lower() not in (".csv", ".tsv"):
        pairs = [_NUMBER_FIRST.fullmatch(line) or _NUMBER_LAST.fullmatch(line) for line in lines]
        return [pair.groups() for pair in pairs if pair] if all(pairs) else lines
    delimiter = next((mark for mark in "\t;," if mark in lines[0]), ",") if lines else ","
    header, *rows = csv.reader(lines or [""], delimiter=delimiter, skipinitialspace=True)
    if len(header) < 2 or any(type(_number(cell)) is int for cell in header):
        rows = [header, *rows]
    columns = list(zip(*rows, strict=False))
    numbers = [c for c in columns if all(type(_number(cell)) is int for cell in c)]
    others = [c for c in columns if c not in numbers]
    if numbers and others:
        return list(zip(numbers[0], others[0], strict=True))
    return [name for row in rows for name in row[:1]]
