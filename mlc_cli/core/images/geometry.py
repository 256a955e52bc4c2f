"""How an image of any size becomes the input of a model.

It belongs to the model like its weights: training, evaluation, prediction and the clients of
exported files have to do the same. Sizes are height and width in pixels.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.images.scaled import Pixels, SizeHW, part_of

Resize = Literal["squash", "letterbox", "crop"]
Interpolation = Literal["linear", "area"]
Decode = Literal["full", "scaled"]

_SPARSE = 16
"""An image of so many times the pixels of the result is read at the points that count alone."""


@dataclass(frozen=True)
class Geometry:
    """How images are read, shaped and resized.

    Attributes:
        resize: `squash` to the size; `letterbox`: fit inside, black at both ends; `crop`: the
            square in the middle.
        interpolation: `linear` between the nearest four pixels, or the mean of the `area`.
        tiles: So many tiles a side of an image are given too, each as an image of its own.
        decode: `full`, or `scaled`: a JPEG at the smallest part of its size that is at least twice
            what is needed.
        bits: That images of 16 bits a channel use, 8 to 16; what is brighter is white.
    """

    size: SizeHW
    resize: Resize = "squash"
    interpolation: Interpolation = "linear"
    decode: Decode = "full"
    tiles: int = 0
    bits: int = 16

    @property
    def kept(self) -> dict[str, Any]:
        """What a model's card says of it, beside the size: settings of data, too."""
        return {key: getattr(self, key) for key in ("resize", "interpolation", "decode", "bits")}

    def tiled(self, tiles: int) -> "Geometry":
        """The same with tiles, if more than one a side."""
        return replace(self, tiles=tiles if tiles > 1 else 0)

    def at(self, size: SizeHW) -> "Geometry":
        """The same at another size."""
        return replace(self, size=size)

    @property
    def stock(self) -> bool:
        """Whether the stock client of OpenVINO Model API does the same."""
        return self.interpolation == "linear" and self.decode == "full"

    def __str__(self) -> str:
        height, width = self.size
        scaled = ", JPEG decoded at a part of its size" if self.decode == "scaled" else ""
        bits = f", {self.bits} of 16 bits" if self.bits < 16 else ""
        how = f"{self.resize}, {self.interpolation}{scaled}{bits}"
        return f"{height}×{width} pixels (height×width), {how}"

    def part(self, size: SizeHW, least_side: int = 0) -> int:
        """Part of its size at which a JPEG of `size` is decoded, as far as `fit` needs it.

        For another use the longer side keeps `least_side` pixels, if it has as many.
        """
        if self.decode == "full":
            return 1
        shown = least_side / max(size)
        closer = (self.tiles + 1) / 2 if self.tiles else 1
        height, width = (closer * side for side in self._needed(size))
        return part_of(size, (max(2 * height, shown * size[0]), max(2 * width, shown * size[1])))

    def fit(self, pixels: Pixels) -> Pixels:
        """Bring pixels, height×width×3, to the size.

        Returns:
            Pixels of the size; with tiles many of them, the whole image first.
        """
        if not self.tiles:
            return self._fit(pixels)
        # half of a tile is where the next one begins: n of them are n + 1 halves long
        edges = [
            np.linspace(0, side, self.tiles + 2).round().astype(int) for side in pixels.shape[:2]
        ]
        rows, columns = ([*zip(ends, ends[2:], strict=False)] for ends in edges)
        tiles = [pixels[top:low, left:right] for top, low in rows for left, right in columns]
        views = (part if part.size else pixels for part in (pixels, *tiles))
        return np.stack([self._fit(view) for view in views])

    def _fit(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        if self.resize == "crop":
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            return self._scale(pixels[top : top + side, left : left + side], self.size)
        inner = self._needed((height, width))
        scaled = self._scale(pixels, inner)
        if inner == self.size:
            return scaled
        fitted = np.zeros((*self.size, 3), np.uint8)
        top, left = ((whole - part) // 2 for whole, part in zip(self.size, inner, strict=True))
        fitted[top : top + inner[0], left : left + inner[1]] = scaled
        return fitted

    def _needed(self, size: SizeHW) -> SizeHW:
        """Size that an image as a whole is brought to; rounded as the client does."""
        if self.resize == "squash":
            return self.size
        ratios = [
            np.float32(new) / np.float32(old) for new, old in zip(self.size, size, strict=True)
        ]
        ratio = min(ratios) if self.resize == "letterbox" else max(ratios)
        height, width = (max(1, round(float(np.float32(old) * ratio))) for old in size)
        return height, width

    def _scale(self, pixels: Any, size: SizeHW) -> Pixels:
        # areas only where it shrinks: magnified, the mean of an area is one pixel, in steps
        least = (min(pixels.shape[0], size[0]), min(pixels.shape[1], size[1]))
        if self.interpolation == "area" and least != pixels.shape[:2]:
            if least != size:  # one side grows: rounded once, at the end
                pixels = pixels.astype(np.float32)
            pixels = cv2.resize(pixels, least[::-1], interpolation=cv2.INTER_AREA)
        return resize(pixels, size)


def resize(pixels: NDArray[Any], size: SizeHW) -> Pixels:
    """Squash to height and width with bilinear interpolation, rounded to the nearest integer.

    The interpolation is done in floating point, as OpenVINO and its clients do: OpenCV's own for
    bytes is one off in every ninth value, which is enough to change decisions. Of a large image
    only the pixels that it reads become floats.
    """
    if pixels.shape[:2] == size:
        return pixels
    if (
        _SPARSE * size[0] * size[1] <= pixels.shape[0] * pixels.shape[1]
        and max(pixels.shape) < 2**15
    ):
        return _resize_sparse(pixels, size)
    floats = pixels.astype(np.float32, copy=False)
    return _rounded(cv2.resize(floats, size[::-1], interpolation=cv2.INTER_LINEAR))


def _resize_sparse(pixels: Pixels, size: SizeHW) -> Pixels:
    (rows_2H, down_H), (columns_2W, across_W) = map(_neighbours, pixels.shape[:2], size)
    places = np.empty((2, 2, *size, 2), np.int16)
    places[..., 0], places[..., 1] = columns_2W[:, None], rows_2H[:, None, :, None]
    places_4HW = places.reshape(-1, size[1], 2)
    corners_4HW = cv2.remap(pixels, places_4HW, None, cv2.INTER_NEAREST)  # type: ignore[call-overload]
    corners_22HW = corners_4HW.astype(np.float32).reshape(2, 2, *size, 3)
    lines_2HW = _between(corners_22HW[:, 0], corners_22HW[:, 1], across_W[:, None])
    return _rounded(_between(lines_2HW[0], lines_2HW[1], down_H[:, None, None]))


def _rounded(floats: NDArray[Any]) -> Pixels:
    """The nearest bytes, of halves the even one."""
    return cv2.convertScaleAbs(floats)  # type: ignore[return-value]


def _neighbours(old: int, new: int) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Both neighbours of each new pixel, and how far it is from the first of them."""
    places = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    first = places.astype(np.int16)
    second = np.minimum(first + 1, old - 1, dtype=np.int16)
    return np.stack([first, second]), (places - first).astype(np.float32)


def _between(first: NDArray[Any], second: NDArray[Any], part: NDArray[Any]) -> NDArray[Any]:
    """The second is written over."""
    second -= first
    second *= part
    second += first
    return second
