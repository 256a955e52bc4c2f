"""One way to run every kind of model file: uint8 RGB images in, logits out.

Exported files are run without torch: what opens a kind of file is imported when one is opened.
"""

# ruff: noqa: PLC0415
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.runs.card import ModelCard
from mlc_cli.errors import TrainingError, UsageError

if TYPE_CHECKING:
    from mlc_cli.core.inference.runtime.ir_file import Hint

HINTS: dict[str, "Hint"] = {"auto": "auto", "fp32": "f32", "bf16": "bf16", "fp16": "f16"}


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


def open_model(path: Path, device: str, precision: str, *, latency: bool = False) -> OpenedModel:
    """Open a checkpoint (`.safetensors`), an ONNX file or an OpenVINO IR (`.xml`).

    Args:
        path: The file; its suffix tells its kind.
        device: `auto`, `cpu`, `cuda`, `cuda:N`; for an IR also a device of OpenVINO.
        precision: `auto`, `fp32`, `bf16` or `fp16`. ONNX files are run as they are written.
        latency: Whether single images come, and their time matters more than the number a second.

    Raises:
        CheckpointError: The file cannot be opened.
        UsageError: The device or precision does not go with it.
    """
    match path.suffix.lower():
        case ".onnx":
            from mlc_cli.core.inference.runtime.onnx_file import OnnxEngine

            if precision not in ("auto", "fp32"):
                raise UsageError(f"precision {precision}: an ONNX file runs as it is, in fp32")
            onnx_engine = OnnxEngine(path, device)
            info = onnx_engine.info
            return OpenedModel(path, onnx_engine, info.card, _parity_warning(path, info.parity))
        case ".xml":
            from mlc_cli.core.inference.runtime.ir_file import IrEngine

            name = "CPU" if device in ("auto", "cpu") else device
            ir_engine = IrEngine(path, name, HINTS[precision], latency=latency)
            info = ir_engine.info
            return OpenedModel(path, ir_engine, info.card, _parity_warning(path, info.parity))
        case _:
            from mlc_cli.core.inference.torch_engine import open_checkpoint

            return OpenedModel(path, *open_checkpoint(path, device, precision))


def _parity_warning(path: Path, parity: str) -> str:
    if parity == "failed":
        return f"{path} differs from its checkpoint by more than was allowed (see export.json)"
    if parity == "unchecked":
        return f"{path} was never compared with its checkpoint: export it again without --no-check"
    return ""


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
