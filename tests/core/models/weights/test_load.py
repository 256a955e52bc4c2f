from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from torch import nn

from mlc_cli.core.models.backbone import Backbone, create_backbone
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.heads.ml_decoder import MLDecoder
from mlc_cli.core.models.heads.pooled import CosineHead, LinearHead
from mlc_cli.core.models.weights.load import load, load_checkpoint
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.runs.checkpoint import is_checkpoint, save_checkpoint
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


@pytest.mark.parametrize(
    ("classes", "rename", "order"),
    [
        (["a", "b", "c"], {}, [0, 1, None]),
        (["0", "a", "z"], {}, [None, 0, None]),
        (["b"], {}, [1]),
        (["a", "z"], {"a": "z", "b": "a"}, [1, 0]),
        (["A", "b", "c"], {"a": "A"}, [0, 1, None]),
    ],
)
def test_rows_of_classes_that_stay_are_kept_by_name(
    checkpoint: Path, classes: list[str], rename: dict[str, str], order: list[int | None]
) -> None:
    target, fresh = classifier(len(classes), seed=0), classifier(len(classes), seed=0)
    report = load_checkpoint(target, checkpoint, classes, reset_head=False, rename=rename)
    theirs = classifier(2, seed=1)
    assert equal(theirs.backbone, target.backbone)
    for name, value in target.head.state_dict().items():
        own, old = fresh.head.state_dict()[name], theirs.head.state_dict()[name]
        expected = [own[c] if place is None else old[place] for c, place in enumerate(order)]
        assert torch.equal(value, torch.stack(expected))
    new = [name for name, place in zip(classes, order, strict=True) if place is None]
    assert report.head == (not new)
    assert report.missing == tuple(f"what the head knows of {name}" for name in new)
    assert report.kept == (tuple(c for c, o in enumerate(order) if o is not None) if new else None)
    assert all(name in report.notes[0] for name in new)


@pytest.mark.parametrize(
    ("classes", "rename", "words"),
    [
        (["x", "y"], {}, "its 2 classes are not the 2"),
        (["a", "b", "c"], {"d": "c"}, "there is no class d"),
        (["a", "b", "c"], {"a": "x"}, "there is no class x"),
        (["a", "b", "c"], {"a": "b"}, "two of its classes have the same name"),
    ],
)
def test_classes_that_do_not_go_together_are_refused(
    checkpoint: Path, classes: list[str], rename: dict[str, str], words: str
) -> None:
    target = classifier(len(classes), seed=0)
    with pytest.raises(WeightsError, match=words):
        load_checkpoint(target, checkpoint, classes, reset_head=False, rename=rename)
    assert equal(classifier(len(classes), seed=0), target)


@pytest.mark.parametrize(("groups", "fine"), [(2, True), (1, False)])
def test_a_decoder_keeps_classes_that_have_a_group_to_themselves(
    tmp_path: Path, groups: int, fine: bool
) -> None:
    def decoder(classes: int, groups: int) -> Classifier:
        backbone = Backbone(timm_model())
        sizes = {"dim": 8, "heads": 2, "ffn_dim": 16, "dropout": 0.0, "cosine": False}
        shared = {**sizes, "bias": True, "scale": 1.0}
        return Classifier(backbone, MLDecoder(backbone.channels, classes, groups=groups, **shared))

    card = ModelCard(["a", "c"], {}, (32, 32), (0.5,) * 3, (0.5,) * 3, 1.0)
    before, after = decoder(2, groups), decoder(3, 3)
    save_checkpoint(tmp_path / "best.safetensors", before.state_dict(), card)

    def load() -> None:
        path = tmp_path / "best.safetensors"
        load_checkpoint(after, path, ["a", "b", "c"], reset_head=False, rename={})

    if not fine:
        with pytest.raises(WeightsError, match="holds several classes in one"):
            load()
        return
    load()
    images = torch.randn(2, 3, 32, 32)
    old, new = before.eval()(images), after.eval()(images)
    assert torch.allclose(new[:, [0, 2]], old, atol=1e-6)


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
