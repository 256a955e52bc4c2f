"""One look at each image file: header, whether it decodes, its content in two hashes."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.datasets.inspection.collection import Collection
from mlc_cli.core.images.decode import Pixels, decode, read_file, read_image
from mlc_cli.core.images.folder import ImageFolder
from mlc_cli.core.images.scaled import GREY_FLAGS, SizeHW, orientation, part_of
from mlc_cli.errors import BadImageError

OnProgress = Callable[[int, int], object]
T = TypeVar("T")
R = TypeVar("R")

_GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F")
_SIDE = 32  # of what the hash is computed from
_ENOUGH = 64  # pixels of the shorter side that a reduced decode must leave
_FLAT = 3.0  # grey levels: below this deviation a picture shows nothing to compare
_DIGEST = 16  # bytes of it are kept
_AHEAD = 64


class FileScan(NamedTuple):
    """What one look at a file found.

    Attributes:
        problem: Why the image cannot be used; all else is empty then.
        width: In pixels as shown, turned by its EXIF orientation.
        height: In pixels as shown.
        form: Format, such as `JPEG`.
        grey: Whether the pixels have no colour.
        transparent: Whether there is transparency.
        exif_rotated: Whether EXIF says to turn or mirror it.
        flat: Whether it is of one shade.
        digest: Of its bytes, 16 of SHA-256.
        coarse: Hash of what it shows, 8 bytes.
        fine: The same in more detail, 32 bytes.
    """

    problem: str = ""
    width: int = 0
    height: int = 0
    form: str = ""
    grey: bool = False
    transparent: bool = False
    exif_rotated: bool = False
    flat: bool = False
    digest: bytes = b""
    coarse: bytes = b""
    fine: bytes = b""


def scan_file(path: Path, max_pixels: float = 200e6) -> FileScan:
    """FileScan at a file.

    Args:
        path: The file.
        max_pixels: Larger images are a problem, found before they are decoded.
    """
    try:
        content, header = read_file(path, max_pixels)
        pixels = decode(content, GREY_FLAGS[header.part(_enough)], path)
    except BadImageError as error:
        return FileScan(error.reason)
    small = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    frequencies = cv2.dct(small.astype(np.float32))
    height, width = header.shown
    return FileScan(
        width=width,
        height=height,
        form=header.form,
        grey=header.mode in _GREY,
        transparent=header.transparent,
        exif_rotated=orientation(header.exif) > 1,
        flat=float(cv2.meanStdDev(small)[1][0, 0]) < _FLAT,
        digest=hashlib.sha256(content).digest()[:_DIGEST],
        coarse=perceptual_hash(frequencies, 8),
        fine=perceptual_hash(frequencies, 16),
    )


def _enough(size: SizeHW) -> int:
    return part_of(size, (_ENOUGH, _ENOUGH))


def read_reduced(path: Path, least: int, max_pixels: float = 200e6) -> Pixels:
    """RGB pixels of an image, decoded at a part of its size where the format allows.

    Args:
        path: The file.
        least: Pixels of the shorter side that are left, if there are as many.
        max_pixels: Larger images are refused.

    Raises:
        BadImageError: The file cannot be used.
    """
    return read_image(path, max_pixels, lambda size: part_of(size, (least, least)))


def perceptual_hash(frequencies: NDArray[Any], side: int) -> bytes:
    """Bits of what a picture shows: which of its lowest frequencies are above their median.

    Change of size, of quality or of brightness leaves nearly all bits as they are (the pHash of
    Zauner 2010, "Implementation and benchmarking of perceptual image hash functions").

    Args:
        frequencies: Cosine transform of the grey levels.
        side: Of the square of lowest frequencies; there are side·side bits.
    """
    lowest = frequencies[:side, :side].ravel()
    others = np.sort(lowest[1:])  # the first is the mean brightness
    bits = lowest > others[len(others) // 2]
    return np.packbits(bits).tobytes()


@dataclass(frozen=True)
class Files:
    """What is known of the image files, in the order of the rows of a collection.

    Attributes:
        problems: Why images cannot be used, by row.
        forms: Names of formats.
        sizes_N2: Width and height in pixels; 0 where a file cannot be used.
        forms_N: Place of each file's format in `forms`.
        grey_N: Files without colour.
        transparent_N: Files with transparency.
        exif_rotated_N: Files with an EXIF orientation.
        flat_N: Pictures of one shade.
        digests_N: Of the bytes; empty where a file cannot be used.
        coarse_N: Hashes of 64 bits of what is shown.
        fine_N4: Hashes of 256 bits of what is shown.
    """

    problems: dict[int, str]
    forms: list[str]
    sizes_N2: NDArray[np.int32]
    forms_N: NDArray[np.uint8]
    grey_N: NDArray[np.bool_]
    transparent_N: NDArray[np.bool_]
    exif_rotated_N: NDArray[np.bool_]
    flat_N: NDArray[np.bool_]
    digests_N: NDArray[np.bytes_]
    coarse_N: NDArray[np.uint64]
    fine_N4: NDArray[np.uint64]

    @classmethod
    def empty(cls, rows: int) -> "Files":
        """Room for so many files, some 75 bytes each."""
        return cls(
            problems={},
            forms=[],
            sizes_N2=np.zeros((rows, 2), np.int32),
            forms_N=np.zeros(rows, np.uint8),
            grey_N=np.zeros(rows, np.bool_),
            transparent_N=np.zeros(rows, np.bool_),
            exif_rotated_N=np.zeros(rows, np.bool_),
            flat_N=np.zeros(rows, np.bool_),
            digests_N=np.zeros(rows, f"S{_DIGEST}"),
            coarse_N=np.zeros(rows, np.uint64),
            fine_N4=np.zeros((rows, 4), np.uint64),
        )

    def put(self, row: int, scan: FileScan) -> None:
        """Keep what a look found."""
        if scan.problem:
            self.problems[row] = scan.problem
            return
        if scan.form not in self.forms:
            self.forms.append(scan.form)
        self.sizes_N2[row] = scan.width, scan.height
        self.forms_N[row] = self.forms.index(scan.form)
        self.grey_N[row] = scan.grey
        self.transparent_N[row] = scan.transparent
        self.exif_rotated_N[row] = scan.exif_rotated
        self.flat_N[row] = scan.flat
        self.digests_N[row] = scan.digest
        self.coarse_N[row] = np.frombuffer(scan.coarse, np.uint64)[0]
        self.fine_N4[row] = np.frombuffer(scan.fine, np.uint64)

    @property
    def usable_N(self) -> NDArray[np.bool_]:
        """Files that can be used."""
        return self.sizes_N2[:, 0] > 0


def scan_files(
    collection: Collection,
    *,
    threads: int,
    max_pixels: float = 200e6,
    allow_outside: bool = False,
    progress: OnProgress | None = None,
) -> Files:
    """FileScan at every image file once.

    Args:
        collection: The data set.
        threads: That read and decode.
        max_pixels: Larger images are a problem.
        allow_outside: Accept paths that lead out of the folder.
        progress: Told how many of how many images are done.
    """
    folders = {
        id(split): ImageFolder(split.folder, allow_outside=allow_outside)
        for split in collection.splits.values()
    }

    def scan(location: tuple[Annotation, str]) -> FileScan:
        split, path = location
        problem = folders[id(split)].problem(path)
        return FileScan(problem) if problem else scan_file(split.folder / path, max_pixels)

    files = Files.empty(len(collection))
    for row, found in enumerate(in_threads(scan, collection.files(), threads)):
        files.put(row, found)
        if progress:
            progress(row + 1, len(collection))
    return files


def in_threads(work: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Results in the order of the items, a bounded number of them ahead of the one who asks."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="scan")
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= _AHEAD + threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
