"""Data sets in archives: unpacked beside the result, so that links move their images into it."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlc_cli.core.system.downloads.unpack import entries
from mlc_cli.core.system.files import folder_beside, named_faults
from mlc_cli.errors import DataError

SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_OF_SYSTEMS = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|Thumbs\.db$|\._)")


@contextmanager
def unpacked(source: Path, dest: Path, most_gb: float) -> Iterator[Path]:
    """What is in an archive, as a folder (or as its only file) that is removed at the end.

    It is made on the disk of `dest`. Any file without a name such as `a.zip` or `a.tar.gz`
    is given back as it is.

    Raises:
        DataError: It is damaged, larger than `most_gb` gigabytes, encrypted, or has links or
            entries that lead out of it; then nothing is unpacked.
        MlcError: There is no room, or the folder cannot be made.
    """
    if not (source.name.lower().endswith(SUFFIXES) and source.is_file()):
        yield source
        return
    real = Path(os.path.realpath(dest)).parent
    near = next(folder for folder in (real, *real.parents) if folder.is_dir())
    with folder_beside(near / source.stem) as folder:
        place = folder / source.stem.removesuffix(".tar")
        place.mkdir()
        _unpack(source, place, min(most_gb * 1e9, shutil.disk_usage(near).free))
        while len(inside := list(place.iterdir())) == 1:
            place = inside[0]
            if not place.is_dir():
                break
        yield place


def _unpack(source: Path, place: Path, most: float) -> None:
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
