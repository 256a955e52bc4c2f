"""Backbone and head as one model."""

import torch
from torch import Tensor, nn

from mlc_cli.core.models.backbone import Backbone
from mlc_cli.core.models.heads.base import Head


class Classifier(nn.Module):
    """From normalised RGB images (N×3×H×W) to logits (N×C).

    The logits contain the scale: sigmoid(logit) is the probability in training, evaluation and
    export alike.
    """

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def to_device(self, device: torch.device, *, channels_last: bool = True) -> "Classifier":
        """Move to a device, with convolutions in the given memory layout."""
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.to(device)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=layout)
        return self

    def folded(self) -> "Classifier":
        """The same model with everything computed that does not depend on the image."""
        return Classifier(self.backbone, self.head.folded()).train(self.training)

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """Logits N×C."""
        logits: Tensor = self.head(self.backbone(images_N3HW))
        return logits
