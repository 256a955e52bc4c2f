"""What all losses share: masks, smoothing, weights and reduction.

Names of arrays: N images, C classes. Targets are 1 present, 0 absent, between for mixtures, and
negative for unknown. Everything is computed in float32 where the logits come in less.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mlc_cli.core.system.precision import full_precision

Reduction = Literal["batch_mean", "sum"]


class ElementLoss(Protocol):
    """Positive and negative terms of a loss."""

    def __call__(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The terms of present and of absent labels, each N×C, already weighted by the targets."""


@dataclass(frozen=True)
class Selective:
    """Unknown labels as absent ones, as far as that is safe (Ben-Baruch et al. 2022).

    Attributes:
        elements: Of unknown labels.
        weight: Of them against known ones.
        likeliest: That many times the images of a batch are left out, those of the highest logits.
        frequent_C: Classes whose unknown labels are left out.
    """

    elements: ElementLoss
    weight: float = 1.0
    likeliest: float = 0.0
    frequent_C: Tensor | None = None

    def counted(self, logits_NC: Tensor, unknown_NC: Tensor) -> Tensor:
        """The unknown labels that are taken for absent, N×C."""
        counted_NC = unknown_NC if self.frequent_C is None else unknown_NC & ~self.frequent_C
        number = min(round(self.likeliest * len(logits_NC)), logits_NC.numel())
        likely = torch.where(unknown_NC, logits_NC, -torch.inf).flatten().topk(number).indices
        return counted_NC.flatten().index_fill(0, likely, value=False).view_as(unknown_NC)


@dataclass(frozen=True)
class Taught:
    """Binary KL divergence from what teachers say (Hinton, Vinyals & Dean 2015, arXiv 1503.02531).

    T² (p ln(p / q) + (1 - p) ln((1 - p) / (1 - q))), p = σ(teacher / T), q = σ(logit / T).

    Attributes:
        temperature: T; its square keeps the size of the gradients.
        weight: Of it in the loss; labels have the rest of 1.
    """

    temperature: float
    weight: float

    def __call__(self, logits_NC: Tensor, taught_NC: Tensor) -> Tensor:
        """Terms, N×C."""
        x, t = logits_NC / self.temperature, taught_NC / self.temperature
        p = t.sigmoid()
        crossed, own = (binary_cross_entropy_with_logits(y, p, reduction="none") for y in (x, t))
        return (crossed - own) * self.temperature**2


@dataclass(frozen=True)
class MultilabelLoss:
    """A loss over a batch: smoothing, elements, class weights, mask, reduction.

    Attributes:
        elements: Terms of each image and class.
        reduction: Sum over classes, then mean (`batch_mean`) or sum over images.
        label_smoothing: e turns targets t into t (1 - e) + (1 - t) e.
        pos_weight_C: Weight of the positive term of each class, if any.
        unknown: What is made of unknown labels; `None` leaves them out.
        taught: What is made of the logits of teachers, where there are some.
    """

    elements: ElementLoss
    reduction: Reduction
    label_smoothing: float = 0.0
    pos_weight_C: Tensor | None = None
    unknown: Selective | None = None
    taught: Taught | None = None

    def __call__(
        self, logits_NC: Tensor, targets_NC: Tensor, taught_NC: Tensor | None = None
    ) -> Tensor:
        """Scalar loss; images without any known label count in the mean and add nothing."""
        with full_precision(logits_NC.device):
            kind = torch.promote_types(logits_NC.dtype, torch.float32)
            logits, targets = logits_NC.to(kind), targets_NC.to(kind)
            known = targets >= 0
            targets = targets.clamp(min=0)
            if self.label_smoothing:
                targets = targets.lerp(1 - targets, self.label_smoothing)
            positive, negative = self.elements(logits, targets)
            if self.pos_weight_C is not None:
                positive = positive * self.pos_weight_C
            total = torch.where(known, positive + negative, 0.0).sum()
            if self.unknown:
                counted = self.unknown.counted(logits.detach(), ~known)
                present, absent = self.unknown.elements(logits, targets)
                terms = torch.where(counted, present + absent, 0.0)
                total = total + self.unknown.weight * terms.sum()
            if self.taught and taught_NC is not None:
                terms = self.taught(logits, taught_NC.to(kind))
                total = torch.lerp(total, terms.sum(), self.taught.weight)
            return total / len(logits) if self.reduction == "batch_mean" else total
