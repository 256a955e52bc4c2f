"""Checksums: of plain values, and one that a file carries inside itself, whatever its format.

Its text has the word `mlc-sha256-` with 64 hexadecimal digits behind it somewhere: SHA-256 of all
bytes, zeros in place of these digits, and of the files that belong to it.
"""

import hashlib
import json
import mmap
import zipfile
from pathlib import Path
from typing import Any

_WORD, _DIGITS = b"mlc-sha256-", 64
OPEN = (_WORD + b"0" * _DIGITS).decode()
"""What is written where the checksum shall stand."""


def digest_of(values: Any) -> str:
    """SHA-256 of plain values; of tensors among them type and shape count."""
    text = json.dumps(
        values, sort_keys=True, default=lambda tensor: [str(tensor.dtype), *tensor.shape]
    )
    return hashlib.sha256(text.encode()).hexdigest()


def seal(path: Path, *parts: Path) -> None:
    """Put the checksum of a file, and of those that belong to it, in its place.

    Raises:
        OSError: A file cannot be read or written.
    """
    place, digest = _compute(path, parts)
    assert place
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(digest)


def seal_zip(path: Path) -> None:
    """Give a zip archive, such as torch writes, its checksum: in the comment."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = OPEN.encode()
    seal(path)


def is_intact(path: Path, *parts: Path) -> bool | None:
    """Whether files are as they were when they were sealed; `None` if they never were.

    Raises:
        OSError: A file cannot be read.
    """
    place, digest = _compute(path, parts)
    if not place:
        return None
    with path.open("rb") as stream:
        stream.seek(place)
        return stream.read(_DIGITS) == digest


def _compute(path: Path, parts: tuple[Path, ...]) -> tuple[int, bytes]:
    """Where the digits stand, 0 without, and what they have to be."""
    if not path.stat().st_size:
        return 0, b""
    total = hashlib.sha256()
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as all_:
        found = all_.find(_WORD)
        if found < 0:
            return 0, b""
        place = found + len(_WORD)
        with memoryview(all_) as view, view[:place] as before, view[place + _DIGITS :] as after:
            for piece in (before, b"0" * _DIGITS, after):
                total.update(piece)
    for part in parts:
        with part.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return place, total.hexdigest().encode()
