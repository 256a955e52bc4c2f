"""Shards of ours back to a folder of images with an annotation file."""

from dataclasses import replace
from pathlib import Path

from mlc_cli.core.datasets.columns import read_columns, write_columns
from mlc_cli.core.datasets.formats.mlc import MLC_WRITER
from mlc_cli.core.datasets.shards.index import read_index
from mlc_cli.core.system import places
from mlc_cli.core.system.downloads.cache import Cache
from mlc_cli.core.system.files import named_faults
from mlc_cli.errors import DataError


def unpack_shards(index: Path, folder: Path, most: float) -> float:
    """Write the images of an index, its annotation file and its columns.

    Returns:
        Bytes written.

    Raises:
        DataError: They would be more than `most`, or a path leads out of the folder.
    """
    nowhere = Cache(folder, 0)
    annotation = read_index(index, index, index.parent, nowhere, blocks=False)
    assert annotation.pieces
    used = int(annotation.pieces.size_N.sum())
    if used > most:
        raise DataError(f"{index}: has more than the disk, or max_unpacked, allows")
    for image, path in enumerate(annotation.paths):
        if path.startswith("/") or ".." in path.split("/"):
            raise DataError(f"{index}: its image {path!r} leads out of the folder")
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        with named_faults(annotation.path(image), "cannot be read"):
            place.write_bytes(places.read(annotation.path(image)))
    MLC_WRITER.write({index.stem: replace(annotation, folder=folder, pieces=None)}, folder)
    if (columns := read_columns(index)).images:
        write_columns(folder / f"{index.stem}.json", columns.group, columns.images)
    return used
