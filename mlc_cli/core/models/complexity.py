"""How large a model is."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.system.machine import machine_error
from mlc_cli.errors import SettingsError


@dataclass(frozen=True)
class Complexity:
    """Size of a model.

    Attributes:
        gmacs: Multiply-accumulates of convolutions and products for one image, in 1e9.
        mparams: Parameters, in 1e6.
        trained_mparams: Parameters that learn, in 1e6.
    """

    gmacs: float
    mparams: float
    trained_mparams: float


def complexity(model: nn.Module, size: tuple[int, int]) -> Complexity:
    """Count parameters, and multiply-accumulates of one image of a height and width.

    Raises:
        SettingsError: The model cannot take images of this size.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    counter = FlopCounterMode(display=False)
    parameters = list(model.parameters())
    learnt = [p for p in parameters if p.requires_grad]
    for parameter in learnt:  # the counter fails at one that a module hands to another (PiT)
        parameter.requires_grad = False
    try:
        with torch.no_grad(), counter:
            forward = model.folded() if isinstance(model, Classifier) else model
            forward(torch.zeros(1, 3, *size, device=device))
    except Exception as error:  # models of timm raise what they like
        if found := machine_error(error):
            raise found from error
        raise SettingsError(
            f"data.input_size: the model cannot take images of {size[0]}x{size[1]}:"
            f" {str(error) or type(error).__name__}",
            "Models made of patches want multiples of their side, most often 14, 16 or 32; some"
            " take one size alone, or give no map of features: choose another model.backbone then.",
        ) from error
    finally:
        for parameter in learnt:
            parameter.requires_grad = True
    model.train(training)
    return Complexity(
        gmacs=counter.get_total_flops() / 2e9,
        mparams=sum(p.numel() for p in parameters) / 1e6,
        trained_mparams=sum(p.numel() for p in learnt) / 1e6,
    )
