"""Backbone and head as one model."""

from torch import Tensor, nn

from mlc_cli.core.models.backbone import Backbone
from mlc_cli.core.models.heads.base import Head


class Classifier(nn.Module):
    """From normalised RGB images (N×3×H×W) to logits (N×C).

    The logits contain the scale: sigmoid(logit) is the probability in training, evaluation and
    export alike.

    Args:
        backbone: Images to feature map.
        head: Feature map to logits.
    """

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """Logits N×C."""
        logits: Tensor = self.head(self.backbone(images_N3HW))
        return logits
