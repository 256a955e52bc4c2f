"""Heads on pooled features: linear and cosine."""

import torch
from torch import Tensor, nn

from mlc_cli.core.models.heads.base import Head, Pool, cosine, pool_map
from mlc_cli.core.system.precision import full_precision


class PooledHead(Head):
    """Pooling, dropout, and what follows."""

    def __init__(self, *, pool: Pool, dropout: float, scale: float) -> None:
        super().__init__(scale)
        self.pool = pool
        self.dropout = nn.Dropout(dropout)

    def reduce(self, map_NDHW: Tensor) -> Tensor:
        """Pooled features, N×D."""
        return pool_map(map_NDHW, self.pool)


class LinearHead(PooledHead):
    """One linear layer from `channels` pooled features to the logits."""

    kind = "linear"

    def __init__(
        self, channels: int, classes: int, *, pool: Pool, dropout: float, scale: float
    ) -> None:
        super().__init__(pool=pool, dropout=dropout, scale=scale)
        self.linear = nn.Linear(channels, classes)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    @torch.no_grad()
    def set_prior(self, prior_C: Tensor) -> None:
        """Start biases at the logits of the classes' frequencies."""
        self.linear.bias.copy_(prior_C.logit() / self.scale)

    def classify(self, reduced: Tensor) -> Tensor:
        """Logits N×C."""
        with full_precision(reduced.device):  # rounded to bf16, many scores would be equal
            features = self.dropout(reduced.to(self.linear.weight.dtype))
            logits: Tensor = self.linear(features) * self.scale
            return logits


class CosineHead(PooledHead):
    """The cosine of `channels` pooled features to a vector for each class (no bias)."""

    kind = "cosine"

    def __init__(
        self, channels: int, classes: int, *, pool: Pool, dropout: float, scale: float
    ) -> None:
        super().__init__(pool=pool, dropout=dropout, scale=scale)
        self.weight = nn.Parameter(nn.functional.normalize(torch.randn(classes, channels)))

    def classify(self, reduced: Tensor) -> Tensor:
        """Logits N×C, within ±scale."""
        return cosine(self.dropout(reduced), self.weight) * self.scale
