"""Two kinds of RandAugment: pairs of random magnitude, and torchvision's."""

from collections.abc import Callable
from functools import partial
from math import ceil

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torchvision.transforms.v2 import RandAugment

from mlc_cli.core.images.decode import Pixels

Rng = np.random.Generator
Operation = Callable[[Image.Image, int, Rng], Image.Image]

GREY = (128, 128, 128)
SPOT_COLOUR = (125, 122, 113)
SHEAR = np.linspace(0, 0.3, 10)
SHIFT = np.linspace(0, 150 / 331, 10)
DEGREES = np.linspace(0, 30, 10)
STRENGTH = np.linspace(0, 0.9, 10)
BITS = (8, 8, 7, 7, 6, 6, 5, 5, 4, 4)
SOLARIZE = np.linspace(256, 0, 10)
SPOT = (0, 2, 4, 7, 9, 11, 13, 16, 18, 20)


def _signed(value: float, rng: Rng) -> float:
    return float(value if rng.random() < 0.5 else -value)


def _affine(image: Image.Image, matrix: tuple[float, ...], resample: int) -> Image.Image:
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, resample=resample, fillcolor=GREY
    )


def _shear_x(image: Image.Image, level: int, rng: Rng) -> Image.Image:
    shear = _signed(SHEAR[level], rng)
    return _affine(image, (1, shear, 0, 0, 1, 0), Image.Resampling.BICUBIC)


def _shear_y(image: Image.Image, level: int, rng: Rng) -> Image.Image:
    shear = _signed(SHEAR[level], rng)
    return _affine(image, (1, 0, 0, shear, 1, 0), Image.Resampling.BICUBIC)


def _translate_x(image: Image.Image, level: int, rng: Rng) -> Image.Image:
    shift = _signed(SHIFT[level], rng) * image.width
    return _affine(image, (1, 0, shift, 0, 1, 0), Image.Resampling.NEAREST)


def _translate_y(image: Image.Image, level: int, rng: Rng) -> Image.Image:
    shift = _signed(SHIFT[level], rng) * image.height
    return _affine(image, (1, 0, 0, 0, 1, shift), Image.Resampling.NEAREST)


def _rotate(image: Image.Image, level: int, _: Rng) -> Image.Image:
    return image.rotate(float(DEGREES[level]), Image.Resampling.NEAREST, fillcolor=GREY)


def _enhance(kind: type, image: Image.Image, level: int, rng: Rng) -> Image.Image:
    return kind(image).enhance(1 + _signed(STRENGTH[level], rng))  # type: ignore[no-any-return]


def _posterize(image: Image.Image, level: int, _: Rng) -> Image.Image:
    return ImageOps.posterize(image, BITS[level])


def _solarize(image: Image.Image, level: int, _: Rng) -> Image.Image:
    return ImageOps.solarize(image, ceil(SOLARIZE[level]))


def _auto_contrast(image: Image.Image, _level: int, _: Rng) -> Image.Image:
    return ImageOps.autocontrast(image)


def _equalize(image: Image.Image, _level: int, _: Rng) -> Image.Image:
    return ImageOps.equalize(image)


def _invert(image: Image.Image, _level: int, _: Rng) -> Image.Image:
    return ImageOps.invert(image)


def _spot(image: Image.Image, level: int, rng: Rng) -> Image.Image:
    half = SPOT[level] // 2
    x, y = int(rng.integers(image.width)), int(rng.integers(image.height))
    box = (max(0, x - half), max(0, y - half), x + half, y + half)
    image = image.copy()
    image.paste(SPOT_COLOUR, box)
    return image


OPERATIONS: tuple[Operation, ...] = (
    _invert,
    _spot,
    partial(_enhance, ImageEnhance.Sharpness),
    _auto_contrast,
    _posterize,
    _shear_x,
    _translate_x,
    _translate_y,
    _shear_y,
    _rotate,
    _equalize,
    partial(_enhance, ImageEnhance.Contrast),
    partial(_enhance, ImageEnhance.Color),
    _solarize,
    partial(_enhance, ImageEnhance.Brightness),
)


def pair_rand_augment(image: Pixels, rng: Rng) -> Pixels:
    """Two of 15 operations at magnitudes 1 to 9, each applied with probability one half.

    The policy of the PyPI package `randaugment`, which the published models were trained with; a
    quarter of the images stay as they are.
    """
    chosen = rng.integers(0, len(OPERATIONS), 2)
    levels = rng.integers(1, 10, 2)
    applied = rng.random(2) < 0.5
    if not applied.any():
        return image
    picture = Image.fromarray(image)
    for operation, level, use in zip(chosen, levels, applied, strict=True):
        if use:
            picture = OPERATIONS[operation](picture, int(level), rng)
    return np.array(picture)


class TorchvisionRandAugment:
    """RandAugment of torchvision, drawn from the image's own generator.

    Args:
        num_ops: Operations on each image.
        magnitude: Strength, 0 to 30.
    """

    def __init__(self, num_ops: int, magnitude: int) -> None:
        self._transform = RandAugment(num_ops, magnitude, fill=list(GREY))

    def __call__(self, image: Pixels, rng: Rng) -> Pixels:
        """Augment; torch's global generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            return np.asarray(self._transform(Image.fromarray(image)))
