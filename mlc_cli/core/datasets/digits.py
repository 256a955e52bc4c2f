"""A small multilabel data set that needs no download.

The handwritten digits of scikit-learn (UCI optical recognition, 1,797 of 8×8 pixels), several of
them scattered over one canvas at different sizes, under noise. The labels of an image are the
digits on it; some images have none. No handwritten digit is in two splits.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.system.files import folder_beside, named_faults, write_json
from mlc_cli.errors import MlcError

CANVAS = 64
MOST_DIGITS = 4
SPLITS: Mapping[str, tuple[int, float]] = {
    "train": (2400, 0.7),
    "val": (600, 0.15),
    "test": (600, 0.15),
}
"""Images of each split, and the part of the handwritten digits that it is made of."""

Glyphs = tuple[NDArray[np.float32], NDArray[np.int64]]


def make_digits(root: Path, seed: int = 0) -> None:
    """Write images and annotation files; the folder appears only when it is complete.

    Raises:
        MlcError: The disk is full, or the folder cannot be written to.
    """
    own = root.with_name(f"{root.name}-{os.getpid()}")  # several may start at the same time
    with named_faults(root, "cannot be made", MlcError):
        root.parent.mkdir(parents=True, exist_ok=True)
        with folder_beside(own) as folder:
            _write(folder, np.random.default_rng(seed))
            if not root.exists():
                folder.rename(root)


def _write(folder: Path, rng: np.random.Generator) -> None:
    for (split, (images, _)), glyphs in zip(SPLITS.items(), _glyphs(rng), strict=True):
        _write_split(folder, split, images, glyphs, rng)


def _glyphs(rng: np.random.Generator) -> list[Glyphs]:
    """The handwritten digits and their values, divided between the splits."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - takes a second

    source = load_digits()
    order = rng.permutation(len(source.target))
    bounds = np.cumsum([part for _, part in SPLITS.values()])[:-1] * len(order)
    return [
        (source.images[part].astype(np.float32) / 16, source.target[part])
        for part in np.split(order, bounds.astype(int))
    ]


def _write_split(
    root: Path, split: str, images: int, glyphs: Glyphs, rng: np.random.Generator
) -> None:
    (root / "images" / split).mkdir(parents=True)
    entries = []
    for number in range(images):
        canvas, labels = _compose(glyphs, rng)
        path = f"images/{split}/{number:04d}.png"
        (root / path).write_bytes(cv2.imencode(".png", canvas)[1].tobytes())
        entries.append([path, labels])
    names = [str(digit) for digit in range(10)]
    write_json(root / f"{split}.json", {"classes": names, "images": entries})


def _compose(glyphs: Glyphs, rng: np.random.Generator) -> tuple[NDArray[np.uint8], list[str]]:
    """Place digits in random cells of a 2×2 grid, so that they hardly overlap."""
    pictures, values = glyphs
    canvas = np.zeros((CANVAS, CANVAS), np.float32)
    labels = set()
    cells = rng.permutation(4)[: rng.integers(0, MOST_DIGITS + 1)]
    for cell in cells:
        chosen = int(rng.integers(len(values)))
        side = int(rng.integers(18, 31))
        glyph = cv2.resize(pictures[chosen], (side, side), interpolation=cv2.INTER_CUBIC)
        room = CANVAS // 2 - side
        top = int(cell // 2 * (CANVAS // 2) + rng.integers(room + 1))
        left = int(cell % 2 * (CANVAS // 2) + rng.integers(room + 1))
        canvas[top : top + side, left : left + side] += glyph * rng.uniform(0.6, 1)
        labels.add(str(values[chosen]))
    noisy = canvas * 0.8 + rng.uniform(0, 0.2) + rng.normal(0, 0.06, canvas.shape)
    return (np.clip(noisy, 0, 1) * 255).astype(np.uint8), sorted(labels)
