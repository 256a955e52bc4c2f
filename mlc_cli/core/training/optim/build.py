"""From optimiser settings to optimiser, schedule and the rest."""

from collections.abc import Mapping
from typing import Any

import torch
from timm.optim._optim_factory import create_optimizer_v2
from torch import nn

from mlc_cli.core.training.optim import schedules
from mlc_cli.settings import optim


def build_optimizer(
    settings: optim.OptimSettings, model: nn.Module, depth_of: Mapping[str, int]
) -> torch.optim.Optimizer:
    """Build the optimiser; each of its groups carries its `lr_scale`.

    `depth_of` has the layers between each parameter of the backbone and its output; parameters
    that are not in it belong to the head.
    """
    groups = _groups(settings, model, depth_of)
    name = {"sgd": "momentum"}.get(settings.name, settings.name)
    if isinstance(settings, optim.SgdSettings) and settings.nesterov:
        name = "nesterov"
    arguments = settings.model_dump(include={"betas", "momentum", "alpha"})
    devices = {p.device.type for group in groups for p in group["params"]}
    if devices <= {"cpu", "cuda"} and settings.name in ("sgd", "adamw"):
        arguments["fused"] = True  # one kernel, which heeds the gradient scaler by itself
    else:
        arguments["foreach"] = True
    optimizer: torch.optim.Optimizer = create_optimizer_v2(groups, name, settings.lr, **arguments)
    return optimizer


def _groups(
    settings: optim.OptimSettings, model: nn.Module, depth_of: Mapping[str, int]
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


def build_schedule(
    settings: optim.ScheduleSettings, steps: int, steps_per_epoch: int
) -> schedules.Schedule:
    """Build the schedule of a training of so many steps."""
    warmup = (settings.warmup_epochs or 0) * steps_per_epoch
    match settings:
        case optim.OneCycleSettings(pct_start=pct_start, div=div, final_div=final_div):
            if settings.warmup_epochs is not None:
                pct_start = min(1.0, (warmup + 1) / steps)
            return schedules.OneCycle(steps, pct_start, div, final_div, settings.momentum)
        case optim.CosineSettings(final=final):
            return schedules.Cosine(warmup, steps, final)
        case optim.StepSettings(every=every, gamma=gamma):
            falls = range(every * steps_per_epoch, steps, every * steps_per_epoch)
            return schedules.Milestones(warmup, tuple(falls), gamma)
        case optim.MultiStepSettings(milestones=milestones, gamma=gamma):
            return schedules.Milestones(
                warmup, tuple(epoch * steps_per_epoch for epoch in milestones), gamma
            )
        case optim.PlateauSettings(factor=factor, patience=patience, final=final):
            return schedules.Plateau(warmup, factor, patience, final)
        case optim.ConstantSettings():
            return schedules.Constant(warmup)
