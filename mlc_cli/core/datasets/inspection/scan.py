"""A scan of image files: their headers, whether they decode, and two hashes of what they show."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.inspection.collection import Collection
from mlc_cli.core.images.decode import DEEP, look
from mlc_cli.core.images.folder import ImageFolder
from mlc_cli.core.images.scaled import GREY_FLAGS, orientation, part_of
from mlc_cli.core.system.files import read_bytes
from mlc_cli.core.system.places import is_file, read
from mlc_cli.core.system.threads import in_threads
from mlc_cli.errors import BadImageError

OnProgress = Callable[[int, int], object]

_GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F")
_SIDE = 32  # of what the hash is computed from
_AT_ONCE = 256  # files of which hashes are computed together
_ENOUGH = 64  # pixels of the shorter side that a reduced decode must leave
_DIM = 64  # below this level an image of 16 bits a channel uses 14 of them at most
_FLAT = 3.0  # grey levels: below this deviation a picture shows nothing to compare
_FACTS = np.dtype([
    ("width", "i4"), ("height", "i4"), ("form", "S10"), ("grey", "?"), ("transparent", "?"),
    ("exif_rotated", "?"), ("flat", "?"), ("size", "u8"), ("bits", "u1"), ("coarse", "u8"),
    ("fine", "u8", 4), ("digest", "S16"),
])  # fmt: skip
"""Fields of `FileScan`, and what only files of the same bytes have in common; 89 bytes a file,
zeros where it cannot be used."""


class FileScan(NamedTuple):
    """What the scan of a file found.

    Attributes:
        problem: Why the image cannot be used; all else is empty then.
        width: In pixels as shown, like the height, turned by the EXIF orientation.
        form: Format, such as `JPEG`.
        exif_rotated: Whether EXIF says to turn or mirror it.
        flat: Whether it is of one shade.
        size: Of the file in bytes.
        bits: Of 16 a channel that it uses; 0 for what has 8.
        thumbnail: Its grey levels, row by row, of which hashes are made.
        damage: What is wrong with an image that can be used.
    """

    problem: str = ""
    width: int = 0
    height: int = 0
    form: str = ""
    grey: bool = False
    transparent: bool = False
    exif_rotated: bool = False
    flat: bool = False
    size: int = 0
    bits: int = 0
    thumbnail: bytes = b""
    damage: str = ""


def scan_file(path: Path, max_pixels: float = 200e6) -> FileScan:
    """Read and decode a file; one of more pixels than `max_pixels` is not decoded."""
    try:
        content, header, pixels, damage = look(
            path, max_pixels, lambda size: part_of(size, (_ENOUGH, _ENOUGH)), GREY_FLAGS
        )
    except BadImageError as error:
        return FileScan(error.reason)
    small = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    height, width = header.shown
    return FileScan(
        damage=damage,
        width=width,
        height=height,
        form=header.form,
        grey=header.mode in _GREY,
        transparent=header.transparent,
        exif_rotated=orientation(header.exif) > 1,
        flat=float(cv2.meanStdDev(small)[1][0, 0]) < _FLAT,
        size=len(content),
        bits=_bits(content) if header.form in DEEP and pixels.max() < _DIM else 0,
        thumbnail=small.tobytes(),
    )


def _bits(content: bytes) -> int:
    """Bits that the largest value of an image of 16 a channel has; 0 for one of 8."""
    deep = np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED))
    return int(deep.max()).bit_length() if deep.dtype == np.uint16 else 0


def perceptual_hashes(thumbnails: Sequence[bytes], side: int) -> NDArray[np.uint8]:
    """Bits of what N pictures show: which of their lowest frequencies are above their median.

    These are a square of the cosine transform, `side` in each direction: N×(side·side/8) bytes.

    Change of size, of quality or of brightness leaves nearly all bits as they are (the pHash of
    Zauner 2010, "Implementation and benchmarking of perceptual image hash functions").
    """
    levels = np.frombuffer(b"".join(thumbnails), np.uint8).reshape(len(thumbnails), _SIDE, _SIDE)
    waves = np.cos(np.pi / _SIDE * np.outer(np.arange(side), np.arange(_SIDE) + 0.5))
    waves[0] /= np.sqrt(2)
    waves = waves.astype(np.float32)
    lowest = (waves @ levels.astype(np.float32) @ waves.T).reshape(len(levels), side * side)
    middle = (side * side - 1) // 2  # without the first, which is the mean brightness
    median = np.partition(lowest[:, 1:], middle, axis=1)[:, middle : middle + 1]
    return np.packbits(lowest > median, axis=1)


@dataclass(frozen=True)
class Files:
    """What is known of the image files, in the order of the rows of a collection.

    Attributes:
        problems: Why images cannot be used, by row.
        damaged: What is wrong with images that can be used, by row.
        facts_N: What their scans found, a structured array with the fields of `FileScan`.
    """

    problems: dict[int, str]
    damaged: dict[int, str]
    facts_N: NDArray[np.void]

    @property
    def usable_N(self) -> NDArray[np.bool_]:
        """Files that can be used."""
        return np.asarray(self.facts_N["width"] > 0)


def scan_files(
    collection: Collection,
    *,
    threads: int,
    max_pixels: float = 200e6,
    allow_outside: bool = False,
    progress: OnProgress | None = None,
) -> Files:
    """Scan every image file, in so many threads."""
    folders = {
        id(split): ImageFolder(split.folder, allow_outside=allow_outside)
        for split in collection.splits.values()
    }

    def scan(location: tuple[Annotation, int]) -> FileScan:
        split, image = location
        problem = None if split.pieces else folders[id(split)].problem(split.paths[image])
        return FileScan(problem) if problem else scan_file(split.path(image), max_pixels)

    files = Files({}, {}, np.zeros(len(collection), _FACTS))
    usable: dict[int, FileScan] = {}
    for row, found in enumerate(in_threads(scan, collection.files(), threads)):
        if found.problem:
            files.problems[row] = found.problem
        else:
            usable[row] = found
        if len(usable) == _AT_ONCE:
            _enter(usable, files)
            usable = {}
        if progress:
            progress(row + 1, len(collection))
    _enter(usable, files)
    _tell_copies(collection, files, threads)
    return files


def _enter(scans: dict[int, FileScan], files: Files) -> None:
    """Keep what is known of files that can be used, with their hashes: of many at once."""
    files.damaged.update((row, found.damage) for row, found in scans.items() if found.damage)
    facts = np.array([(*found[1:-2], 0, 0, b"") for found in scans.values()], _FACTS)
    thumbnails = [found.thumbnail for found in scans.values()]
    facts["coarse"] = perceptual_hashes(thumbnails, 8).view(np.uint64)[:, 0]
    facts["fine"] = perceptual_hashes(thumbnails, 16).view(np.uint64)
    files.facts_N[[*scans]] = facts


def _tell_copies(collection: Collection, files: Files, threads: int) -> None:
    """Give files digests; only those are read again whose size and hashes are those of another."""
    hashes_N, digests_N = files.facts_N[["size", "coarse", "fine"]], files.facts_N["digest"]
    alike: dict[bytes, list[int]] = {}
    for row in np.flatnonzero(files.usable_N).tolist():
        alike.setdefault(hashes_N[row].tobytes(), []).append(row)
        digests_N[row] = str(row)
    rows = [row for group in alike.values() if len(group) > 1 for row in group]

    def digest(path: Path) -> bytes:
        content = read_bytes(path) if is_file(path) else read(path)
        return hashlib.sha256(content).digest()[:16]

    for row, found in zip(
        rows, in_threads(digest, map(collection.file, rows), threads), strict=True
    ):
        digests_N[row] = found
