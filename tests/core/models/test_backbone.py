import socket
import time
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from mlc_cli.core.models.backbone import Backbone, create_backbone, layer_depths, stages
from mlc_cli.core.models.complexity import complexity
from mlc_cli.errors import SettingsError, WeightsError


def backbone(name: str, size: tuple[int, int] = (64, 96), **options: object) -> Backbone:
    torch.manual_seed(0)
    return Backbone(create_backbone(name, size, pretrained=False), **options)


def images(size: tuple[int, int]) -> torch.Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet"])
def test_convolutional_map_is_passed_on(name: str) -> None:
    model = backbone(name).eval()
    found = model(images((64, 96)))
    assert found.shape == (2, model.channels, 2, 3)
    assert torch.equal(found, model.model.forward_features(images((64, 96))))


@torch.no_grad()
def test_map_with_channels_last_is_turned() -> None:
    size = (64, 96)
    model = backbone("swin_tiny_patch4_window7_224", size).eval()
    found = model(images(size))
    expected = model.model.forward_features(images(size))
    assert expected.shape == (2, 2, 3, model.channels)
    assert found.shape == (2, model.channels, 2, 3)
    for row, column in ((0, 0), (0, 2), (1, 0), (1, 2)):
        assert torch.equal(found[:, :, row, column], expected[:, row, column])


@torch.no_grad()
@pytest.mark.parametrize("name", ["test_vit", "test_vit2"])
@pytest.mark.parametrize("size", [(64, 96), (96, 64), (16, 160), (160, 160)])
def test_tokens_are_laid_out_in_rows_without_the_prefix(name: str, size: tuple[int, int]) -> None:
    model = backbone(name, size).eval()
    found = model(images(size))
    tokens = model.model.fc_norm(model.model.forward_features(images(size)))
    rows, columns = size[0] // 16, size[1] // 16
    prefix = model.model.num_prefix_tokens
    assert prefix > 0
    assert found.shape == (2, model.channels, rows, columns)
    for row, column in ((0, 0), (0, columns - 1), (rows - 1, 0), (rows // 2, columns // 2)):
        token = tokens[:, prefix + row * columns + column]
        assert torch.equal(found[:, :, row, column], token)


@torch.no_grad()
def test_tokens_of_a_backbone_that_pads_are_laid_out_in_rows() -> None:
    model = backbone("xcit_nano_12_p16_224", (464, 225)).eval()
    tokens = model.model.forward_features(images((464, 225)))
    found = model(images((464, 225)))
    assert found.shape == (2, 128, 29, 15)
    assert torch.equal(found[:, :, 28, 3], tokens[:, 1 + 28 * 15 + 3])


def trained(model: Backbone) -> set[str]:
    return {name for name, parameter in model.model.named_parameters() if parameter.requires_grad}


def batch_norm_state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items() if "running" in k}


@torch.no_grad()
@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_batch_norm_keeps_its_statistics_in_training(frozen: bool) -> None:
    model = backbone("test_resnet", freeze_bn=frozen).train()
    before = batch_norm_state(model)
    model(images((64, 96)))
    after = batch_norm_state(model)
    assert before
    assert all(torch.equal(before[k], after[k]) for k in before) == frozen
    assert len(trained(model)) == len(list(model.parameters()))


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit"])
def test_frozen_stages_are_the_first_ones(name: str) -> None:
    free = backbone(name)
    stage_of = stages(free.model)
    last = max(stage_of.values())
    assert sorted(set(stage_of.values())) == list(range(last + 1))
    for count in (1, 2, last + 1):
        model = backbone(name, freeze_stages=count)
        assert trained(model) == {k for k, stage in stage_of.items() if stage >= count}
    assert trained(backbone(name, freeze_stages=last + 1)) == set()
    assert trained(free) == set(stage_of)


def test_stem_is_the_first_stage() -> None:
    first = {name for name, stage in stages(backbone("test_resnet").model).items() if stage == 0}
    assert "conv1.0.weight" in first or "conv1.weight" in first
    assert not any(name.startswith("layer") for name in first)


@torch.no_grad()
def test_batch_norm_of_frozen_stages_keeps_its_statistics() -> None:
    model = backbone("test_resnet", freeze_stages=2).train()
    before = batch_norm_state(model.model)
    model(images((64, 96)))
    after = batch_norm_state(model.model)
    kept = {name for name in before if torch.equal(before[name], after[name])}
    frozen = {k.rsplit(".", 1)[0] for k, stage in stages(model.model).items() if stage < 2}
    assert kept == {name for name in before if name.rsplit(".", 1)[0] in frozen}
    assert kept
    assert kept != set(before)


def test_what_is_infinite_from_the_start_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = create_backbone("test_resnet", (64, 64), pretrained=False)
    made.register_buffer("bound", torch.tensor(float("inf")))
    monkeypatch.setattr("mlc_cli.core.models.backbone._make", lambda *_, **__: made)
    with pytest.raises(SettingsError, match="test_resnet cannot be used: its bound is infinite"):
        create_backbone("test_resnet", (64, 64), pretrained=False)


def test_too_many_frozen_stages_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"model\.freeze_stages: the backbone has \d stages"):
        backbone("test_resnet", freeze_stages=100)


def test_depth_counts_layers_from_the_output() -> None:
    depths = layer_depths(backbone("test_vit").model)
    assert set(depths) == {name for name, _ in backbone("test_vit").model.named_parameters()}
    assert min(depths.values()) == 0
    assert depths["patch_embed.proj.weight"] == max(depths.values())
    assert depths["blocks.0.attn.qkv.weight"] > depths["blocks.1.attn.qkv.weight"]


def test_unknown_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(SettingsError, match="timm has no model 'resnett50'") as caught:
        backbone("resnett50")
    assert "resnet50" in caught.value.hint


@pytest.mark.parametrize("name", ["", "qqqqqqqqqqqq", "hf-hub:timm/resnet50.a1_in1k"])
def test_name_without_a_near_one_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="timm has no model"):
        backbone(name)


def test_unknown_weights_tag_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"timm has no weights 'test_resnet\.best'") as caught:
        backbone("test_resnet.best")
    assert "test_resnet.r160_in1k" in caught.value.hint


def test_name_may_carry_the_prefix_of_the_hub() -> None:
    assert backbone("timm/test_vit.r160_in1k")(images((64, 96))).shape == (2, 64, 4, 6)


def test_option_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"model\.backbone: vgg11 cannot be made"):
        create_backbone("vgg11", (64, 64), pretrained=False, drop_path=0.1)


def test_stochastic_depth_reaches_the_model() -> None:
    model = create_backbone("test_vit", (64, 64), pretrained=False, drop_path=0.5)
    assert any(getattr(module, "drop_prob", 0) == 0.5 for module in model.modules())


def test_mean_and_std_are_those_of_the_weights() -> None:
    config = timm.get_pretrained_cfg("test_vit")
    model = backbone("test_vit")
    assert (model.mean, model.std) == (config.mean, config.std)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No name is resolved, nothing is cached; gives the folder of the hub's cache."""

    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("no_network")
def test_weights_out_of_reach_are_an_error_at_once() -> None:
    start = time.monotonic()
    with pytest.raises(WeightsError, match="the hub is not reachable") as caught:
        create_backbone("test_resnet", (64, 64), pretrained=True)
    assert time.monotonic() - start < 2
    assert "--weights FILE" in caught.value.hint
    assert "model.pretrained=false" in caught.value.hint


@pytest.mark.usefixtures("no_network")
def test_weights_that_do_not_exist_are_an_error() -> None:
    with pytest.raises(WeightsError, match="No pretrained weights exist for convnextv2_small"):
        create_backbone("convnextv2_small", (64, 64), pretrained=True)


@pytest.mark.usefixtures("no_network")
def test_wrong_settings_are_not_blamed_on_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlc_cli.core.models.backbone._hub_is_out_of_reach", lambda _: False)
    with pytest.raises(SettingsError, match="drop_path_rate"):
        create_backbone("vgg11", (64, 64), pretrained=True, drop_path=0.1)


@pytest.mark.parametrize("size", [(160, 160), (96, 192)])
def test_cached_weights_are_loaded_without_a_network(
    no_network: Path, size: tuple[int, int]
) -> None:
    source = timm.create_model("test_vit")
    repository = no_network / "models--timm--test_vit.r160_in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("1" * 40)
    snapshot = repository / "snapshots" / ("1" * 40)
    snapshot.mkdir(parents=True)
    save_file(source.state_dict(), snapshot / "model.safetensors")
    found = create_backbone("test_vit", size, pretrained=True).state_dict()
    for name, value in source.state_dict().items():
        # The positions are interpolated to the new grid; the classifier is not wanted.
        if not name.startswith("head.") and (size == (160, 160) or name != "pos_embed"):
            assert torch.equal(found[name], value), name
    assert found["pos_embed"].shape[1] == 1 + size[0] * size[1] // 256


FAMILIES = {
    "beit_base_patch16_224": 64, "cait_xxs24_224": 64, "coat_lite_tiny": 64, "convit_tiny": 64,
    "test_convnext": 64, "cpubone_nano": 64, "csatv2": 64, "davit_tiny": 64,
    "edgenext_xx_small": 64, "efficientvit_b0": 64, "efficientvit_m0": 64, "fasternet_t0": 64,
    "ghostnet_050": 64, "hgnetv2_b0": 64, "hiera_tiny_224": 64, "inception_next_atto": 64,
    "lcnetv2_small": 64, "lowformer_b0": 64, "test_mambaout": 64, "poolformerv2_s12": 64,
    "mobilenetv3_small_050": 64, "pit_ti_224": 64, "rdnet_tiny": 64, "repghostnet_050": 64,
    "tiny_vit_5m_224": 64, "test_vit_relpos": 64, "vitamin_small_224": 64, "volo_d1_224": 64,
}  # fmt: skip
"""The smallest architectures of the families that are out of the ordinary; by hand all were run."""


@pytest.mark.parametrize("name", FAMILIES)
def test_every_parameter_that_learns_acts(name: str) -> None:
    model = backbone(name, (64, 64)).train()
    found = model(images((64, 64)))
    assert found.ndim == 4
    assert found.shape[:2] == (2, model.channels)
    (found.mean((2, 3)) ** 2).sum().backward()
    assert [k for k, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


@torch.no_grad()
@pytest.mark.parametrize("name", ["test_convnext", "test_mambaout", "davit_tiny"])
def test_the_last_norm_is_applied_to_the_map(name: str) -> None:
    model, without = backbone(name).eval(), backbone(name, last_norm=False).eval()
    model.model.head.norm.weight.fill_(2)
    model.model.head.norm.bias.fill_(3)
    found = model(images((64, 96)))
    deviations = found.std(1, correction=0)
    torch.testing.assert_close(deviations, torch.full_like(deviations, 2), rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(found.mean(1), torch.full_like(found.mean(1), 3))
    assert not without.model.head.norm.weight.requires_grad
    assert without(images((64, 96))).mean().abs() < 1


@torch.no_grad()
@pytest.mark.parametrize("name", ["test_resnet", "test_vit_relpos", "volo_d1_224"])
def test_features_are_those_of_timm_before_pooling(name: str) -> None:
    model = backbone(name, (64, 64)).eval()
    own = model.model.forward_features(images((64, 64)))
    found = model(images((64, 64))).flatten(2)
    if own.ndim == 4:
        assert torch.equal(found, own.flatten(2))
        return
    tokens = own[:, 1:] if name == "volo_d1_224" else model.model.fc_norm(own)
    assert torch.equal(found.mT, tokens)


@pytest.mark.parametrize(
    "name", ["coat_tiny", "crossvit_tiny_240", "efficientvim_m1", "halonet_h1"]
)
def test_what_gives_no_map_is_refused_by_name(name: str) -> None:
    with pytest.raises(SettingsError, match="cannot take images of 240x240"):
        complexity(backbone(name, (240, 240)), (240, 240))
