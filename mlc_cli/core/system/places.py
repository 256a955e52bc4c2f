"""Where the bytes of an image come from: a file, a part of a shard, an address.

This is the one seam: who reads images asks here, and need not know.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mlc_cli.core.system import remote
from mlc_cli.core.system.addresses import Listed, address, is_remote
from mlc_cli.core.system.extras import import_extra
from mlc_cli.core.system.threads import in_threads

if TYPE_CHECKING:
    from mlc_cli.core.system.downloads.cache import Cache

GAP = 1 << 16
"""Bytes between two parts that are read with them rather than asked for apart."""
Content = bytes | OSError


@dataclass(frozen=True)
class Block:
    """What is read of a shard at once: a range of bytes, or a row group of Parquet.

    Of Parquet, `start` is the number of the group, and `column` has the images as bytes.
    """

    file: Path
    start: int
    stop: int
    store: "Cache"
    version: str
    column: str = ""

    def kept(self) -> Path:
        """Its file in the cache, which the processes of a machine share; read if it is not there.

        Raises:
            OSError: The shard is missing, or ends before.
            DownloadError: It cannot be reached.
        """
        key = f"{address(self.file)} {self.version} {self.start} {self.stop} {self.column}"
        path = self.store.folder / f"block-{hashlib.sha256(key.encode()).hexdigest()[:24]}"
        if path.exists():
            os.utime(path)
            return path
        with self.store.lock(path.name[:8]):  # not a file for each of a million
            if not path.exists():
                content = self._read()
                self.store.trim(room=len(content))
                part = path.with_name(f"{path.name}.part")
                part.write_bytes(content)
                part.replace(path)
        return path

    def _read(self) -> bytes:
        if not self.column:
            return read_part(self.file, self.start, self.stop)
        with open_parquet(self.file) as table:
            images = table.read_row_group(self.start, [self.column]).column(0)
        return b"".join((row or {}).get("bytes") or b"" for row in images.to_pylist())


class Piece(PosixPath):
    """An image in a shard, called by the shard's path and its own.

    `start` counts from the beginning of the block where there is one, else from that of the file.
    """

    file: Path
    start: int
    size: int
    block: Block | None

    @classmethod
    def of(cls, file: Path, name: str, start: int, size: int, block: Block | None) -> "Piece":
        """The piece of a file."""
        piece = cls(file, name)
        piece.file, piece.start, piece.size, piece.block = file, start, size, block
        return piece

    def __reduce__(self) -> tuple[Any, ...]:
        name = str(self.relative_to(self.file))
        return (Piece.of, (self.file, name, self.start, self.size, self.block))


def is_file(place: Path) -> bool:
    """Whether it is a file of its own on this machine."""
    return not isinstance(place, Piece) and not is_remote(place)


def opened(file: Path) -> Any:
    """A file, here or in a store, open for reading; no more is fetched than is asked for."""
    if not is_remote(file):
        return file.open("rb")
    return remote.retried(lambda store, name: store.open(name), file)


@contextmanager
def open_parquet(file: Path) -> Iterator[Any]:
    """The same of a file of Parquet."""
    pq = import_extra("pyarrow.parquet", "parquet")
    with opened(file) as stream, pq.ParquetFile(stream) as table:
        yield table


def read_part(file: Path, start: int, stop: int) -> bytes:
    """A range of a file, here or in a store.

    Raises:
        OSError: It is missing, or ends before.
        DownloadError: It cannot be reached.
    """
    if is_remote(file):
        content = remote.read(file, start, stop)
    else:
        with file.open("rb", buffering=0) as stream:
            content = os.pread(stream.fileno(), stop - start, start)
    if len(content) != stop - start:
        raise OSError(0, f"ends before its byte {stop}")
    return content


def read(place: Path) -> bytes:
    """The bytes of an image, wherever it is.

    Raises:
        OSError: It is missing, or may not be read.
        DownloadError: It cannot be reached.
    """
    if isinstance(place, Listed):
        return remote.read_public(place)
    if not isinstance(place, Piece):
        return remote.read(place) if is_remote(place) else place.read_bytes()
    for _ in range(3):  # another process may need the room in between
        file = place.block.kept() if place.block else place.file
        try:
            return read_part(file, place.start, place.start + place.size)
        except FileNotFoundError:
            if not place.block:
                raise
    raise FileNotFoundError(2, "is dropped from the cache at once: `download.cache_gb` is small")


@contextmanager
def as_files(wanted: Sequence[Path]) -> Iterator[list[Path]]:
    """Files of this machine with the bytes of all, for programs that open files."""
    with TemporaryDirectory() as folder:
        files = []
        for number, place in enumerate(wanted):
            files.append(place if is_file(place) else Path(folder, f"{number}{place.suffix}"))
            if not is_file(place):
                files[-1].write_bytes(read(place))
        yield files


def gather(places: Sequence[Path]) -> dict[Path, Content]:
    """Contents, or why there are none, of those places that are not files of this machine.

    They are read at the same time; parts of a shard that lie side by side in one go.

    Raises:
        DownloadError: A store cannot be reached.
    """
    whole = [own for own in places if not is_file(own)]
    parts = [own for own in whole if isinstance(own, Piece) and not own.block]
    runs: list[list[Path]] = [[own] for own in whole if own not in parts]
    last = None
    for own in sorted(parts, key=lambda own: (str(own.file), own.start)):
        if last and last.file == own.file and own.start <= last.start + last.size + GAP:
            runs[-1].append(own)
        else:
            runs.append([own])
        last = own
    threads = min(remote.AT_ONCE, len(runs)) if any(map(is_remote, whole)) else 1
    found: dict[Path, Content] = {}
    for contents in in_threads(_read_run, runs, threads) if runs else ():
        found |= contents
    return found


def _read_run(run: list[Path]) -> dict[Path, Content]:
    try:
        if len(run) == 1:
            return {run[0]: read(run[0])}
        pieces = [own for own in run if isinstance(own, Piece)]
        first = pieces[0].start
        content = read_part(pieces[0].file, first, max(own.start + own.size for own in pieces))
        return {own: content[own.start - first :][: own.size] for own in pieces}
    except OSError as error:
        return dict.fromkeys(run, error)
