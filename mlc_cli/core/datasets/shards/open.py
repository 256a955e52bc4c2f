"""Splits that are not a JSON file of this machine: in shards, or in a store."""

import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mlc_cli.core.datasets.annotations import Annotation, read_annotation
from mlc_cli.core.datasets.rules import RULES_FILE
from mlc_cli.core.datasets.shards.foreign import foreign_index
from mlc_cli.core.datasets.shards.index import is_index, read_index
from mlc_cli.core.system import remote
from mlc_cli.core.system.addresses import is_remote, shown
from mlc_cli.core.system.downloads.cache import Cache
from mlc_cli.errors import DataError

INDEX, TAR = ".parquet", ".tar"


def read_anywhere(
    source: Path, image_root: Path | None, *, store: Cache, blocks: bool = False
) -> Annotation:
    """Read a split from an annotation file or from shards, of this machine or of a store.

    Raises:
        DataError: With all faults of the file.
    """
    if index := index_of(source):
        return read_shards(index, store, blocks=blocks)
    return (read_far if is_remote(source) else read_annotation)(source, image_root)


def is_split(source: Path) -> bool:
    """Whether `read_anywhere` finds an annotation file, or shards in its place."""
    return remote.exists(source) or index_of(source) is not None


def index_of(source: Path) -> Path | None:
    """The index, or the shards as a pattern, that a split is in; `None` if it is in a JSON file.

    In place of `train.json` it may be `train.parquet`.
    """
    if source.suffix in (INDEX, TAR):
        return source
    index = source.with_suffix(INDEX)
    is_it = source.suffix == ".json" and not remote.exists(source) and remote.exists(index)
    return index if is_it else None


def read_shards(source: Path, store: Cache, *, blocks: bool) -> Annotation:
    """The split in shards that an index or a pattern names.

    Raises:
        DataError: There is nothing of that name, or it cannot be read.
    """
    files = remote.matching(source)
    if not files:
        raise DataError(f"{shown(source)}: there is no such file")
    index = files[0]
    if source.suffix == TAR or not is_index(index):
        index = foreign_index(source, files, store)
    return read_index(index, source, source.parent, store, blocks=blocks)


def read_far(source: Path, image_root: Path | None) -> Annotation:
    """Read an annotation file of a store, as `read_annotation` does one of this machine."""
    with TemporaryDirectory() as place:
        near = Path(place, source.name)
        for file in (near, near.with_name(RULES_FILE)):
            if remote.exists(source.with_name(file.name)):
                file.write_bytes(remote.read(source.with_name(file.name)))
        try:
            found = read_annotation(near, image_root)
        except DataError as error:
            error.message = error.message.replace(place, shown(source.parent))
            raise
        near_root = os.path.relpath(found.folder.resolve(), near.parent.resolve())
        folder = os.path.normpath(source.parent / near_root)
    return replace(found, source=source, folder=image_root or Path(folder))
