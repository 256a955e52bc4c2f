"""Small copies of images as data URIs, for pages that carry their pictures."""

import base64
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.images.decode import read_image
from mlc_cli.core.images.scaled import part_of
from mlc_cli.core.system.threads import in_threads
from mlc_cli.errors import BadImageError

SIDE, QUALITY = 160, 75
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Picture:
    """An image for the page as a data URI, or the reason why it cannot be read."""

    uri: str = ""
    reason: str = ""


def read_thumbnails(
    paths: Mapping[Key, Path], max_pixels: float, threads: int
) -> dict[Key, Picture]:
    """Thumbnails of image files; those that cannot be read say why."""

    def read(path: Path) -> Picture:
        try:
            pixels = read_image(path, max_pixels, lambda size: part_of(size, (SIDE, SIDE)))
        except BadImageError as error:
            return Picture(reason=error.reason)
        return Picture(thumbnail(pixels))

    return dict(zip(paths, in_threads(read, paths.values(), threads), strict=True))


def thumbnail(pixels: NDArray[np.uint8], side: int = SIDE, quality: int = QUALITY) -> str:
    """The same as `small_jpeg`, as a data URI."""
    content = small_jpeg(pixels, side, quality)
    return "data:image/jpeg;base64," + base64.b64encode(content).decode()


def small_jpeg(pixels: NDArray[np.uint8], side: int, quality: int) -> bytes:
    """JPEG of RGB pixels, height×width×3, shrunk to a longest side of at most `side`.

    The quality goes from 0 to 100.
    """
    factor = side / max(pixels.shape[:2])
    if factor < 1:
        height, width = (max(1, round(length * factor)) for length in pixels.shape[:2])
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
