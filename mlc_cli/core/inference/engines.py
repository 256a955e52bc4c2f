"""One way to run every kind of model file: uint8 RGB images in, logits out.

Exported files are run without torch: what opens a kind of file is imported when one is opened.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.runs.card import ModelCard


class Engine(Protocol):
    """A model that can be run, in several threads at once too."""

    @property
    def on_host(self) -> bool:
        """Whether the model takes the cores that images are read with."""

    def __call__(self, images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N×C), multiplied by the scale, of RGB images (N×H×W×3)."""


@dataclass(frozen=True)
class OpenedModel:
    """A model file that is ready to run."""

    path: Path
    engine: Engine
    card: ModelCard
    warning: str = ""


def is_exported(path: Path) -> bool:
    """Whether a file is not a checkpoint but was made of one: ONNX or IR."""
    return path.suffix.lower() in (".onnx", ".xml")


def model_files(path: Path) -> list[Path]:
    """A model file, an IR with its weights."""
    return [path, path.with_suffix(".bin")] if path.suffix.lower() == ".xml" else [path]


def model_bytes(path: Path) -> int:
    """Size of a model file, of an IR with its weights."""
    return sum(part.stat().st_size for part in model_files(path))
