"""VGG Image Annotator (VIA 2): one JSON or CSV file for all images.

    {"_via_img_metadata": {"a.jpg1": {"filename": "a.jpg", "file_attributes": {"kind": "cat"},
                           "regions": [{"region_attributes": {"parts": {"ear": true}}}]}}}

or what stands under `_via_img_metadata` alone, or a CSV file with a line for each region and
columns filename, file_attributes and region_attributes. The text of an attribute of the image or of
a region is a label, and so is each checked box; a box that is not checked is absent.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from mlc_cli.core.datasets.formats.base import Reader, Sample, Source
from mlc_cli.core.datasets.formats.shared.json_files import FileKind, load
from mlc_cli.core.datasets.formats.shared.layout import image_prefix, root_of, split_of, unsplit
from mlc_cli.core.datasets.formats.shared.lines import filled_rows
from mlc_cli.core.system.issues import IssueLog
from mlc_cli.errors import DataError

_OWN = ("caption", "public_domain", "image_url")
"""Attributes that every project has from the start, which are no labels."""
_NAME = re.compile(r'"filename"\s*:')
_REGIONS = re.compile(r'"regions"\s*:\s*[\[{]')
_TABLE = re.compile(r'"?#?\s*filename"?,[^\n]*region_attributes')
_FILES = FileKind(
    "filename and regions",
    lambda opening: bool(
        (_NAME.search(opening) and _REGIONS.search(opening)) or _TABLE.match(opening)
    ),
    "It is what VIA saves as a project, or exports as JSON or CSV.",
    ("*.json", "*/*.json", "*.csv"),
)


class _Region(Struct, gc=False):
    region_attributes: dict[str, Any] = field(default_factory=dict)


class _Image(Struct, gc=False):
    filename: str
    regions: list[_Region] | dict[str, _Region] = field(default_factory=list)
    file_attributes: dict[str, Any] = field(default_factory=dict)


class _Project(Struct, rename={"images": "_via_img_metadata"}):
    images: dict[str, _Image]


def _read(source: Path, images: Path | None, dropped: IssueLog) -> Source:
    """Open a file, or those of a folder."""
    contents = {file: _load(file, dropped) for file in _FILES.existing(source)}
    root = images or root_of(source)
    return Source(
        root, _samples(contents, root, dropped), _classes(contents),
        scattered=any(file.suffix.lower() == ".csv" for file in contents),
        unsplit=unsplit({file: len(own) for file, own in contents.items()}),
    )  # fmt: skip


def _load(file: Path, dropped: IssueLog) -> list[_Image]:
    if file.suffix.lower() == ".csv":
        return list(_load_table(file))
    if "_via_img_metadata" in load(file, dict[str, Any], _FILES.hint):
        return list(load(file, _Project, _FILES.hint, dropped).images.values())
    return list(load(file, dict[str, _Image], _FILES.hint, dropped).values())


def _load_table(file: Path) -> Iterator[_Image]:
    """An image for each line; those of one file are joined later."""
    header: list[str] = []
    for number, row in filled_rows(file, ","):
        if not header:
            header = [name.lstrip("# ") for name in row]
            continue
        cells = dict(zip(header, row, strict=False))
        try:
            of_file = msgspec.json.decode(cells.get("file_attributes") or "{}")
            of_region = msgspec.json.decode(cells["region_attributes"] or "{}")
            content = {"filename": cells["filename"], "file_attributes": of_file,
                       "regions": [{"region_attributes": of_region}]}  # fmt: skip
            yield msgspec.convert(content, _Image)
        except (KeyError, msgspec.MsgspecError) as error:
            raise DataError(f"{file}, line {number}: {error}", _FILES.hint) from None


def _values(image: _Image) -> Iterator[tuple[str, Any]]:
    """Attributes of an image and of its regions."""
    yield from (item for item in image.file_attributes.items() if item[0] not in _OWN)
    regions = image.regions.values() if isinstance(image.regions, dict) else image.regions
    for region in regions:
        yield from region.region_attributes.items()


def _classes(contents: Mapping[Path, list[_Image]]) -> list[str]:
    """Labels, and the boxes that nobody checked."""
    names: dict[str, None] = {}
    for _, value in (own for images in contents.values() for own in chain(*map(_values, images))):
        names |= dict.fromkeys(_named(value))
    return list(names)


def _named(value: Any) -> list[str]:
    """The boxes of an attribute, or its text."""
    if isinstance(value, dict):
        return [*map(str, value)]
    return [value.strip()] if isinstance(value, str) and value.strip() else []


def _samples(
    contents: Mapping[Path, list[_Image]], root: Path, dropped: IssueLog
) -> Iterator[Sample]:
    for file, images in contents.items():
        split = split_of(file)
        prefix = image_prefix(root, split, (image.filename for image in images))
        for image in images:
            labels: list[str] = []
            for name, value in _values(image):
                boxes = isinstance(value, dict)
                labels += _named({k: v for k, v in value.items() if v} if boxes else value)
                if not isinstance(value, dict | str):
                    dropped.add("values that are no label", f"{image.filename}, {name}: {value!r}")
            yield Sample(f"{prefix}{image.filename}", labels, (), split)


VIA_READER = Reader("via", "VGG Image Annotator", _FILES.seen, _read)
