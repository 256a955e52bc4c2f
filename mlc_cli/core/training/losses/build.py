"""From loss settings to a loss."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from mlc_cli.core.training.losses.base import ElementLoss, MultilabelLoss, Selective, Taught
from mlc_cli.core.training.losses.elements import Aam, Asl, Bce
from mlc_cli.settings import loss

POS_WEIGHT_RANGE = (0.1, 20.0)


def build_loss(
    settings: loss.LossSettings,
    *,
    scale: float,
    positives_C: NDArray[np.int64],
    negatives_C: NDArray[np.int64],
    device: torch.device,
    distill: loss.DistillSettings | None = None,
) -> MultilabelLoss:
    """Build a loss of logits that contain a scale.

    Training images of which a class is unknown are in neither of its counts.
    """
    elements = _build_elements(settings, scale)
    return MultilabelLoss(
        elements,
        settings.reduction,
        settings.label_smoothing,
        _pos_weight(settings.pos_weight, positives_C, negatives_C, device),
        _unknown(settings, elements, positives_C, negatives_C, device),
        Taught(distill.temperature, distill.weight) if distill else None,
    )


def _unknown(
    settings: loss.LossSettings,
    elements: ElementLoss,
    positives_C: NDArray[np.int64],
    negatives_C: NDArray[np.int64],
    device: torch.device,
) -> Selective | None:
    """A class of which no absence is known tells nothing of how frequent it is."""
    if settings.unknown == "ignore":
        return None
    if settings.unknown == "absent":
        return Selective(elements)
    wanted = settings.selective
    if isinstance(elements, Bce):
        focused: ElementLoss = Asl(wanted.gamma, 0.0, 0.0, focal_gradient=False)
    else:
        assert isinstance(elements, Asl | Aam)
        focused = replace(elements, gamma_neg=wanted.gamma)
    known_C = np.maximum(positives_C + negatives_C, 1)
    frequent_C = (positives_C / known_C > wanted.frequent) & (negatives_C > 0)
    on_device = torch.tensor(frequent_C, device=device)
    return Selective(focused, wanted.weight, wanted.likeliest, on_device)


def _build_elements(settings: loss.LossSettings, scale: float) -> ElementLoss:
    own = settings.model_dump(exclude={"name", *loss.LossBaseSettings.model_fields})
    match settings:
        case loss.BceSettings():
            return Bce()
        case loss.AslSettings():
            return Asl(**own)
        case loss.AamSettings():
            return Aam(scale, **own)


def _pos_weight(
    wanted: float | str | None,
    positives_C: NDArray[np.int64],
    negatives_C: NDArray[np.int64],
    device: torch.device,
) -> torch.Tensor | None:
    if wanted is None:
        return None
    if wanted == "auto":
        weights = negatives_C / np.maximum(positives_C, 1)
        return torch.tensor(weights.clip(*POS_WEIGHT_RANGE), dtype=torch.float32, device=device)
    return torch.full((len(positives_C),), float(wanted), device=device)
