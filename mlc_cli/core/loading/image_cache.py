"""Resized images that are read once: shared by all processes, and kept for the next training."""

import hashlib
import logging
import mmap
import os
import weakref
import zlib
from contextlib import suppress
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from mlc_cli.core.datasets.annotations import Annotation
from mlc_cli.core.images.geometry import Geometry
from mlc_cli.core.images.scaled import Pixels, SizeHW
from mlc_cli.core.system.cores import free_memory
from mlc_cli.core.system.downloads.cache import Cache
from mlc_cli.core.system.processes import dist_info

_LOG = logging.getLogger(__name__)
KIND = "images-"
_MARK = 4  # bytes of the checksum of an image


class ImageCache:
    """Resized images, in memory or in a file that is mapped into it.

    Each has a checksum, written behind it: what was cut short by a crash is not there.

    Raises:
        OSError: The file cannot be made, or the disk has no room for it.
    """

    def __init__(
        self, images: int, size: SizeHW, path: Path | None = None, memory: Any = None
    ) -> None:
        self._how = (images, size, path)
        total = self.bytes_needed(images, size)
        if path:
            file = path.open("a+b")
        else:
            file = os.fdopen(memory.detach() if memory else os.memfd_create(KIND), "r+b")
        weakref.finalize(self, file.close)
        self._handle = file.fileno()
        if os.fstat(self._handle).st_size != total:
            # pages of memory cost nothing until they are written
            (_reserve if path else os.truncate)(self._handle, total)
        block = mmap.mmap(self._handle, total)
        whole = np.frombuffer(block, np.uint8)
        self._marks = whole[: _MARK * images].view(np.uint32)
        self._pixels = whole[_MARK * images :].reshape(images, *size, 3)
        self._checked = np.zeros(images, np.bool_)  # by this process

    def __reduce__(self) -> tuple[type["ImageCache"], tuple[object, ...]]:
        path = self._how[2]  # memory is handed on to a process that is just being started
        return (ImageCache, (*self._how, None if path else DupFd(self._handle)))

    @staticmethod
    def bytes_needed(images: int, size: SizeHW) -> int:
        """Memory for so many images, in bytes."""
        return images * (size[0] * size[1] * 3 + _MARK)

    def get(self, index: int) -> Pixels | None:
        """The image, if it is there; not to be written to."""
        mark, image = self._marks[index], self._pixels[index]
        if not mark or not (self._checked[index] or _checksum(image) == mark):
            return None
        self._checked[index] = True
        kept: Pixels = image
        return kept

    def put(self, index: int, image: Pixels) -> None:
        """Keep an image. Two workers may do so at once: they write the same bytes."""
        self._pixels[index] = image
        self._marks[index] = _checksum(image)


def _checksum(image: Pixels) -> int:
    """Never 0, which stands for nothing."""
    return zlib.adler32(np.ascontiguousarray(image).data) or 1


def _reserve(handle: int, total: int) -> None:
    """Room on the disk before it is written to: a mapping that finds none ends the process.

    What is there stays: another process may be using it already.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, total)
    else:
        os.truncate(handle, total)


def cache_name(annotation: Annotation, geometry: Geometry, max_pixels: float) -> str:
    """Name of the file for some images as they are now, brought to a geometry.

    Paths, sizes and times of the files count, labels and the place of the folder do not. Of shards
    the index counts, of images in stores their addresses.
    """
    made_by = (cv2.__version__, geometry, max_pixels)
    digest = hashlib.sha256(repr(made_by).encode())
    if annotation.pieces:
        digest.update(f"{annotation.folder} {annotation.pieces.version}".encode())
    elif annotation.remote:
        digest.update(str(annotation.folder).encode())
    for index, path in enumerate(annotation.paths):
        digest.update(path.encode(errors="surrogateescape"))
        if annotation.pieces or annotation.remote:
            continue
        with suppress(OSError):  # what cannot be read is not kept
            state = annotation.path(index).stat()
            digest.update(f"\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    height, width = geometry.size
    return f"{KIND}{digest.hexdigest()[:16]}-{len(annotation)}-of-{height}x{width}"


def find_cache(
    kind: Literal["none", "ram", "auto"],
    of: tuple[Annotation, Geometry, float],
    store: Cache | None,
) -> ImageCache | None:
    """Where read images are kept: a file if the store has room, else memory, else nowhere.

    `of` is what they are of, with the most pixels that an image may have.
    """
    images, size = len(of[0]), of[1].size
    if kind == "ram":
        return ImageCache(images, size)
    if kind == "none":
        return None
    needed = ImageCache.bytes_needed(images, size)
    if store and needed <= store.limit:
        path = store.folder / cache_name(*of)
        try:
            store.folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                store.trim(room=needed)
            kept = ImageCache(images, size, path)
            os.utime(path)
        except OSError:  # a disk that is full or read-only
            with suppress(OSError):
                path.unlink()
        else:
            return kept
    # each process of the machine sees all images in time, and keeps its own
    if needed * dist_info().local_size < free_memory() / 4:
        return ImageCache(images, size)
    if store:
        _LOG.warning(
            "%s: its images, resized, take %.1f GB, for which neither %s nor memory has room: they"
            " are read in each epoch (`--set download.cache_gb=N`, `--set download.cache=DIR`)",
            of[0].source, needed / 1e9, store.folder,
        )  # fmt: skip
    return None
