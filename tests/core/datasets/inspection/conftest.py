"""Small data sets made to measure."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mlc_cli.core.datasets.inspection.collection import read_collection
from mlc_cli.core.datasets.inspection.inspect import Inspection, inspect
from mlc_cli.core.datasets.inspection.scan import scan_files


def photo(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
    """A picture with large and small forms, different for each seed."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for side, weight in ((3, 90), (6, 60), (12, 40)):
        noise = rng.uniform(-1, 1, (side, side, 3))
        total += weight * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return (total + 128).clip(0, 255).astype(np.uint8)


def encoded(pixels: np.ndarray, ending: str = ".jpg", quality: int = 92) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if ending == ".jpg" else []
    done, content = cv2.imencode(ending, pixels, options)
    assert done
    return content.tobytes()


@pytest.fixture
def photos() -> Callable[..., np.ndarray]:
    """Makes a picture from a seed."""
    return photo


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """Makes a file of a picture."""
    return encoded


@pytest.fixture
def make_data(tmp_path: Path) -> Callable[..., Path]:
    """Make a data set: entries by split; each image is another photo unless its bytes are given."""

    def make(
        splits: Mapping[str, Sequence[Sequence[Any]]],
        files: Mapping[str, bytes | None] | None = None,
        *,
        classes: Sequence[str | int] = ("cat", "dog"),
        name: str = "data",
        **others: Any,
    ) -> Path:
        root = tmp_path / name
        root.mkdir()
        paths = dict.fromkeys(entry[0] for entries in splits.values() for entry in entries)
        contents: dict[str, bytes | None] = {
            path: encoded(photo(seed)) for seed, path in enumerate(paths)
        }
        contents.update(files or {})
        for path, content in contents.items():
            if content is not None:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(content)
        for split, entries in splits.items():
            content = {"classes": list(classes), "images": list(map(list, entries)), **others}
            (root / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
        return root

    return make


@pytest.fixture
def examine(make_data: Callable[..., Path]) -> Callable[..., Inspection]:
    """Make a data set and inspect it."""

    def run(*arguments: Any, near: int = 6, images: bool = True, **others: Any) -> Inspection:
        collection = read_collection(make_data(*arguments, **others))
        files = scan_files(collection, threads=2) if images else None
        return inspect(collection, files, near)

    return run
