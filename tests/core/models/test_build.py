from pathlib import Path

import pytest
import torch

from mlc_cli.core.models.build import build_head, build_model, load_classifier
from mlc_cli.core.models.heads.base import Head, auto_scale
from mlc_cli.core.models.heads.graph import GraphHead, LabelGraph
from mlc_cli.core.models.heads.ml_decoder import MLDecoder
from mlc_cli.core.models.heads.pooled import CosineHead, LinearHead
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.runs.checkpoint import read_card, save_checkpoint
from mlc_cli.errors import CheckpointError, MlcError, SettingsError
from mlc_cli.settings.model import ModelSettings

SIZE = (64, 96)
SMALL_DECODER = {"name": "ml_decoder", "dim": 32, "heads": 4, "ffn_dim": 16}
HEADS = {
    "linear": ({"name": "linear", "scale": 3}, LinearHead, 3),
    "cosine": ({"name": "cosine"}, CosineHead, auto_scale(300)),
    "ml_decoder": ({**SMALL_DECODER, "cosine": True, "scale": 17}, MLDecoder, 17),
    "gcn": ({"name": "graph", "scale": 3}, GraphHead, 3),
    "gat": (
        {"name": "graph", "layer": "gat", "hidden": 6, "cosine": True, "scale": 5},
        GraphHead,
        5,
    ),
}


def settings(**changes: object) -> ModelSettings:
    plain = {"backbone": "test_resnet", "pretrained": False, **changes}
    return ModelSettings.model_validate(plain)


def names(count: int) -> list[str]:
    return [f"class {number}" for number in range(count)]


def graph(count: int) -> LabelGraph:
    return LabelGraph(torch.randn(count, 4), torch.eye(count) + 0.1 * torch.ones(count, count))


@torch.no_grad()
@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("backbone", ["test_efficientnet", "test_vit"])
def test_logits_contain_the_scale(name: str, backbone: str) -> None:
    wanted, kind, scale = HEADS[name]
    built = build_model(settings(head=wanted, backbone=backbone), names(300), SIZE, graph(300))
    model = built.classifier.eval()
    images = torch.randn(2, 3, *SIZE)
    logits = model(images)
    assert isinstance(model.head, kind)
    assert logits.shape == (2, 300)
    assert float(model.head.scale) == pytest.approx(scale)
    for head in model.modules():
        if isinstance(head, Head):
            head.scale.fill_(1.0)
    torch.testing.assert_close(logits, model(images) * scale)


def test_settings_reach_the_decoder() -> None:
    head = build_head(
        settings(head={**SMALL_DECODER, "groups": 3, "bias": False, "dropout": 0.3}).head, 8, 10
    )
    assert head.queries.shape == (3, 32)
    assert head.class_bias is None
    assert head.query_dropout.p == 0.3
    assert head.attention.heads == 4


def test_attention_heads_must_divide_the_width() -> None:
    with pytest.raises(SettingsError, match=r"model\.head\.heads: must divide"):
        build_head(settings(head={**SMALL_DECODER, "heads": 5}).head, 8, 10)


def test_mean_and_std_come_from_the_backbone_unless_set() -> None:
    built = build_model(settings(), names(2), SIZE)
    assert (built.mean, built.std) == (
        built.classifier.backbone.mean,
        built.classifier.backbone.std,
    )
    half = (0.5, 0.5, 0.5)
    built = build_model(settings(mean=half, std=half), names(2), SIZE)
    assert (built.mean, built.std) == (half, half)


def save(path: Path, wanted: ModelSettings, classes: list[str]) -> torch.nn.Module:
    built = build_model(wanted, classes, SIZE, graph(len(classes)))
    plain = wanted.model_dump(mode="json")
    card = ModelCard(
        classes, plain, SIZE, built.mean, built.std, float(built.classifier.head.scale)
    )
    save_checkpoint(path, built.classifier.state_dict(), card)
    return built.classifier


@torch.no_grad()
@pytest.mark.parametrize("name", HEADS)
def test_classifier_comes_back_from_its_checkpoint(tmp_path: Path, name: str) -> None:
    saved = save(tmp_path / "x.safetensors", settings(head=HEADS[name][0]), names(5)).eval()
    loaded, card = load_classifier(tmp_path / "x.safetensors")
    images = torch.randn(2, 3, *SIZE)
    assert not loaded.training
    assert torch.equal(loaded(images), saved(images))
    assert card.classes == names(5)


def test_checkpoint_with_other_weights_is_refused(tmp_path: Path) -> None:
    built = build_model(settings(), names(5), SIZE)
    plain = settings(backbone="test_vit").model_dump(mode="json")
    card = ModelCard(names(5), plain, SIZE, built.mean, built.std, 1.0)
    save_checkpoint(tmp_path / "x.safetensors", built.classifier.state_dict(), card)
    with pytest.raises(CheckpointError, match="do not fit its model"):
        load_classifier(tmp_path / "x.safetensors")


def test_a_graph_head_without_its_graph_is_refused(tmp_path: Path) -> None:
    wanted, path = settings(head=HEADS["gcn"][0]), tmp_path / "x.safetensors"
    state = save(path, wanted, names(5)).state_dict()
    del state["head.weights.links_CC"]
    save_checkpoint(path, state, read_card(path))
    with pytest.raises(CheckpointError, match=r"do not fit its model: 'head\.weights\.links_CC'"):
        load_classifier(path)


def test_training_starts_from_a_checkpoint_with_its_head(tmp_path: Path) -> None:
    saved = save(tmp_path / "x.safetensors", settings(), names(5))
    wanted = settings(weights=str(tmp_path / "x.safetensors"), pretrained=True)
    built = build_model(wanted, names(5), SIZE)
    assert built.report is not None
    for name, value in saved.state_dict().items():
        assert torch.equal(built.classifier.state_dict()[name], value)


def test_training_starts_from_weights_of_other_origin(tmp_path: Path) -> None:
    saved = build_model(settings(), names(5), SIZE).classifier.backbone.model.state_dict()
    torch.save(saved, tmp_path / "x.pth")
    built = build_model(settings(weights=str(tmp_path / "x.pth")), names(5), SIZE)
    loaded = built.classifier.backbone.model.state_dict()
    assert built.report.loaded == len(saved)
    assert all(torch.equal(loaded[name], value) for name, value in saved.items())


@pytest.mark.parametrize("name", ["missing.pth", "missing.safetensors", "damaged.safetensors"])
def test_weights_that_cannot_be_read_stop_the_build(tmp_path: Path, name: str) -> None:
    (tmp_path / "damaged.safetensors").write_bytes(b"damaged")
    with pytest.raises(MlcError, match=name):
        build_model(settings(weights=str(tmp_path / name)), names(5), SIZE)
