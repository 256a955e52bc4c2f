"""Fixtures for tests that read images."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlc_cli.core.datasets.annotations import Annotation, read_annotation


@pytest.fixture
def make_split(tmp_path: Path) -> Callable[..., Annotation]:
    """Make a split of noise images; those in `bad` are files of text."""

    def make(images: int = 10, *, name: str = "train", bad: tuple[int, ...] = ()) -> Annotation:
        folder = tmp_path / name
        folder.mkdir()
        entries = []
        for number in range(images):
            path = folder / f"{number}.png"
            if number in bad:
                path.write_text("no image")
            else:
                pixels = np.random.default_rng(number).integers(0, 256, (20, 30, 3), np.uint8)
                Image.fromarray(pixels).save(path)
            entries.append([path.name, ["ab"[number % 2]], ["c"] if number % 3 == 0 else []])
        source = folder / f"{name}.json"
        source.write_text(json.dumps({"classes": ["c", "a", "b"], "images": entries}))
        return read_annotation(source)

    return make
