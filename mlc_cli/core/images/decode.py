"""Reading image files safely.

Pixels are RGB uint8, height×width×3. Orientation in EXIF is applied, grey becomes three equal
channels, transparency is dropped: what a stock OpenCV client sees, so that numbers measured here
are the numbers that it gets.
"""

import logging
import mmap
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np

from mlc_cli.core.images.damage import with_damage
from mlc_cli.core.images.header import FLOATS, Header, open_image, read_header
from mlc_cli.core.images.room import FILES, PIXELS
from mlc_cli.core.images.scaled import GREY_FLAGS, RGB_FLAGS, Part, Pixels
from mlc_cli.core.system import places
from mlc_cli.core.system.addresses import shown
from mlc_cli.core.system.machine import EXHAUSTED
from mlc_cli.errors import BadImageError

DEEP = ("PNG", "TIFF")
"""Formats that may have 16 bits a channel."""
OnDamaged = Literal["warn", "error", "skip"]

_LOG = logging.getLogger(__name__)
_SAID = mmap.mmap(-1, 1)  # shared by processes that are forked: the first that reads one says so
_MOST_BYTES_A_PIXEL, _METADATA = 8, 64e6
"""A file is at most as large as four channels of 16 bits, and what is said beside them."""


class Look(NamedTuple):
    """An image file, looked at once; `damage` is what the decoder noticed and went on."""

    content: bytes
    header: Header
    pixels: Pixels
    damage: str


def read_image(path: Path, max_pixels: float = 200e6, part: Part = lambda _: 1) -> Pixels:
    """The RGB pixels of an image file, as `look` finds them."""
    return look(path, max_pixels, part).pixels


def look(
    path: Path,
    max_pixels: float = 200e6,
    part: Part = lambda _: 1,
    flags: Mapping[int, int] = RGB_FLAGS,
    content: places.Content | None = None,
    bits: int = 16,
) -> Look:
    """Read a regular file in any format that OpenCV decodes, or HEIC, and decode it.

    What `places.gather` has read already comes as `content`.

    Images of more pixels are refused by their header, before they are decoded, and larger files
    than such an image has by their size. JPEGs are decoded at the part of their size that is
    enough, with the flags of `cv2.imdecode` for it. Images of 16 bits a channel use so many `bits`.

    Raises:
        BadImageError: The file is missing, not regular, too large, truncated or no image.
    """
    try:
        with _content(path, max_pixels, content) as data:
            header = _header(data, max_pixels)
            taken = header.part(part)
            with PIXELS.take(header.memory(taken)):
                pixels, damage = with_damage(lambda: _decode(data, header, flags[taken], bits))
    except ValueError as error:
        raise BadImageError(shown(path), str(error)) from None
    except MemoryError as error:
        reason = f"{error or 'needs more memory than there is'}: read fewer at a time, or shrink it"
        raise BadImageError(shown(path), reason) from None
    except OSError as error:
        if error.errno in EXHAUSTED:  # of the machine, whatever the file
            raise
        raise BadImageError(shown(path), error.strerror or "cannot be read") from None
    if header.several and not _SAID[0]:
        _SAID[0] = 1
        said = "%s: of several pages or frames the first is taken, here and elsewhere"
        _LOG.warning(said, shown(path))
    return Look(data, header, pixels, damage)


@contextmanager
def _content(path: Path, max_pixels: float, gathered: places.Content | None) -> Iterator[bytes]:
    """The bytes of an image, for which there is room while they are used."""
    if places.is_file(path):
        stream, size = _opened(path)
        with stream:
            _check_size(size, max_pixels)
            with FILES.take(size):
                yield stream.read(size)
        return
    content = places.read(path) if gathered is None else gathered
    if isinstance(content, OSError):
        raise content
    _check_size(len(content), max_pixels)
    yield content


def _opened(path: Path) -> tuple[RawIOBase, int]:
    """A regular file and its size; pipes and devices are refused without waiting for them.

    Each call of the system gives Python's lock away, for which other threads wait: there are few.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise ValueError("is not a regular file")
    return os.fdopen(handle, "rb", buffering=0), status.st_size


def _check_size(size: int, max_pixels: float) -> None:
    if size > _MOST_BYTES_A_PIXEL * max_pixels + _METADATA:
        raise ValueError(
            f"has {size / 1e9:.1f} GB, more than a picture of {max_pixels / 1e6:g} megapixels"
            " (max_megapixels) can have"
        )


def _header(content: bytes, max_pixels: float) -> Header:
    if not content:
        raise ValueError("is empty")
    header = read_header(content)
    if header.width * header.height > max_pixels:
        raise ValueError(
            f"{header.width}x{header.height} has more than {max_pixels / 1e6:g} megapixels"
        )
    return header


def _decode(content: bytes, header: Header, flags: int, bits: int) -> Pixels:
    try:
        pixels = _decoded(np.frombuffer(content, np.uint8), header.form, flags, bits)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise what they like: it is the fault of this file alone
        if getattr(error, "code", 0) == cv2.Error.STS_NO_MEM:
            raise MemoryError from None
        pixels = None
    if pixels is None:
        closed = header.form == "EXR" and not os.environ.get("OPENCV_IO_ENABLE_OPENEXR")
        how = ": OpenCV reads OpenEXR where OPENCV_IO_ENABLE_OPENEXR=1 says that it may"
        raise ValueError("cannot be decoded" + how * closed)
    return pixels  # type: ignore[no-any-return]


def _decoded(content: Pixels, form: str, flags: int, bits: int) -> Any:
    if bits < 16 and form in DEEP:
        grey = flags in GREY_FLAGS.values()
        kind = (
            cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR_BGR
        )  # as RGB, TIFF comes out black
        pixels = cv2.imdecode(content, kind | cv2.IMREAD_ANYDEPTH)
        if pixels is not None and pixels.dtype == np.uint16:
            pixels = cv2.convertScaleAbs(pixels, alpha=255 / (2**bits - 1))
            return pixels if grey else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    if form != "HEIF" and form not in FLOATS:
        return cv2.imdecode(content, flags)
    if form == "HEIF":
        pixels = np.array(open_image(content.tobytes()).convert("RGB"))
    else:
        pixels = _shown(cv2.imdecode(content, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH))
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if flags in GREY_FLAGS.values() else pixels


def _shown(light: Any) -> Pixels:
    """Linear light as a screen shows it: 1 is white, what is brighter too (IEC 61966-2-1)."""
    light = np.nan_to_num(light, posinf=1).clip(0, 1)
    curved = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray((255 * curved).round(), np.uint8)
