"""The terms of binary cross-entropy, ASL and AAM.

x is the scaled logit, t the target, σ the sigmoid. Logarithms of σ are taken as logsigmoid and
powers of σ as exponentials of it, so that value and gradient are finite for any logit.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid


@dataclass(frozen=True)
class Bce:
    """Binary cross-entropy: -t ln σ(x) - (1 - t) ln σ(-x)."""

    def __call__(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Positive and negative terms, N×C."""
        return -targets * logsigmoid(logits), -(1 - targets) * logsigmoid(-logits)


@dataclass(frozen=True)
class Asl:
    """Asymmetric loss (Ridnik et al. 2021, arXiv 2009.14119).

    With p = σ(x) and q = min(1 - p + clip, 1):
    -w (t ln p + (1 - t) ln q),  w = (1 - p t - q (1 - t))^(gamma_pos t + gamma_neg (1 - t)).

    Attributes:
        gamma_neg: Focusing of negatives.
        gamma_pos: Focusing of positives.
        clip: Shift of the probability of negatives.
        focal_gradient: Whether gradients flow through w. The authors of ASL take none.
    """

    gamma_neg: float
    gamma_pos: float
    clip: float
    focal_gradient: bool = True

    def __call__(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Positive and negative terms, N×C."""
        log_p, log_q = logsigmoid(logits), log_shifted(-logits, self.clip)
        weight = focus(log_p, log_q, targets, self.gamma_pos, self.gamma_neg)
        if isinstance(weight, Tensor) and not self.focal_gradient:
            weight = weight.detach()
        return -weight * targets * log_p, -weight * (1 - targets) * log_q


@dataclass(frozen=True)
class Aam:
    """Asymmetric angular margin loss (Prokofiev & Sovrasov 2022, arXiv 2209.06585).

    On x = s cos(angle), with P+ = σ(x - s m) and P- = σ(-x - s m):
    -w ((k / s) t ln P+ + ((1 - k) / s) (1 - t) ln P-).
    With a gamma above 0, P- becomes min(P- + clip, 1) and
    w = (P- t + P+ (1 - t))^(gamma_pos t + gamma_neg (1 - t)); else w = 1.

    Attributes:
        scale: s, which the logits already contain.
        margin: m, on the cosine.
        k: Weight of positives against negatives.
        gamma_neg: Focusing of negatives.
        gamma_pos: Focusing of positives.
        clip: Shift of the probability of negatives, where a gamma is set.
    """

    scale: float
    margin: float
    k: float
    gamma_neg: float
    gamma_pos: float
    clip: float

    def __call__(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Positive and negative terms, N×C."""
        shift = self.scale * self.margin
        log_p = logsigmoid(logits - shift)
        positive = -(self.k / self.scale) * targets
        negative = -((1 - self.k) / self.scale) * (1 - targets)
        if self.gamma_neg == 0 and self.gamma_pos == 0:
            return positive * log_p, negative * logsigmoid(-logits - shift)
        log_q = log_shifted(-logits - shift, self.clip)
        base = targets * log_q.exp() + (1 - targets) * log_p.exp()
        weight = _power(base, self.gamma_pos * targets + self.gamma_neg * (1 - targets))
        return weight * positive * log_p, weight * negative * log_q


def log_shifted(logits: Tensor, clip: float) -> Tensor:
    """Logarithm of min(σ(x) + clip, 1)."""
    if clip == 0:
        return logsigmoid(logits)
    return (logits.sigmoid() + clip).clamp(max=1).log()


def focus(
    log_p: Tensor, log_q: Tensor, targets: Tensor, gamma_pos: float, gamma_neg: float
) -> Tensor | float:
    """Focusing weight (1 - p t - q (1 - t))^(gamma_pos t + gamma_neg (1 - t))."""
    if gamma_neg == 0 and gamma_pos == 0:
        return 1.0
    base = 1 - log_p.exp() * targets - log_q.exp() * (1 - targets)
    return _power(base, gamma_pos * targets + gamma_neg * (1 - targets))


def _power(base: Tensor, exponent: Tensor) -> Tensor:
    """base^exponent; the floor keeps the gradient finite at 0 for exponents below 1."""
    return base.clamp(min=1e-8) ** exponent
