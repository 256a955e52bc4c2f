"""Random changes of one training image, drawn from a generator of its own.

Images are RGB uint8, height×width×3.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from mlc_cli.core.images.geometry import resize
from mlc_cli.core.images.scaled import Pixels, SizeHW

Rng = np.random.Generator
Transform = Callable[[Pixels, Rng], Pixels]


@dataclass(frozen=True)
class Compose:
    """Transforms one after the other; the first expects images of height and width `load_size`."""

    transforms: Sequence[Transform]
    load_size: SizeHW

    def __call__(self, image: Pixels, rng: Rng) -> Pixels:
        """Apply all with draws from `rng`."""
        for transform in self.transforms:
            image = transform(image, rng)
        return image


def crop_load_size(size: SizeHW, scale_min: float, *, whole: bool) -> SizeHW:
    """Size at which images are loaded so that the smallest crop is not magnified.

    A `whole` multiple of the size makes means of areas of means, so that an image that is shrunk in
    two steps is as sharp as one that is shrunk in one.
    """
    factor = 1 / math.sqrt(scale_min)
    factor = math.ceil(factor) if whole else factor
    return (math.ceil(size[0] * factor), math.ceil(size[1] * factor))


@dataclass(frozen=True)
class RandomResizedCrop:
    """A random part of the image, at least `scale_min` of the area, resized.

    It is stretched by `ratio_max` at most, in width or in height; in a part 1 - `p` of the images
    the whole is used. Of the ways of OpenCV to interpolate one is drawn; none stands for `resize`,
    which is right behind means of areas: behind points of the image it blurs by a fifth, and cubic
    does not.
    """

    size: SizeHW
    scale_min: float
    ratio_max: float
    p: float
    ways: tuple[int, ...] = ()

    def __call__(self, image: Pixels, rng: Rng) -> Pixels:
        """Crop and resize."""
        if rng.random() >= self.p:
            return self._resize(image, rng)
        height, width = image.shape[:2]
        area = rng.uniform(self.scale_min, 1)
        stretch = math.exp(rng.uniform(-1, 1) * math.log(self.ratio_max))
        crop_h = min(height, round(height * math.sqrt(area / stretch)))
        crop_w = min(width, round(width * math.sqrt(area * stretch)))
        top = int(rng.integers(height - crop_h + 1))
        left = int(rng.integers(width - crop_w + 1))
        return self._resize(image[top : top + crop_h, left : left + crop_w], rng)

    def _resize(self, image: Pixels, rng: Rng) -> Pixels:
        if not self.ways:
            return resize(image, self.size)
        way = self.ways[rng.integers(len(self.ways)) if len(self.ways) > 1 else 0]
        return cv2.resize(image, self.size[::-1], interpolation=way)  # type: ignore[return-value]


@dataclass(frozen=True)
class Sometimes:
    """A change that an image gets with probability `p`; the image given stays as it was."""

    p: float
    change: Transform

    def __call__(self, image: Pixels, rng: Rng) -> Pixels:
        """Change it or not."""
        return self.change(image, rng) if rng.random() < self.p else image


@dataclass(frozen=True)
class Torchvision:
    """A transform of torchvision, of uint8 tensors 3×height×width.

    It is drawn from the image's own generator; torch's global one is left as it was.
    """

    transform: Callable[[Tensor], Tensor]

    def __call__(self, image: Pixels, rng: Rng) -> Pixels:
        """Apply it."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            changed = self.transform(torch.tensor(image).permute(2, 0, 1))
        return np.ascontiguousarray(changed.permute(1, 2, 0).numpy())


def cutout(
    image: Pixels, rng: Rng, *, factor: float, fill: tuple[int, int, int] | None = None
) -> Pixels:
    """Paint one rectangle around a uniform centre, clipped to the image.

    As in the published code, its height is a part of the image's width and the reverse, which is
    the same on squares; sides are odd. Without a fill, the colour is random.
    """
    height, width = image.shape[:2]
    half_h = int(factor * width + 0.5) // 2
    half_w = int(factor * height + 0.5) // 2
    y, x = int(rng.integers(height)), int(rng.integers(width))
    colour = rng.integers(0, 256, 3) if fill is None else fill
    image = image.copy()
    image[max(0, y - half_h) : y + half_h + 1, max(0, x - half_w) : x + half_w + 1] = colour
    return image


def flip(image: Pixels, _: Rng, *, axis: int = 1) -> Pixels:
    """Mirror left to right, or, for `axis` 0, top to bottom."""
    return cv2.flip(image, axis)  # type: ignore[return-value]


def quarter_turns(image: Pixels, rng: Rng) -> Pixels:
    """Turn by one, two or three quarters; what is not square, by two."""
    turns = int(rng.integers(1, 4)) if image.shape[0] == image.shape[1] else 2
    return np.ascontiguousarray(np.rot90(image, turns))


def compress(image: Pixels, rng: Rng, *, worst: int) -> Pixels:
    """Compress as JPEG of a random quality from `worst` to 100."""
    quality = int(rng.integers(worst, 101))
    _, content = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(content, cv2.IMREAD_COLOR_RGB)  # type: ignore[return-value]
