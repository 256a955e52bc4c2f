"""Archives: unpacked file by file, so that a second call does what is missing."""

import os
import shutil
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

from mlc_cli.core.system.downloads.transfer import Report
from mlc_cli.core.system.files import named_faults
from mlc_cli.errors import DataError, Interrupted


class _Entry(NamedTuple):
    """What is in an archive; a link or a device is no file."""

    name: str
    size: int
    open: Callable[[], Any]
    is_file: bool = True


def unpack(
    archive: Path,
    name: str,
    folder: Path,
    into: str | None,
    take: Sequence[str],
    report: Report,
    stop: threading.Event,
) -> dict[str, int]:
    """Unpack a `.zip` or a `.tar`, compressed or not; any other file is put there by its `name`.

    Entries that a pattern of `take` wants go to `into`, a folder in `folder`; an archive that
    brings it along is not put in it twice.

    Returns:
        Bytes of each file, by its path in `folder`.

    Raises:
        DataError: It is damaged or refused by `entries`, and then nothing of it is unpacked.
        MlcError: The disk is full.
    """
    with named_faults(archive, "cannot be unpacked"), entries(archive, name) as all_:
        wanted = [one for one in all_ if any(fnmatch(one.name, pattern) for pattern in take)]
        if not wanted:
            raise DataError(f"{archive}: has none of {', '.join(take)}")
        if into and not all(entry.name.startswith(f"{into}/") for entry in wanted):
            wanted = [entry._replace(name=f"{into}/{entry.name}") for entry in wanted]
        total, done = sum(entry.size for entry in wanted), 0
        for entry in wanted:
            if stop.is_set():
                raise Interrupted("interrupted")
            _put(entry, folder / entry.name)
            done += entry.size
            report(done, total)
    return {entry.name: entry.size for entry in wanted}


@contextmanager
def entries(archive: Path, name: str) -> Iterator[list[_Entry]]:
    """The files in a `.zip` or a `.tar`, compressed or not; any other file is the only one.

    Raises:
        DataError: It is encrypted, an entry is a link or a device, or has a name that leads out of
            the folder on some system.
    """
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            files = [info for info in packed.infolist() if not info.is_dir()]
            if any(info.flag_bits & 1 for info in files):
                raise DataError(f"{archive}: is encrypted", "Unpack it by hand.")
            yield _checked(archive, [
                _Entry(info.filename, info.file_size, partial(packed.open, info),
                       stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG))
                for info in files
            ])  # fmt: skip
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as bundle:
            yield _checked(archive, [
                _Entry(info.name, info.size, partial(bundle.extractfile, info), info.isfile())
                for info in bundle if not info.isdir()
            ])  # fmt: skip
    else:
        yield [_Entry(name, archive.stat().st_size, partial(archive.open, "rb"))]


def _checked(archive: Path, found: list[_Entry]) -> list[_Entry]:
    for entry in found:
        if not entry.is_file:
            raise DataError(f"{archive}: its entry {entry.name!r} is a link or a device, no file")
        paths = PurePosixPath(entry.name), PureWindowsPath(entry.name)
        if any(path.anchor or ".." in path.parts for path in paths):
            raise DataError(
                f"{archive}: its entry {entry.name!r} leads out of the folder;"
                " nothing of it is unpacked",
                "Such an archive is made to do harm: get it from another place.",
            )
    return found


def _put(entry: _Entry, target: Path) -> None:
    """Write a file under another name first: one that has its name is whole."""
    if target.exists() and target.stat().st_size == entry.size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name[-200:]}.unpacking")
    with entry.open() as source, temporary.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    os.replace(temporary, target)  # noqa: PTH105
