"""Sharpness-aware minimisation (Foret et al. 2021, arXiv 2010.01412; adaptive: 2102.11600)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Sam:
    """Moves the weights to the worst point near by while the second gradient is taken.

    Attributes:
        rho: Radius of the neighbourhood.
        adaptive: Measure distances in units of the weights.
        per_process: Of several processes, each takes the worst point for its own images.
        moves_statistics: The second pass, too, moves the statistics of batch normalisation.
    """

    rho: float
    adaptive: bool
    per_process: bool = False
    moves_statistics: bool = False

    @contextmanager
    def perturbed(self, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
        """Inside, w + rho g / |g| (adaptive: w + rho w² g / |w g|); afterwards exactly w.

        The direction does not depend on the scale of the gradients, so that those of a gradient
        scaler need not be unscaled. A gradient that is not finite leaves the weights where they
        are; the second pass then meets the same overflow. Nothing waits for the device.
        """
        moved = [p for p in parameters if p.grad is not None]
        if not moved:
            yield
            return
        kept = [p.detach().clone() for p in moved]
        with torch.no_grad():
            self._move(moved)
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(list(moved), kept)

    def _move(self, parameters: list[nn.Parameter]) -> None:
        gradients: list[Tensor] = [p.grad for p in parameters if p.grad is not None]
        if self.adaptive:
            sizes = [p.abs() for p in parameters]
            gradients = [g * s for g, s in zip(gradients, sizes, strict=True)]
        norms = torch._foreach_norm(gradients)  # noqa: SLF001
        kind = torch.promote_types(gradients[0].dtype, torch.float32)
        norm = torch.linalg.vector_norm(torch.stack([n.to(kind) for n in norms]))
        step = torch.where(torch.isfinite(norm), self.rho / (norm + 1e-12), 0.0)
        if self.adaptive:
            gradients = [g * s for g, s in zip(gradients, sizes, strict=True)]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.add_(torch.where(step > 0, gradient * step, 0.0))


@contextmanager
def frozen_bn_statistics(model: nn.Module) -> Iterator[None]:
    """Inside, batch normalisation uses the batch but neither moves its statistics nor counts."""
    modules = [
        m
        for m in model.modules()
        if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training and m.track_running_stats  # noqa: SLF001
    ]
    kept = [(module, module.momentum, module.num_batches_tracked) for module in modules]
    for module in modules:
        module.momentum, module.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for module, momentum, count in kept:
            module.momentum, module.num_batches_tracked = momentum, count
