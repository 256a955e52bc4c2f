"""Checkpoints in torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mlc_cli.core.inference.explain import evidence
from mlc_cli.core.loading.normalise import Normalise
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.weights.build import load_any
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.system.device import in_slices, pick_device
from mlc_cli.core.system.precision import Precision, allow_tf32, autocast, pick_precision


@dataclass(frozen=True)
class TorchEngine:
    """A model in torch.

    Attributes:
        model: From normalised images to scaled logits, in evaluation mode, on the device.
        normalise: From uint8 batches to the model's input.
    """

    model: nn.Module
    normalise: Normalise
    device: torch.device
    precision: Precision

    @property
    def on_host(self) -> bool:
        """Whether the model takes the cores that images are read with."""
        return self.device.type == "cpu"

    def __call__(self, images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Float32 logits."""
        logits_NC: NDArray[np.float32] = self.logits(torch.from_numpy(images_NHWC)).cpu().numpy()
        return logits_NC

    def logits(self, images_NHWC: Tensor) -> Tensor:
        """Float32 logits on the device, which need not be waited for."""
        return self._run(self.model, images_NHWC).float()

    def explained(
        self,
        images_NHWC: NDArray[np.uint8],
        decide: Callable[[NDArray[np.float32]], list[list[int]]],
    ) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """Float32 logits, and where they come from; for a `Classifier`.

        Args:
            images_NHWC: RGB uint8.
            decide: Classes of each image, from the logits.

        Returns:
            Logits N×C, and for each image a heat map K×H×W for each of its classes.
        """
        assert isinstance(self.model, Classifier)
        map_NDHW = self._run(self.model.backbone, torch.from_numpy(images_NHWC))
        with torch.inference_mode():
            with autocast(self.device, self.precision):
                logits = self.model.head(map_NDHW).float().cpu().numpy()
            return logits, self._heat(map_NDHW, decide(logits))

    def _heat(
        self, map_NDHW: Tensor, decided_NK: Sequence[Sequence[int]]
    ) -> list[NDArray[np.float32]]:
        """Maps of all classes that any image of the batch has, shared out among the images."""
        assert isinstance(self.model, Classifier)
        classes = sorted({c for decided in decided_NK for c in decided})
        maps_NKHW = evidence(self.model.head, map_NDHW, classes).cpu().numpy()
        place = {c: k for k, c in enumerate(classes)}
        return [
            maps_KHW[[place[c] for c in decided]]
            for maps_KHW, decided in zip(maps_NKHW, decided_NK, strict=True)
        ]

    def _run(self, module: Callable[[Tensor], Tensor], images_NHWC: Tensor) -> Tensor:
        with torch.inference_mode(), autocast(self.device, self.precision):
            return in_slices(module, self.normalise(images_NHWC))


def open_checkpoint(
    path: Path,
    device_name: str,
    precision: str,
    like: str | None,
    weight_classes: str | None,
    matmul: str | None,
) -> tuple[TorchEngine, ModelCard, str]:
    """Open a checkpoint, of mlc or of another system.

    Returns:
        The model, what it knows, and what was assumed of it.

    Raises:
        CheckpointError: The file cannot be opened.
        UsageError: There is no such device.
    """
    classifier, card, notes = load_any(path, like, weight_classes)
    device = pick_device(device_name)
    if matmul:
        allow_tf32(on=matmul == "high")
    engine = TorchEngine(
        classifier.to_device(device),
        Normalise(card.mean, card.std, device),
        device,
        pick_precision(precision, device),
    )
    return engine, card, "; ".join(notes)
