"""Data sets in zip files: unpacked beside the result, so that links move their images into it."""

import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from mlc_cli.core.datasets.formats.shared.naming import leads_out
from mlc_cli.core.system.files import folder_beside, named_faults
from mlc_cli.errors import DataError

_OF_SYSTEMS = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|Thumbs\.db$)")
_UNPACK = "Unpack it by hand, look at what is in it, and convert the folder."


@contextmanager
def unpacked(source: Path, dest: Path, most_gb: float) -> Iterator[Path]:
    """What is in a zip file, as a folder (or as its only file) that is removed at the end.

    Anything but a file called `*.zip` is given back as it is.

    Args:
        source: The file.
        dest: Folder of the result, on whose disk the other one is made.
        most_gb: Gigabytes that it may have unpacked.

    Raises:
        DataError: It is damaged, too large, encrypted, or has links or entries that lead out of it.
        MlcError: There is no room, or the folder cannot be made.
    """
    if source.suffix.lower() != ".zip" or not source.is_file():
        yield source
        return
    real = Path(os.path.realpath(dest)).parent
    near = next(folder for folder in (real, *real.parents) if folder.is_dir())
    with folder_beside(near / source.stem) as folder:
        place = folder / source.stem
        place.mkdir()
        with named_faults(source, "cannot be unpacked", hint=_UNPACK), ZipFile(source) as archive:
            for name, entry in _entries(source, archive, most_gb, near).items():
                target = place / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as reader, target.open("xb") as writer:
                    shutil.copyfileobj(reader, writer, 1 << 20)
        while len(inside := list(place.iterdir())) == 1:
            place = inside[0]
            if not place.is_dir():
                break
        yield place


def _entries(source: Path, archive: ZipFile, most_gb: float, disk: Path) -> dict[str, ZipInfo]:
    """The files in it by their paths, all of them fit to be written."""
    entries: dict[str, ZipInfo] = {}
    for entry in archive.infolist():
        name, kind = entry.filename.replace("\\", "/"), stat.S_IFMT(entry.external_attr >> 16)
        fault = ""
        if leads_out(name) or re.match("[A-Za-z]:", name):
            fault = "leads out of it"
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            fault = "is a link, or no regular file"
        elif entry.flag_bits & 1:
            fault = "is encrypted"
        elif name in entries:
            fault = "is in it twice"
        if fault:
            raise DataError(f"{source}: entry {name:.200} {fault}; nothing is unpacked", _UNPACK)
        if not name.endswith("/") and not _OF_SYSTEMS.search(name):
            entries[name] = entry
    size, room = sum(entry.file_size for entry in entries.values()), shutil.disk_usage(disk).free
    if size > min(most_gb * 1e9, room):
        raise DataError(
            f"{source}: would be {size / 1e9:.1f} GB unpacked; at most {most_gb:g} GB are, and"
            f" {room / 1e9:.1f} GB are free in {disk}",
            "Allow more with `--set max_unpacked=N`, or choose a DEST on another disk.",
        )
    if not entries:
        raise DataError(f"{source}: there is no file in it")
    return entries
