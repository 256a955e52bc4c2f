"""Data sets in archives: unpacked beside the result, so that links move their images into it."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlc_cli.core.datasets.formats.parquet import parquet_files, unpack_parquet
from mlc_cli.core.datasets.formats.shared.images import holds_images
from mlc_cli.core.datasets.shards.index import is_index
from mlc_cli.core.datasets.shards.unpacking import unpack_shards
from mlc_cli.core.system.downloads.unpack import entries
from mlc_cli.core.system.files import folder_beside, named_faults
from mlc_cli.errors import DataError, MlcError

SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_DEPTH = 3
"""How often zip files in zip files are looked for."""
_OF_SYSTEMS = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|Thumbs\.db$|\._)")


@contextmanager
def unpacked(source: Path, dest: Path, most_gb: float, *, inner: bool = True) -> Iterator[Path]:
    """What is in an archive, as a folder (or as its only file) that is removed at the end.

    It is made on the disk of `dest`. So are zip files in it, those of a folder without images, but
    not if these are elsewhere (`inner`), and images in Parquet; all else is given back as it is.

    Raises:
        DataError: It is damaged, larger than `most_gb` gigabytes, encrypted, or has links or
            entries that lead out of it; then nothing is unpacked.
        MlcError: There is no room, or the folder cannot be made.
    """
    whole = source.name.lower().endswith(SUFFIXES) and source.is_file()
    zips, tables = [], parquet_files(source)
    if inner and source.is_dir() and not tables:
        zips = sorted(filter(Path.is_file, source.glob("*.zip")))
        zips = [] if zips and holds_images(source) else zips
    if not (whole or tables or zips):
        yield source
        return
    real = Path(os.path.realpath(dest))
    near = next(folder for folder in real.parents if folder.is_dir())
    with folder_beside(near / f"{real.name}-source") as folder:
        place = folder / source.stem.removesuffix(".tar")
        place.mkdir()
        most = min(most_gb * 1e9, shutil.disk_usage(near).free)
        if whole:
            most -= _unpack(source, place, most)
        elif zips:
            shutil.copytree(
                source, place, ignore=shutil.ignore_patterns("*.zip"), dirs_exist_ok=True
            )
        for file in zips:
            most -= _unpack(file, place / file.stem, most)
        with _named_as(place, source):
            for file in (path for _ in range(_DEPTH) for path in sorted(place.rglob("*.zip"))):
                most -= _unpack(file, file.with_suffix(""), most)
                file.unlink()
            for file in tables or parquet_files(place):
                most -= (unpack_shards if is_index(file) else unpack_parquet)(file, place, most)
        while len(inside := list(place.iterdir())) == 1:
            place = inside[0]
            if not place.is_dir():
                break
        yield place


@contextmanager
def _named_as(place: Path, source: Path) -> Iterator[None]:
    """Messages name the source, not the folder that it is unpacked in."""
    try:
        yield
    except MlcError as error:
        error.message = error.message.replace(str(place), str(source))
        raise


def _unpack(source: Path, place: Path, most: float) -> int:
    """Unpack an archive; the number of bytes is at most `most`."""
    hint = "Unpack it by hand, look at what is in it, and convert the folder."
    with named_faults(source, "cannot be unpacked", hint=hint), entries(source, "") as found:
        wanted = [entry for entry in found if not _OF_SYSTEMS.search(entry.name)]
        size = sum(entry.size for entry in wanted)
        if size > most:
            raise DataError(
                f"{source}: would be {size / 1e9:.2g} GB unpacked, and {most / 1e9:.2g} GB are free"
                " or allowed",
                "Allow more with `--set max_unpacked=N`, or choose a DEST on another disk.",
            )
        if not any(entry.name for entry in wanted):
            raise DataError(f"{source}: there is no file in it, or it is no archive", hint)
        for entry in wanted:
            target = place / entry.name.replace("\\", "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            with entry.open() as reader, target.open("xb") as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)
    return size
