"""From optimiser settings to optimiser, schedule and the rest."""

from collections.abc import Mapping
from typing import Any

import torch
from timm.optim._optim_factory import create_optimizer_v2
from torch import nn

from mlc_cli.core.training.optim.early_stop import EarlyStop
from mlc_cli.core.training.optim.groups import parameter_groups
from mlc_cli.core.training.optim.sam import Sam
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
    EarlyStopSettings,
    MultiStepSettings,
    OneCycleSettings,
    OptimSettings,
    PlateauSettings,
    RAdamSettings,
    RmsPropSettings,
    SamSettings,
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

    def lr_scale_of(name: str) -> float:
        if name not in depth_of:
            return 1.0
        return settings.backbone_lr_scale * (settings.layer_decay or 1.0) ** depth_of[name]

    groups = parameter_groups(
        model.named_parameters(),
        weight_decay=settings.weight_decay,
        bias_lr_scale=settings.bias_lr_scale,
        lr_scale_of=lr_scale_of,
    )
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


def build_sam(settings: SamSettings) -> Sam:
    """Build the sharpness-aware step."""
    return Sam(settings.rho, settings.adaptive, settings.per_process, settings.statistics == "both")


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


def build_early_stop(settings: EarlyStopSettings) -> EarlyStop:
    """Build the rule for stopping early."""
    return EarlyStop(settings.patience, settings.min_delta, settings.rule)
