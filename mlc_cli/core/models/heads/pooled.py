"""Heads on pooled features: linear and cosine."""

import torch
from torch import Tensor, nn

from mlc_cli.core.models.heads.base import Head, Pool, cosine, pool_map
from mlc_cli.core.system.device import full_precision


class LinearHead(Head):
    """Pooling, dropout, one linear layer.

    Args:
        channels: Channels D of the feature map.
        classes: Number of classes C.
        pool: Pooling over positions.
        dropout: Part of the pooled features dropped in training.
        scale: Factor on the logits.
    """

    def __init__(
        self, channels: int, classes: int, *, pool: Pool, dropout: float, scale: float
    ) -> None:
        super().__init__(scale)
        self.pool = pool
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, classes)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    def reduce(self, map_NDHW: Tensor) -> Tensor:
        """Pooled features, N×D."""
        return pool_map(map_NDHW, self.pool)

    @torch.no_grad()
    def set_prior(self, prior_C: Tensor) -> None:
        """Start biases at the logits of the classes' frequencies."""
        self.linear.bias.copy_(prior_C.logit() / self.scale)

    def classify(self, reduced: Tensor) -> Tensor:
        """Logits N×C."""
        with full_precision(reduced.device):  # rounded to bf16, many scores would be equal
            logits: Tensor = (
                self.linear(self.dropout(reduced.to(self.linear.weight.dtype))) * self.scale
            )
            return logits


class CosineHead(Head):
    """Pooling, dropout, and the cosine to a vector for each class (no bias).

    Args:
        channels: Channels D of the feature map.
        classes: Number of classes C.
        pool: Pooling over positions.
        dropout: Part of the pooled features dropped in training.
        scale: Factor from cosine to logit.
    """

    def __init__(
        self, channels: int, classes: int, *, pool: Pool, dropout: float, scale: float
    ) -> None:
        super().__init__(scale)
        self.pool = pool
        self.dropout = nn.Dropout(dropout)
        self.weight = nn.Parameter(nn.functional.normalize(torch.randn(classes, channels)))

    def reduce(self, map_NDHW: Tensor) -> Tensor:
        """Pooled features, N×D."""
        return pool_map(map_NDHW, self.pool)

    def classify(self, reduced: Tensor) -> Tensor:
        """Logits N×C, within ±scale."""
        return cosine(self.dropout(reduced), self.weight) * self.scale
