"""One way to run every kind of model file: uint8 RGB images in, logits out.

Exported files are run without torch: what opens a kind of file is imported when one is opened.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.runs.card import ModelCard
from mlc_cli.errors import TrainingError


class Engine(Protocol):
    """A model that can be run, in several threads at once too."""

    @property
    def on_host(self) -> bool:
        """Whether the model takes the cores that images are read with."""

    def __call__(self, images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N×C), multiplied by the scale, of RGB images (N×H×W×3)."""


@dataclass(frozen=True)
class OpenedModel:
    """A model file that is ready to run.

    Attributes:
        path: The file.
        engine: Runs it.
        card: What the file knows.
        warning: What the user should know about it, if anything.
    """

    path: Path
    engine: Engine
    card: ModelCard
    warning: str = ""


def is_exported(path: Path) -> bool:
    """Whether a file is not a checkpoint but was made of one: ONNX or IR."""
    return path.suffix.lower() in (".onnx", ".xml")


def probabilities(logits_NC: NDArray[np.float32]) -> NDArray[np.float64]:
    """Float64 probabilities of finite logits.

    In float32 the sigmoid is 1 from a logit of 17 on, and images of which the model is certain
    would tie.

    Raises:
        TrainingError: A logit is not finite: the model has diverged.
    """
    wrong = np.count_nonzero(~np.isfinite(logits_NC).all(axis=1))
    if wrong:
        raise TrainingError(
            f"the model's output is not finite for {wrong} of {len(logits_NC)} images",
            "Its weights have diverged: train with a smaller --lr, or --set precision=fp32.",
        )
    with np.errstate(over="ignore"):  # the exponential of 710 is infinite, and 1 / inf right
        found: NDArray[np.float64] = 1 / (1 + np.exp(-logits_NC.astype(np.float64)))
    return found
