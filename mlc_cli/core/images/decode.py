"""Reading image files safely.

Pixels are RGB uint8, height×width×3. Orientation in EXIF is applied, grey becomes three equal
channels, transparency is dropped: what a stock OpenCV client sees, so that numbers measured here
are the numbers that it gets.
"""

import io
import logging
import mmap
import os
import re
import stat
import threading
import warnings
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from mlc_cli.core.images.scaled import RGB_FLAGS, Part, Pixels, SizeHW, orientation
from mlc_cli.core.system.machine import EXHAUSTED
from mlc_cli.errors import BadImageError

_JPEG_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")  # not stuffing, not restarts
_START_OF_SCAN, _END_OF_JPEG = 0xDA, 0xD9
_HEIC = (b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1")
_LOG = logging.getLogger(__name__)
_SAID = mmap.mmap(-1, 1)  # shared by processes that are forked: the first that reads one says so
_PILLOW_LIMIT = threading.Lock()  # Pillow keeps its limit in a variable of its module


class Header(NamedTuple):
    """What an image file says of itself before its pixels.

    Width and height are in pixels as stored, before it is turned; format and mode (the kind of
    pixels) have Pillow's names; `exif` is the block as it stands in the file, empty without;
    `several` says that there are more pages or frames than the first, which is taken.
    """

    width: int
    height: int
    form: str
    mode: str
    transparent: bool
    exif: bytes
    several: bool

    @property
    def shown(self) -> SizeHW:
        """Height and width as shown, turned by the EXIF orientation."""
        turned = orientation(self.exif) >= 5
        return (self.width, self.height) if turned else (self.height, self.width)

    def part(self, enough: Part) -> int:
        """Part of its size at which to decode it, where its format allows."""
        return enough(self.shown) if self.form in ("JPEG", "MPO") else 1


def read_image(path: Path, max_pixels: float = 200e6, part: Part = lambda _: 1) -> Pixels:
    """Decode an image file.

    Args:
        path: A regular file in any format that OpenCV decodes.
        max_pixels: Larger images are refused by their header, before they are decoded.
        part: Of its size that is enough; asked for JPEG alone.

    Returns:
        RGB pixels, height×width×3.

    Raises:
        BadImageError: The file is missing, not regular, too large, truncated or no image.
    """
    content, header = read_file(path, max_pixels)
    if header.several and not _SAID[0]:
        _SAID[0] = 1
        _LOG.warning("%s: of several pages or frames the first is taken, here and elsewhere", path)
    return decode(content, RGB_FLAGS[header.part(part)], path)


def decode(content: bytes, flags: int, path: Path) -> Pixels:
    """Decode the content of an image file.

    Args:
        content: The whole file.
        flags: Of `cv2.imdecode`.
        path: The file, for the message.

    Raises:
        BadImageError: It cannot be decoded, whatever the decoder raises.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except Exception:  # decoders raise what they like: it is the fault of this file alone
        pixels = None
    if pixels is None:
        raise BadImageError(str(path), "cannot be decoded")
    return pixels  # type: ignore[return-value]


def read_file(path: Path, max_pixels: float = 200e6) -> tuple[bytes, Header]:
    """Content of an image file, complete by its marks but not decoded.

    Raises:
        BadImageError: The file is missing, not regular, too large, truncated or no image.
    """
    content = _read_regular_file(path)
    if not content:
        raise BadImageError(str(path), "is empty")
    try:
        header = _header(content)
    except Exception:  # readers of headers raise what they like, too
        raise BadImageError(str(path), _why_unknown(content)) from None
    width, height = header.width, header.height
    if width * height > max_pixels:
        raise BadImageError(
            str(path), f"{width}x{height} has more than {max_pixels / 1e6:g} megapixels"
        )
    if _is_truncated(content):
        raise BadImageError(str(path), "is truncated")
    return content, header


def _why_unknown(content: bytes) -> str:
    """Phones write HEIC, for which neither Pillow nor OpenCV has a decoder."""
    if content[4:8] == b"ftyp" and content[8:12] in _HEIC:
        return "is HEIC, which cannot be decoded: convert it to JPEG"
    return "is not an image"


def _read_regular_file(path: Path) -> bytes:
    """Content of a file; pipes and devices are refused without opening them for long."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise BadImageError(str(path), "is not a regular file")
            with os.fdopen(handle, "rb", closefd=False) as stream:
                return stream.read()
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in EXHAUSTED:  # of the machine, whatever the file
            raise
        raise BadImageError(str(path), error.strerror or "cannot be read") from None


def _header(content: bytes) -> Header:
    """Header of an image; Pillow's own limit of pixels, lower than ours, does not count here.

    Nor do its warnings of damaged EXIF blocks: the image is good without.
    """
    with _PILLOW_LIMIT, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            image = Image.open(io.BytesIO(content))
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    return Header(
        *image.size,
        form=image.format or "",
        mode=image.mode,
        transparent=image.has_transparency_data,
        exif=image.info.get("exif", b""),
        several=getattr(image, "is_animated", False) and image.format != "MPO",
    )


def _is_truncated(content: bytes) -> bool:
    """Whether the end of the format is missing; OpenCV would fill the rest with grey."""
    if content.startswith(b"\xff\xd8"):
        return not _jpeg_ends(content)
    if content.startswith(b"\x89PNG"):
        return b"IEND" not in content
    if content.startswith(b"RIFF"):
        return len(content) < int.from_bytes(content[4:8], "little") + 8
    return False


def _jpeg_ends(content: bytes) -> bool:
    """Whether the end marker comes, be there more behind it (a video, as phones append it).

    Segments are stepped over: a thumbnail inside one has an end marker of its own.
    """
    position = 2
    while marker := _JPEG_MARKER.search(content, position):
        kind, position = marker[1][0], marker.end()
        if kind == _END_OF_JPEG:
            return True
        if kind != _START_OF_SCAN:
            position += int.from_bytes(content[position : position + 2], "big")
    return False
