"""Decoding a JPEG at a part of its size, which its cosine transform allows for a part of the time.

Sizes are height and width in pixels, as the image is shown.
"""

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
SizeHW = tuple[int, int]
Part = Callable[[SizeHW], int]
"""From the size of an image to the part of it that is enough: 1, 2, 4 or 8 for 1/8."""

GREY_FLAGS = {
    1: cv2.IMREAD_GRAYSCALE,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
RGB_FLAGS = {part: flag | cv2.IMREAD_COLOR_RGB for part, flag in GREY_FLAGS.items()}
"""Flags of grey say the reduction and nothing else, so that they go with colour, too."""

_ORIENTATION, _TEXT = 0x0112, 2
_ENTRY = 12  # bytes of each in a table of EXIF


def part_of(size: SizeHW, least: tuple[float, float]) -> int:
    """The largest of 8, 4, 2 and 1 by which a size may be divided and still be `least`."""
    parts = (8, 4, 2)
    return next((n for n in parts if size[0] >= n * least[0] and size[1] >= n * least[1]), 1)


def orientation(exif: bytes) -> int:
    """Of a block of EXIF, 1 to 8; 1 where there is none or it is damaged."""
    value = exif_value(exif, _ORIENTATION)
    return value if isinstance(value, int) and value in range(1, 9) else 1


def exif_value(exif: bytes, tag: int) -> int | str | None:
    """Number or text of a tag of the first table; `None` where there is none or it is damaged.

    It is read from the table itself: Pillow warns of damage that nobody here can mend.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    if exif[:2] not in (b"II", b"MM"):
        return None
    order: Literal["little", "big"] = "little" if exif[:2] == b"II" else "big"

    def number(place: int, size: int) -> int:
        return int.from_bytes(exif[place : place + size], order)

    table = number(4, 4)
    for entry in range(min(number(table, 2), len(exif) // _ENTRY)):
        place = table + 2 + _ENTRY * entry
        if number(place, 2) == tag:
            if number(place + 2, 2) != _TEXT:
                return number(place + 8, 2)
            length = number(place + 4, 4)
            start = number(place + 8, 4) if length > 4 else place + 8
            return exif[start : start + length].partition(b"\0")[0].decode("utf-8", "replace")
    return None
