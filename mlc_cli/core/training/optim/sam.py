"""Sharpness-aware minimisation (Foret et al. 2021, arXiv 2010.01412; adaptive: 2102.11600)."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm


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
        with torch.no_grad():
            kept = torch._foreach_mul(list(moved), 1.0)  # noqa: SLF001 - copies, to the bit
            self._move(moved)
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(list(moved), kept)

    def _move(self, parameters: list[nn.Parameter]) -> None:
        gradients: list[Tensor] = [p.grad for p in parameters if p.grad is not None]
        if self.adaptive:
            sizes = torch._foreach_abs(list(parameters))  # noqa: SLF001
            gradients = list(torch._foreach_mul(gradients, sizes))  # noqa: SLF001
        norms = torch._foreach_norm(gradients)  # noqa: SLF001
        kind = torch.promote_types(gradients[0].dtype, torch.float32)
        norm = torch.linalg.vector_norm(torch.stack([n.to(kind) for n in norms]))
        if self.adaptive:
            gradients = list(torch._foreach_mul(gradients, sizes))  # noqa: SLF001
        # one kernel, which does nothing where `found_inf` is 1: infinity times 0 is not 0
        torch._fused_sgd_(
            list(parameters), gradients, [], weight_decay=0.0, momentum=0.0,
            lr=self.rho / (norm + 1e-12), dampening=0.0, nesterov=False, maximize=True,
            is_first_step=False, found_inf=(~torch.isfinite(norm)).float(),
        )  # fmt: skip


@contextmanager
def frozen_bn_statistics(layers: Iterable[BatchNorm]) -> Iterator[None]:
    """Inside, batch normalisation uses the batch but neither moves its statistics nor counts."""
    kept = [
        (layer, layer.momentum, layer.num_batches_tracked) for layer in layers if layer.training
    ]
    for module, _, count in kept:
        module.momentum, module.num_batches_tracked = 0.0, None
        if isinstance(module, nn.SyncBatchNorm) and count is not None:
            module.num_batches_tracked = count.clone()  # it insists on counting
    try:
        yield
    finally:
        for module, momentum, count in kept:
            module.momentum, module.num_batches_tracked = momentum, count
