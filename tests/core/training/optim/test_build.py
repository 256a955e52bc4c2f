"""Optimisers and parameter groups against torch's and timm's own."""

from collections.abc import Iterator

import pytest
import timm
import torch
from timm.optim import param_groups_layer_decay
from torch import nn

from mlc_cli.core.models.backbone import create_backbone, layer_depths
from mlc_cli.core.training.optim.build import build_optimizer
from mlc_cli.settings.optim import (
    AdamWSettings,
    OptimSettings,
    RAdamSettings,
    RmsPropSettings,
    SgdSettings,
)


def small_model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.ModuleDict(
        {
            "backbone": nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 5)),
            "head": nn.Linear(5, 3),
        }
    )


def random_gradients(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def split(model: nn.Module) -> Iterator[tuple[list[nn.Parameter], bool]]:
    parameters = list(model.parameters())
    yield [p for p in parameters if p.ndim > 1], True
    yield [p for p in parameters if p.ndim <= 1], False


def torch_groups(model: nn.Module, decay: float) -> list[dict[str, object]]:
    return [{"params": p, "weight_decay": decay if big else 0.0} for p, big in split(model)]


@pytest.mark.parametrize(
    "settings",
    [
        SgdSettings(lr=0.1, weight_decay=0.05),
        SgdSettings(lr=0.1, weight_decay=0.05, momentum=0.0),
        SgdSettings(lr=0.1, weight_decay=0.05, momentum=0.8, nesterov=True),
        AdamWSettings(lr=0.01, weight_decay=0.05),
        AdamWSettings(lr=0.01, weight_decay=0.0, betas=(0.8, 0.95)),
    ],
)
def test_each_optimizer_steps_as_torchs_own(settings: OptimSettings) -> None:
    ours, theirs = small_model(), small_model()
    optimizer = build_optimizer(settings, ours, {})
    groups = torch_groups(theirs, settings.weight_decay)
    reference: torch.optim.Optimizer
    if isinstance(settings, SgdSettings):
        reference = torch.optim.SGD(
            groups, settings.lr, momentum=settings.momentum, nesterov=settings.nesterov
        )
    else:
        reference = torch.optim.AdamW(groups, settings.lr, betas=settings.betas)
    for step in range(6):
        for model, opt in ((ours, optimizer), (theirs, reference)):
            random_gradients(model, step)
            opt.step()
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-7)


def scales(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, tuple[float, float]]:
    by_id = {
        id(parameter): (group["lr_scale"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    return {name: by_id[id(p)] for name, p in model.named_parameters() if id(p) in by_id}


def test_groups_carry_scales_of_backbone_depth_and_bias_and_spare_vectors_from_decay() -> None:
    settings = AdamWSettings(
        weight_decay=0.1, backbone_lr_scale=0.5, layer_decay=0.8, bias_lr_scale=2.0
    )
    model = small_model()
    depth_of = {
        name: 0 if name.startswith("backbone.2") else 1
        for name, _ in model.named_parameters()
        if name.startswith("backbone")
    }
    found = scales(build_optimizer(settings, model, depth_of), model)
    assert found == {
        "backbone.0.weight": (pytest.approx(0.4), 0.1),
        "backbone.0.bias": (pytest.approx(0.8), 0.0),
        "backbone.1.weight": (pytest.approx(0.4), 0.0),
        "backbone.1.bias": (pytest.approx(0.8), 0.0),
        "backbone.2.weight": (0.5, 0.1),
        "backbone.2.bias": (1.0, 0.0),
        "head.weight": (1.0, 0.1),
        "head.bias": (2.0, 0.0),
    }


def test_frozen_parameters_and_those_without_a_learning_rate_are_in_no_group() -> None:
    model = small_model()
    model["head"].bias.requires_grad = False  # type: ignore[index, union-attr]
    depth_of = {n: 0 for n, _ in model.named_parameters() if n.startswith("backbone")}
    found = scales(build_optimizer(AdamWSettings(backbone_lr_scale=0.0), model, depth_of), model)
    assert set(found) == {"head.weight"}


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_layer_decay_equals_that_of_timm(name: str) -> None:
    model = create_backbone(name, (32, 32), pretrained=False)
    found = scales(
        build_optimizer(
            AdamWSettings(layer_decay=0.7, weight_decay=0.1), model, layer_depths(model)
        ),
        model,
    )
    by_id = {
        id(parameter): (group["lr_scale"], group["weight_decay"])
        for group in param_groups_layer_decay(model, 0.1, layer_decay=0.7)
        for parameter in group["params"]
    }
    assert len({scale for scale, _ in found.values()}) > 2
    for parameter_name, parameter in model.named_parameters():
        scale, decay = by_id[id(parameter)]
        # timm spares vectors alone; ours spares scalars as well, of which these models have none
        assert found[parameter_name] == (pytest.approx(scale), decay), parameter_name


def test_groups_are_few_and_hold_every_parameter_once() -> None:
    model = timm.create_model("test_resnet", num_classes=3)
    groups = build_optimizer(AdamWSettings(), model, {}).param_groups
    members = [id(p) for group in groups for p in group["params"]]
    assert len(groups) == 2
    assert sorted(members) == sorted(id(p) for p in model.parameters())


@pytest.mark.parametrize("settings", [AdamWSettings(), RAdamSettings(), RmsPropSettings()])
def test_a_resumed_optimizer_reads_its_counters_without_waiting_for_the_device(
    settings: OptimSettings,
) -> None:
    model, elsewhere = small_model(), small_model().to("meta")
    saved = build_optimizer(settings, model, {})
    random_gradients(model, 0)
    saved.step()
    optimizer = build_optimizer(settings, elsewhere, {})
    optimizer.load_state_dict(saved.state_dict())
    fused = saved.param_groups[0].get("fused", False)
    assert fused == (settings.name == "adamw"), (
        "one kernel counts on the device, Python on the host"
    )
    for kept in optimizer.state.values():
        assert kept.pop("step").device.type == ("meta" if fused else "cpu")
        assert {value.device.type for value in kept.values()} == {"meta"}
