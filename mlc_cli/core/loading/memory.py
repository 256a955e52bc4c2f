"""Images that a program hands over, files as well as pixels, as the stream that commands read."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mlc_cli.core.images.scaled import Pixels
from mlc_cli.core.loading.sources import STDIN, Item, Sources
from mlc_cli.errors import UsageError

Channels = Literal["RGB", "BGR"]
ImageLike = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]
"""A file, folder, pattern or video; a Pillow image; an array height×width×3."""

_PILLOW_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB")


def one_or_many(images: ImageLike | Iterable[ImageLike] | bytes) -> Iterable[ImageLike]:
    """One image as a list of one; everything else, an array of images too, as it is."""
    if isinstance(images, str | os.PathLike | Image.Image):
        return [images]
    if isinstance(images, np.ndarray) and images.ndim < 4:
        return [images]
    if isinstance(images, bytes) or not isinstance(images, Iterable):
        raise UsageError(f"expected an image, or many of them, got {type(images)}")
    return images


def check_sources(images: Iterable[ImageLike]) -> None:
    """Refuse files that are missing and folders that hold no images.

    Raises:
        DataError: Naming the source.
    """
    paths = [_source(image) for image in images if isinstance(image, str | os.PathLike)]
    Sources(paths).check()


def to_items(images: Iterable[ImageLike], channels: Channels) -> Iterator[Item]:
    """Images in their order; an array may change once the next one is asked for.

    Raises:
        UsageError: Something is no image, or an array has another shape or type.
    """
    for number, image in enumerate(images):
        if isinstance(image, str | os.PathLike):
            yield from Sources([_source(image)])
        else:
            name = str(getattr(image, "filename", "")) or f"image {number}"
            yield Item(name, Path(), Path(), to_pixels(image, channels, name))


def to_pixels(image: Any, channels: Channels, name: str) -> Pixels:
    """A copy as RGB uint8, height×width×3: turned as EXIF says, grey as three equal channels.

    Transparency is dropped, as it is of files.

    Raises:
        UsageError: It is no image of 8 bits a channel.
    """
    if channels not in ("RGB", "BGR"):
        raise UsageError(f"channels: expected 'RGB' or 'BGR', got {channels!r}")
    if isinstance(image, Image.Image):
        if image.mode not in _PILLOW_MODES:
            raise UsageError(
                f"{name}: a Pillow image of mode {image.mode} has no 8 bits a channel",
                "Scale it to 0..255 and make it RGB first, or hand over the file.",
            )
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    if not isinstance(image, np.ndarray):
        raise UsageError(f"{name}: expected a path, a Pillow image or an array, got {type(image)}")
    pixels = image[..., None] if image.ndim == 2 else image
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or not pixels.size:
        raise UsageError(f"{name}: expected an array height×width×3, got shape {image.shape}")
    if pixels.dtype != np.uint8:
        raise UsageError(
            f"{name}: expected uint8 in 0..255, got an array of {pixels.dtype}",
            "Of values in 0..1: (255 * array).round().astype('uint8').",
        )
    order = [0, 0, 0] if pixels.shape[2] == 1 else [2, 1, 0] if channels == "BGR" else [0, 1, 2]
    return np.ascontiguousarray(pixels[..., order])


def _source(path: str | os.PathLike[str]) -> str:
    """`-` is a file here, not standard input."""
    text = os.fspath(path)
    return os.path.join(".", text) if text == STDIN else text  # noqa: PTH118 - Path takes ./ away
