"""Reading image files safely.

Pixels are RGB uint8, height×width×3. Orientation in EXIF is applied, grey becomes three equal
channels, transparency is dropped: what a stock OpenCV client sees, so that numbers measured here
are the numbers that it gets.
"""

import io
import os
import re
import stat
import threading
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mlc_cli.errors import BadImageError

Pixels = NDArray[np.uint8]
SizeHW = tuple[int, int]

_JPEG_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")  # not stuffing, not restarts
_START_OF_SCAN, _END_OF_JPEG = 0xDA, 0xD9
_PILLOW_LIMIT = threading.Lock()  # Pillow keeps its limit in a variable of its module


def read_image(path: Path, max_pixels: float = 200e6) -> Pixels:
    """Decode an image file.

    Args:
        path: A regular file in any format that OpenCV decodes.
        max_pixels: Larger images are refused by their header, before they are decoded.

    Returns:
        RGB pixels, height×width×3.

    Raises:
        BadImageError: The file is missing, not regular, too large, truncated or no image.
    """
    content = _read_regular_file(path)
    _check_header(path, content, max_pixels)
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise BadImageError(str(path), "cannot be decoded")
    return pixels  # type: ignore[return-value]


def resize(pixels: Pixels, size: SizeHW) -> Pixels:
    """Squash to height and width with bilinear interpolation, as exported clients do."""
    if pixels.shape[:2] == size:
        return pixels
    return cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


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
        raise BadImageError(str(path), error.strerror or "cannot be read") from None


def _check_header(path: Path, content: bytes, max_pixels: float) -> None:
    if not content:
        raise BadImageError(str(path), "is empty")
    try:
        width, height = _size_in_header(content)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        raise BadImageError(str(path), "is not an image") from None
    if width * height > max_pixels:
        raise BadImageError(
            str(path), f"{width}x{height} has more than {max_pixels / 1e6:g} megapixels"
        )
    if _is_truncated(content):
        raise BadImageError(str(path), "is truncated")


def _size_in_header(content: bytes) -> tuple[int, int]:
    """Width and height; Pillow's own limit, lower than ours, does not count here."""
    with _PILLOW_LIMIT:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            return Image.open(io.BytesIO(content)).size
        finally:
            Image.MAX_IMAGE_PIXELS = limit


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


class ImageFolder:
    """Finds image files below a folder and refuses what leads out of it.

    Args:
        root: The folder.
        allow_outside: Accept absolute paths, `..` and links that lead out.
    """

    def __init__(self, root: Path, *, allow_outside: bool = False) -> None:
        self._root = root
        self._real_root = root.resolve()
        self._allow_outside = allow_outside
        self._real_parents: dict[Path, bool] = {}

    def problem(self, relative: str) -> str | None:
        """Why an image cannot be used, judged without opening it; `None` if it can."""
        path = self._root / relative
        try:
            mode = path.lstat().st_mode
        except (OSError, ValueError):
            return "is missing"
        if not self._allow_outside and not self._stays_inside(path, relative, mode):
            return "leads out of the image folder"
        if stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and path.is_file()):
            return None
        return "is not a regular file"

    def _stays_inside(self, path: Path, relative: str, mode: int) -> bool:
        if Path(relative).is_absolute() or ".." in Path(relative).parts:
            return False
        if stat.S_ISLNK(mode):
            return path.resolve().is_relative_to(self._real_root)
        parent = path.parent
        if parent not in self._real_parents:
            self._real_parents[parent] = parent.resolve().is_relative_to(self._real_root)
        return self._real_parents[parent]
