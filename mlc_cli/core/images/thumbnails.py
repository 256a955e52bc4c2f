"""Small copies of images as data URIs, for pages that carry their pictures."""

import base64
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Picture:
    """An image for the page.

    Attributes:
        uri: The image as a data URI; empty if it cannot be read.
        reason: Why it cannot be read.
    """

    uri: str = ""
    reason: str = ""


def thumbnail(pixels: NDArray[np.uint8], side: int = 160, quality: int = 80) -> str:
    """An image as a data URI, its longest side at most `side` pixels.

    Args:
        pixels: RGB uint8, height×width×3.
        side: Longest side in pixels.
        quality: Of JPEG, 0 to 100.
    """
    factor = side / max(pixels.shape[:2])
    if factor < 1:
        size = (max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
