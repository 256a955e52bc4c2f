"""Random changes of one training image, drawn from a generator of its own.

The order is crop, RandAugment, Cutout, flip. Images are RGB uint8, height×width×3.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mlc_cli.core.images.decode import Pixels
from mlc_cli.core.images.geometry import resize
from mlc_cli.core.images.scaled import SizeHW

Rng = np.random.Generator
Transform = Callable[[Pixels, Rng], Pixels]


@dataclass(frozen=True)
class Compose:
    """Transforms one after the other.

    Attributes:
        transforms: In their order.
        load_size: Height and width at which the first expects images.
    """

    transforms: Sequence[Transform]
    load_size: SizeHW

    def __call__(self, image: Pixels, rng: Rng) -> Pixels:
        """Apply all transforms with draws from `rng`."""
        for transform in self.transforms:
            image = transform(image, rng)
        return image


def crop_load_size(size: SizeHW, scale_min: float) -> SizeHW:
    """Size at which images are loaded so that the smallest crop is not magnified."""
    factor = 1 / math.sqrt(scale_min)
    return (math.ceil(size[0] * factor), math.ceil(size[1] * factor))


@dataclass(frozen=True)
class RandomResizedCrop:
    """A random part of the image, resized.

    Attributes:
        size: Height and width of the result.
        scale_min: Smallest part of the area.
        ratio_max: Largest stretch of width against height, and the reverse.
        p: Probability of a crop; otherwise the image is used whole.
    """

    size: SizeHW
    scale_min: float
    ratio_max: float
    p: float

    def __call__(self, image: Pixels, rng: Rng) -> Pixels:
        """Crop and resize."""
        if rng.random() >= self.p:
            return resize(image, self.size)
        height, width = image.shape[:2]
        area = rng.uniform(self.scale_min, 1)
        stretch = math.exp(rng.uniform(-1, 1) * math.log(self.ratio_max))
        crop_h = min(height, round(height * math.sqrt(area / stretch)))
        crop_w = min(width, round(width * math.sqrt(area * stretch)))
        top = int(rng.integers(height - crop_h + 1))
        left = int(rng.integers(width - crop_w + 1))
        return resize(image[top : top + crop_h, left : left + crop_w], self.size)


@dataclass(frozen=True)
class Cutout:
    """Paints one rectangle around a uniform centre, clipped to the image.

    As in the published code, its height is a part of the image's width and the reverse, which is
    the same on squares; sides are odd.

    Attributes:
        factor: Side of the rectangle as a part of the side of the image.
        p: Probability.
        fill: RGB colour, or `None` for a random one.
    """

    factor: float
    p: float
    fill: tuple[int, int, int] | None

    def __call__(self, image: Pixels, rng: Rng) -> Pixels:
        """Paint over a copy."""
        if rng.random() >= self.p:
            return image
        height, width = image.shape[:2]
        half_h = int(self.factor * width + 0.5) // 2
        half_w = int(self.factor * height + 0.5) // 2
        y, x = int(rng.integers(height)), int(rng.integers(width))
        colour = rng.integers(0, 256, 3) if self.fill is None else self.fill
        image = image.copy()
        image[max(0, y - half_h) : y + half_h + 1, max(0, x - half_w) : x + half_w + 1] = colour
        return image


@dataclass(frozen=True)
class Flip:
    """Mirrors left to right with probability `p`."""

    p: float

    def __call__(self, image: Pixels, rng: Rng) -> Pixels:
        """Flip or not."""
        return cv2.flip(image, 1) if rng.random() < self.p else image  # type: ignore[return-value]
