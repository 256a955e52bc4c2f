from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from torch import nn

from mlc_cli.core.models.backbone import Backbone, create_backbone
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.heads.pooled import CosineHead, LinearHead
from mlc_cli.core.models.weights.load import is_checkpoint, load, load_checkpoint
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.runs.checkpoint import save_checkpoint
from mlc_cli.errors import WeightsError


def timm_model(name: str = "test_resnet", seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return timm.create_model(name, num_classes=0, global_pool="")


def equal(first: nn.Module, second: nn.Module) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[name]) for name, value in first.state_dict().items())


def classifier(classes: int, seed: int, *, cosine: bool = False) -> Classifier:
    torch.manual_seed(seed)
    backbone = Backbone(timm_model(seed=seed))
    kind = CosineHead if cosine else LinearHead
    head = kind(backbone.channels, classes, pool="avg", dropout=0.0, scale=1.0)
    return Classifier(backbone, head)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    card = ModelCard(
        classes=["a", "b"],
        model={"backbone": "test_resnet", "head": {"name": "linear"}},
        input_size=(32, 32),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        scale=1.0,
    )
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, classifier(2, seed=1).state_dict(), card)
    return path


def test_checkpoint_is_told_from_other_weights(tmp_path: Path, checkpoint: Path) -> None:
    assert is_checkpoint(checkpoint)
    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors")
    torch.save({"a": torch.zeros(1)}, tmp_path / "x.pth")
    assert not is_checkpoint(tmp_path / "x.safetensors")
    assert not is_checkpoint(tmp_path / "x.pth")
    assert not is_checkpoint(tmp_path / "missing.safetensors")


def test_checkpoint_is_loaded_with_its_head(checkpoint: Path) -> None:
    target = classifier(2, seed=0)
    report = load_checkpoint(target, checkpoint, ["a", "b"], reset_head=False)
    assert equal(classifier(2, seed=1), target)
    assert (report.missing, report.unused, report.mismatched) == ((), (), ())
    assert (report.head, report.origin) == (True, "a checkpoint of mlc")


@pytest.mark.parametrize("classes", [["a", "b", "c"], ["a", "z"]])
def test_changed_classes_are_an_error(checkpoint: Path, classes: list[str]) -> None:
    target = classifier(len(classes), seed=0)
    with pytest.raises(WeightsError, match="its 2 classes are not the") as caught:
        load_checkpoint(target, checkpoint, classes, reset_head=False)
    assert "reset_head" in caught.value.hint
    assert equal(classifier(len(classes), seed=0), target)


@pytest.mark.parametrize("classes", [["a", "b", "c"], ["a", "z"]])
@pytest.mark.parametrize("cosine", [False, True])
def test_head_is_left_new_when_asked_for(
    checkpoint: Path, classes: list[str], cosine: bool
) -> None:
    target = classifier(len(classes), seed=0, cosine=cosine)
    report = load_checkpoint(target, checkpoint, classes, reset_head=True)
    assert equal(classifier(2, seed=1).backbone, target.backbone)
    assert equal(classifier(len(classes), seed=0, cosine=cosine).head, target.head)
    assert set(report.unused) == {"head.linear.weight", "head.linear.bias"}
    assert not report.head
    assert set(report.missing) == {f"head.{name}" for name in target.head.state_dict()}


def test_same_classes_keep_the_head_even_if_a_reset_is_allowed(checkpoint: Path) -> None:
    target = classifier(2, seed=0)
    load_checkpoint(target, checkpoint, ["a", "b"], reset_head=True)
    assert equal(classifier(2, seed=1), target)


def test_checkpoint_of_another_model_is_refused(checkpoint: Path) -> None:
    target = classifier(2, seed=0, cosine=True)
    with pytest.raises(WeightsError, match="is for another model") as caught:
        load_checkpoint(target, checkpoint, ["a", "b"], reset_head=False)
    assert "backbone test_resnet and head linear" in caught.value.hint


def vit(size: int, seed: int) -> Classifier:
    torch.manual_seed(seed)
    backbone = Backbone(create_backbone("test_vit", (size, size), pretrained=False))
    return Classifier(backbone, LinearHead(64, 2, pool="avg", dropout=0.0, scale=1.0))


@pytest.mark.parametrize("own", [True, False])
def test_position_embeddings_are_resampled_as_timm_does_it(tmp_path: Path, own: bool) -> None:
    file, model = tmp_path / "x.safetensors", vit(64, 1)
    trained = vit(160, 0)
    table = trained.backbone.model.pos_embed.detach()
    if own:
        card = ModelCard(["a", "b"], {}, (160, 160), (0.5,) * 3, (0.5,) * 3, 1.0)
        save_checkpoint(file, trained.state_dict(), card)
    else:
        save_file(trained.backbone.model.state_dict(), file)
    report = load(model, file, ["a", "b"], None, reset_head=False)
    wanted = resample_abs_pos_embed(table, (4, 4), num_prefix_tokens=1)
    assert table.shape[1] == 101
    assert torch.equal(model.backbone.model.pos_embed, wanted)
    assert report.mismatched == ()
    (note,) = (note for note in report.notes if "resampled" in note)
    assert "pos_embed" in note
