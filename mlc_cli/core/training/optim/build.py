"""From optimiser settings to optimiser, schedule and the rest."""

from collections.abc import Mapping
from typing import Any

import torch
from timm.optim._optim_factory import create_optimizer_v2
from torch import nn

from mlc_cli.core.training.optim.schedules import (
    Constant,
    Cosine,
    Milestones,
    OneCycle,
    Plateau,
    Schedule,
)
from mlc_cli.settings.optim import (
    AdamWSettings,
    ConstantSettings,
    CosineSettings,
    MultiStepSettings,
    OneCycleSettings,
    OptimSettings,
    PlateauSettings,
    RAdamSettings,
    RmsPropSettings,
    ScheduleSettings,
    SgdSettings,
    StepSettings,
)


def build_optimizer(
    settings: OptimSettings, model: nn.Module, depth_of: Mapping[str, int]
) -> torch.optim.Optimizer:
    """Build the optimiser; each of its groups carries its `lr_scale`.

    Args:
        settings: Of the optimiser.
        model: Whose parameters learn.
        depth_of: Layers between each parameter of the backbone and its output, by name;
            parameters that are not in it belong to the head.
    """
    groups = _groups(settings, model, depth_of)
    arguments: dict[str, Any]
    match settings:
        case SgdSettings(momentum=momentum, nesterov=nesterov):
            arguments = {"opt": "nesterov" if nesterov else "momentum", "momentum": momentum}
        case AdamWSettings(betas=betas):
            arguments = {"opt": "adamw", "betas": betas}
        case RAdamSettings(betas=betas):
            arguments = {"opt": "radam", "betas": betas}
        case RmsPropSettings(momentum=momentum, alpha=alpha):
            arguments = {"opt": "rmsprop", "momentum": momentum, "alpha": alpha}
    devices = {p.device.type for group in groups for p in group["params"]}
    if devices <= {"cpu", "cuda"} and arguments["opt"] not in ("radam", "rmsprop"):
        arguments["fused"] = True  # one kernel, which heeds the gradient scaler by itself
    else:
        arguments["foreach"] = True
    optimizer: torch.optim.Optimizer = create_optimizer_v2(groups, lr=settings.lr, **arguments)
    return optimizer


def _groups(
    settings: OptimSettings, model: nn.Module, depth_of: Mapping[str, int]
) -> list[dict[str, Any]]:
    """The parameters that learn, by learning-rate scale and weight decay.

    Those of one dimension (biases, normalisation) have no weight decay.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        scale = settings.bias_lr_scale if name.endswith("bias") else 1.0
        if name in depth_of:
            scale *= settings.backbone_lr_scale * (settings.layer_decay or 1.0) ** depth_of[name]
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        if parameter.requires_grad and scale:
            groups.setdefault((scale, decay), []).append(parameter)
    return [
        {"params": members, "lr_scale": scale, "weight_decay": decay}
        for (scale, decay), members in groups.items()
    ]


def build_schedule(settings: ScheduleSettings, steps: int, steps_per_epoch: int) -> Schedule:
    """Build the schedule of a training of so many steps."""
    match settings:
        case OneCycleSettings(pct_start=pct_start, div=div, final_div=final_div):
            if settings.warmup_epochs is not None:
                pct_start = min(1.0, (settings.warmup_epochs * steps_per_epoch + 1) / steps)
            return OneCycle(steps, pct_start, div, final_div, settings.momentum)
        case CosineSettings(warmup_epochs=epochs, final=final):
            return Cosine(epochs * steps_per_epoch, steps, final)
        case StepSettings(warmup_epochs=epochs, every=every, gamma=gamma):
            falls = list(range(every * steps_per_epoch, steps, every * steps_per_epoch))
            return Milestones(epochs * steps_per_epoch, tuple(falls), gamma)
        case MultiStepSettings(warmup_epochs=epochs, milestones=milestones, gamma=gamma):
            falls = sorted(epoch * steps_per_epoch for epoch in milestones)
            return Milestones(epochs * steps_per_epoch, tuple(falls), gamma)
        case PlateauSettings(warmup_epochs=epochs, factor=factor, patience=patience, final=final):
            return Plateau(epochs * steps_per_epoch, factor, patience, final)
        case ConstantSettings(warmup_epochs=epochs):
            return Constant(epochs * steps_per_epoch)
