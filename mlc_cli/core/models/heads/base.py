"""What all heads share: the scale, and the cut between fixed and learnt parts.

Names of arrays: N images, D channels, C classes, H×W positions.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlc_cli.core.system.precision import full_precision

Pool = Literal["avg", "max", "avgmax"]


class Head(nn.Module, ABC):
    """A head in two steps, so that the first can be computed once and kept.

    `scale` is the factor from its raw output to logits.
    """

    kind = ""
    """What it is apart from its sizes, in words."""
    scale: Tensor
    affine_2C: Tensor | None

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(float(scale)), persistent=False)
        self.register_buffer("affine_2C", None, persistent=False)

    @abstractmethod
    def reduce(self, map_NDHW: Tensor) -> Tensor:
        """The part without parameters: what a warm start keeps of each image."""

    @abstractmethod
    def classify(self, reduced: Tensor) -> Tensor:
        """Logits N×C, multiplied by the scale, of what `reduce` gave."""

    def calibrate(self, affine_C2: Sequence[tuple[float, float]]) -> None:
        """Take scale and bias of the logits of each class, which are not trained."""
        self.affine_2C = torch.tensor(affine_C2).T.contiguous()

    def set_prior(self, prior_C: Tensor) -> None:
        """Start biases, where the head has any, at the logits of the classes' frequencies."""

    def folded(self) -> "Head":
        """The same head with everything computed that does not depend on the image."""
        return self

    def forward(self, map_NDHW: Tensor) -> Tensor:
        """Logits N×C, multiplied by the scale, and calibrated if the head is."""
        logits_NC = self.classify(self.reduce(map_NDHW))
        if self.affine_2C is None:
            return logits_NC
        return logits_NC.float() * self.affine_2C[0] + self.affine_2C[1]


def auto_scale(classes: int) -> float:
    """Scale for cosines: sqrt(5) ln(C - 1), between 7 and 30."""
    return min(max(math.sqrt(5) * math.log(max(classes - 1, 1)), 7.0), 30.0)


def pool_map(map_NDHW: Tensor, pool: Pool) -> Tensor:
    """Pool over positions, N×D: the average, the maximum, or the sum of both."""
    if pool == "avg":
        return map_NDHW.mean((2, 3))
    if pool == "max":
        return map_NDHW.amax((2, 3))
    return map_NDHW.mean((2, 3)) + map_NDHW.amax((2, 3))


def cosine(features: Tensor, weights: Tensor) -> Tensor:
    """Cosines of rows of `features` (…×A×D) and `weights` (…×B×D), in float32 at least: …×A×B."""
    with full_precision(features.device):
        kind = torch.promote_types(features.dtype, torch.float32)
        rows, columns = (F.normalize(given.to(kind), dim=-1) for given in (features, weights))
        return rows @ columns.mT
