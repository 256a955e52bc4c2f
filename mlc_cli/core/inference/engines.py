"""One way to run every kind of model file: uint8 RGB images in, logits out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from mlc_cli.core.inference.runtime.ir_file import Hint, IrEngine
from mlc_cli.core.inference.runtime.onnx_file import OnnxEngine
from mlc_cli.core.loading.normalise import Normalise
from mlc_cli.core.models.build import load_classifier
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.system.device import Precision, autocast, in_slices, pick_device, pick_precision
from mlc_cli.errors import UsageError

HINTS: dict[str, Hint] = {"auto": "auto", "fp32": "f32", "bf16": "bf16", "fp16": "f16"}


class Engine(Protocol):
    """A model that can be run."""

    def __call__(self, images_NHWC: Tensor) -> Tensor:
        """Float32 logits (N×C), multiplied by the scale, of uint8 RGB images (N×H×W×3)."""


@dataclass(frozen=True)
class TorchEngine:
    """A model in torch.

    Attributes:
        model: From normalised images to scaled logits, in evaluation mode, on the device.
        normalise: From uint8 batches to the model's input.
        device: Where the model is.
        precision: Of the forward pass.
    """

    model: nn.Module
    normalise: Normalise
    device: torch.device
    precision: Precision

    def __call__(self, images_NHWC: Tensor) -> Tensor:
        """Float32 logits on the device."""
        return self._run(self.model, images_NHWC).float()

    def logits_and_map(self, images_NHWC: Tensor) -> tuple[Tensor, Tensor]:
        """Float32 logits, and the feature map that they come from; for a `Classifier`."""
        assert isinstance(self.model, Classifier)
        map_NDHW = self._run(self.model.backbone, images_NHWC)
        with torch.inference_mode(), autocast(self.device, self.precision):
            return self.model.head(map_NDHW).float(), map_NDHW

    def _run(self, module: Callable[[Tensor], Tensor], images_NHWC: Tensor) -> Tensor:
        with torch.inference_mode(), autocast(self.device, self.precision):
            return in_slices(module, self.normalise(images_NHWC))


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
            if precision not in ("auto", "fp32"):
                raise UsageError(f"precision {precision}: an ONNX file runs as it is, in fp32")
            onnx_engine = OnnxEngine(path, pick_device(device))
            info = onnx_engine.info
            return OpenedModel(path, onnx_engine, info.card, _parity_warning(path, info.parity))
        case ".xml":
            name = "CPU" if device in ("auto", "cpu") else device
            ir_engine = IrEngine(path, name, HINTS[precision], latency=latency)
            info = ir_engine.info
            return OpenedModel(path, ir_engine, info.card, _parity_warning(path, info.parity))
        case _:
            return _open_checkpoint(path, device, precision)


def _open_checkpoint(path: Path, device_name: str, precision: str) -> OpenedModel:
    classifier, card = load_classifier(path)
    device = pick_device(device_name)
    engine = TorchEngine(
        classifier.to_device(device),
        Normalise(card.mean, card.std, device),
        device,
        pick_precision(precision, device),
    )
    return OpenedModel(path, engine, card)


def _parity_warning(path: Path, parity: str) -> str:
    if parity == "failed":
        return f"{path} differs from its checkpoint by more than was allowed (see export.json)"
    if parity == "unchecked":
        return f"{path} was never compared with its checkpoint: export it again without --no-check"
    return ""
