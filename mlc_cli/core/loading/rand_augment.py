"""RandAugment as pairs of operations of random magnitude."""

from collections.abc import Callable
from functools import partial
from math import ceil

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from mlc_cli.core.images.scaled import Pixels

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


def _shear(x: int, y: int, image: Image.Image, level: int, rng: Rng) -> Image.Image:
    shear = _signed(SHEAR[level], rng)
    return _affine(image, (1, x * shear, 0, y * shear, 1, 0), Image.Resampling.BICUBIC)


def _translate(x: int, y: int, image: Image.Image, level: int, rng: Rng) -> Image.Image:
    shift = _signed(SHIFT[level], rng)
    right, down = x * shift * image.width, y * shift * image.height
    return _affine(image, (1, 0, right, 0, 1, down), Image.Resampling.NEAREST)


def _enhance(kind: type, image: Image.Image, level: int, rng: Rng) -> Image.Image:
    return kind(image).enhance(1 + _signed(STRENGTH[level], rng))  # type: ignore[no-any-return]


def _spot(image: Image.Image, level: int, rng: Rng) -> Image.Image:
    half = SPOT[level] // 2
    x, y = int(rng.integers(image.width)), int(rng.integers(image.height))
    box = (max(0, x - half), max(0, y - half), x + half, y + half)
    image = image.copy()
    image.paste(SPOT_COLOUR, box)
    return image


OPERATIONS: tuple[Operation, ...] = (
    lambda image, _, __: ImageOps.invert(image),
    _spot,
    partial(_enhance, ImageEnhance.Sharpness),
    lambda image, _, __: ImageOps.autocontrast(image),
    lambda image, level, _: ImageOps.posterize(image, BITS[level]),
    partial(_shear, 1, 0),
    partial(_translate, 1, 0),
    partial(_translate, 0, 1),
    partial(_shear, 0, 1),
    lambda image, level, _: image.rotate(float(DEGREES[level]), fillcolor=GREY),
    lambda image, _, __: ImageOps.equalize(image),
    partial(_enhance, ImageEnhance.Contrast),
    partial(_enhance, ImageEnhance.Color),
    lambda image, level, _: ImageOps.solarize(image, ceil(SOLARIZE[level])),
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
