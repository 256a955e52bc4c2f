"""Shards of others: WebDataset's tar files, and Parquet with images as bytes (Hugging Face).

One pass over them makes an index, which is kept in the cache. A sample of a tar file is an image
with a `.json` of its labels beside it, or a `.cls` of their numbers; `classes.txt` in the folder
lists all classes, so that splits which lack some agree.
"""

import hashlib
import logging
import os
import tarfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec

from mlc_cli.core.datasets.converting.collect import Findings, collect
from mlc_cli.core.datasets.formats.jsonl import JSONL_READER
from mlc_cli.core.datasets.formats.parquet import class_names, images_of, named
from mlc_cli.core.datasets.formats.shared.images import is_image
from mlc_cli.core.datasets.shards.index import write_index
from mlc_cli.core.system import places, remote
from mlc_cli.core.system.addresses import address, shown
from mlc_cli.core.system.downloads.cache import Cache
from mlc_cli.core.system.files import named_faults
from mlc_cli.errors import DataError

_LOG = logging.getLogger(__name__)
_NUMBERS = ("cls", "cls.txt")


class _Found(NamedTuple):
    """An image, where it is, and the cells of its row; `block` is its row group in Parquet."""

    name: str
    start: int
    size: int
    block: int
    cells: dict[str, Any]


def foreign_index(source: Path, files: Sequence[Path], store: Cache) -> Path:
    """The index of shards that came without one; made at first use, and when they change.

    Raises:
        DataError: A shard cannot be read, or a sample has no labels.
    """
    state = "\n".join(f"{address(file)} {remote.version(file)}" for file in files)
    path = store.folder / f"index-{hashlib.sha256(state.encode()).hexdigest()[:24]}.parquet"
    with store.lock(path.name):
        if path.exists():
            os.utime(path)
        else:
            _LOG.warning("%s: is read once for an index of it, %s", shown(source), path)
            _make(source, files, path)
    return path


def _make(source: Path, files: Sequence[Path], path: Path) -> None:
    found: dict[str, tuple[int, int, int, int]] = {}
    findings, column, classes = Findings(), "", _classes(files[0].with_name("classes.txt"))
    with TemporaryDirectory() as place:
        lines = Path(place, "metadata.jsonl")
        with lines.open("wb") as stream:
            for number, file in enumerate(files):
                of_parquet = file.suffix == ".parquet"
                if of_parquet:
                    column, names = _column(file)
                    classes = names or classes
                with named_faults(shown(file), "cannot be read as shards"):
                    for one in (_of_parquet if of_parquet else _of_tar)(file):
                        name = f"{file.name}/{one.name}"
                        found[name] = (number, one.start, one.size, one.block)
                        row = one.cells | {"file_name": name}
                        stream.write(msgspec.json.encode(row, enc_hook=repr) + b"\n")
        rows = JSONL_READER.read(lines, None, findings.dropped)
        annotation = collect(rows, source, findings, classes=classes, join_splits=True).annotation
    for said in filter(None, (*rows.remarks, findings.lines())):
        _LOG.warning("%s: %s", shown(source), said)
    spots = [found[name] for name in annotation.paths]
    write_index(path, annotation, [file.name for file in files], spots, source.stem, None, column)


def _classes(file: Path) -> list[str | int] | None:
    if not remote.exists(file):
        return None
    lines = places.read(file).decode("utf-8-sig").splitlines()
    return [name.strip() for name in lines if name.strip()]


def _of_tar(file: Path) -> Iterator[_Found]:
    with places.opened(file) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        for _, members in groupby(filter(tarfile.TarInfo.isfile, tar), _sample):
            image, cells = None, dict[str, Any]()
            for member in members:
                ending = PurePosixPath(member.name).name.partition(".")[2].lower()
                if is_image(member.name):
                    image = _Found(member.name, member.offset_data, member.size, 0, cells)
                elif ending in ("json", *_NUMBERS):
                    content = tar.extractfile(member).read()  # type: ignore[union-attr]
                    cells |= _labels(content, ending)
            if image and not cells:
                raise DataError(
                    f"its sample {image.name!r} has no labels: neither a .json nor a .cls",
                    "WebDataset's samples are files of one name: 0001.jpg and 0001.json.",
                )
            if image:
                yield image


def _sample(member: tarfile.TarInfo) -> str:
    """What the files of a sample are called, but for their endings."""
    folder, _, name = member.name.rpartition("/")
    return f"{folder}/{name.partition('.')[0]}"


def _labels(content: bytes, ending: str) -> dict[str, Any]:
    if ending == "json":
        said = msgspec.json.decode(content)
        return said if isinstance(said, dict) else {"labels": said}
    numbers = content.decode().replace(",", " ").split()
    return {"labels": [int(n) if n.isdecimal() else n for n in numbers]}


def _column(file: Path) -> tuple[str, list[str | int] | None]:
    with places.open_parquet(file) as table:
        return images_of(file, table.schema_arrow)[0], class_names(table.schema_arrow)


def _of_parquet(file: Path) -> Iterator[_Found]:
    with places.open_parquet(file) as table:
        images = images_of(file, table.schema_arrow)
        for group in range(table.num_row_groups):
            start = 0
            for number, row in enumerate(table.read_row_group(group).to_pylist()):
                image, *_ = [row.pop(name) or {} for name in images]
                name = PurePosixPath(image.get("path") or "image.jpg").name
                size = len(image.get("bytes") or b"")
                yield _Found(f"{group}-{number}-{name}", start, size, group,
                             named(row, table.schema_arrow))  # fmt: skip
                start += size
