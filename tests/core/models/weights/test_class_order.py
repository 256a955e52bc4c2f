"""Heads whose classes are in another order, or not named: by name, or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from mlc_cli.core.models.build import BuiltModel
from mlc_cli.core.models.label_graph import LabelGraph
from mlc_cli.core.models.weights.class_order import listed_classes
from mlc_cli.errors import MlcError, WeightsError

Start = Callable[..., BuiltModel]
Make = Callable[..., Any]
NAMES = ["ape", "bee", "cat", "dog", "elk"]
THEIRS = ["dog", "ape", "elk", "cat", "bee"]
DECODER = {"name": "ml_decoder", "dim": 16, "heads": 8, "ffn_dim": 24}


def moved(state: dict[str, Tensor], axes: dict[str, int], order: list[int]) -> dict[str, Tensor]:
    """Tensors with the classes, which lie along these axes, in another order."""
    return {k: v.index_select(axes[k], torch.tensor(order)) if k in axes else v
            for k, v in state.items()}  # fmt: skip


def mean_ap(built: BuiltModel) -> float:
    """On random images, the classes in the order of their names, as scikit-learn has it."""
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(40, 3, 64, 64, generator=generator)
    targets_NC = (torch.rand(40, 5, generator=generator) > 0.6).numpy()
    with torch.no_grad():
        logits_NC = built.classifier.eval()(images).double().numpy()
    return float(average_precision_score(targets_NC, logits_NC, average="macro"))


def linear(channels: int) -> dict[str, Tensor]:
    return {"fc.weight": torch.randn(5, channels), "fc.bias": torch.randn(5)}


LINEAR_AXES = {"fc.weight": 0, "fc.bias": 0}
ORDER = [NAMES.index(name) for name in THEIRS]


@pytest.mark.parametrize("by", ["file", "idx_to_class"])
def test_decoder_with_permuted_classes_has_the_same_map(
    start: Start, random_backbone: Make, old_decoder: Make, tmp_path: Path, by: str
) -> None:
    backbone = random_backbone("test_resnet").state_dict()
    head = old_decoder(96, 5).named("head.decoder.")
    axes = {"query_embed.weight": 0, "duplicate_pooling": 0, "duplicate_pooling_bias": 0}
    other = moved(head, {f"head.decoder.{k}": v for k, v in axes.items()}, ORDER)
    (tmp_path / "names.txt").write_text("\n".join(THEIRS))
    named = {"idx_to_class": dict(enumerate(THEIRS))} if by == "idx_to_class" else {}
    more = {"weight_classes": str(tmp_path / "names.txt")} if by == "file" else {}
    ours = {"model": backbone | head, "idx_to_class": dict(enumerate(NAMES))}
    expected = mean_ap(start(ours, NAMES, "test_resnet", DECODER))
    built = start({"model": backbone | other, **named}, NAMES, "test_resnet", DECODER, **more)
    assert mean_ap(built) == pytest.approx(expected, abs=1e-6)
    assert "were put into ours by name" in built.report.notes[-1]
    # and by position it would have been another
    wrong = {"model": backbone | other, "idx_to_class": dict(enumerate(NAMES))}
    assert abs(mean_ap(start(wrong, NAMES, "test_resnet", DECODER)) - expected) > 1e-3


def test_groups_of_several_classes_are_taken_apart(
    start: Start, random_backbone: Make, old_decoder: Make
) -> None:
    """Of 130 classes two to a group: by number in the file, by the alphabet in the data set."""
    names = [f"class {n}" for n in range(130)]
    decoder, backbone = old_decoder(96, 130), random_backbone("test_resnet")
    content = {"model": backbone.state_dict() | decoder.named("head.decoder."),
               "idx_to_class": dict(enumerate(names))}  # fmt: skip
    kept = start(content, sorted(names), "test_resnet", DECODER).report
    assert not kept.head
    assert "--set model.head.groups=130 fits" in kept.notes[0]
    built = start(content, sorted(names), "test_resnet", {**DECODER, "groups": 130})
    images = torch.randn(2, 3, 64, 64, dtype=torch.double)
    with torch.no_grad():
        expected = decoder(backbone.double().forward_features(images), cosine=False)
        given = built.classifier.eval().double()(images)
    expected = expected[:, [names.index(name) for name in sorted(names)]]
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["asl", "bare", "two layers"])
def test_linear_heads_are_put_in_order(start: Start, random_backbone: Make, kind: str,
                                       tmp_path: Path) -> None:  # fmt: skip
    torch.manual_seed(1)
    if kind == "two layers":
        layer = {"fc.embedding_generator.0.weight": torch.randn(7, 96),
                 "fc.embedding_generator.0.bias": torch.randn(7),
                 "fc.FC.weight": torch.randn(5, 7), "fc.FC.bias": torch.randn(5)}  # fmt: skip
        axes = {"fc.FC.weight": 0, "fc.FC.bias": 0}
    else:
        layer, axes = linear(96), LINEAR_AXES
    backbone = random_backbone("test_resnet").state_dict()
    (tmp_path / "ours.txt").write_text("\n".join(NAMES))
    (tmp_path / "theirs.txt").write_text("\n\n".join(THEIRS) + "\n")
    head = {"name": "linear"}

    def built(state: dict[str, Tensor], names: str) -> BuiltModel:
        path = str(tmp_path / f"{names}.txt")
        return start(backbone | state, NAMES, "test_resnet", head, weight_classes=path)

    expected = mean_ap(built(layer, "ours"))
    assert mean_ap(built(moved(layer, axes, ORDER), "theirs")) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("layer", ["gcn", "gat"])
def test_graph_with_permuted_classes_has_the_same_map(
    start: Start, random_backbone: Make, layer: str
) -> None:
    torch.manual_seed(2)
    state = {
        "inp": torch.randn(5, 7),
        "A": (torch.rand(5, 5) > 0.5).float().fill_diagonal_(1),
        "gc1.weight": torch.randn(7, 6),
        "gc2.weight": torch.randn(6, 256),
        "head.weight": torch.randn(256, 5),
    }
    if layer == "gat":
        state |= {"gc1.a": torch.randn(12, 1), "gc2.a": torch.randn(512, 1)}
    other = moved(state, {"inp": 0, "A": 0, "head.weight": 1}, ORDER)
    other["A"] = other["A"][:, ORDER]
    backbone = {f"backbone.model.{k}": v for k, v in
                random_backbone("test_efficientnet").state_dict().items()}  # fmt: skip
    head = {"name": "graph", "layer": layer, "hidden": 6, "cosine": True, "scale": 17}
    graph = LabelGraph(torch.ones(5, 3), torch.eye(5))
    values = [
        mean_ap(start({"state_dict": backbone | tensors,
                       "classes_map": {name: index for index, name in enumerate(names)}},
                      NAMES, "test_efficientnet", head, graph=graph))
        for tensors, names in ((state, NAMES), (other, THEIRS))
    ]  # fmt: skip
    assert values[0] == pytest.approx(values[1], abs=1e-6)


def test_zero_shot_decoder_is_refused_by_name(
    start: Start, random_backbone: Make, old_decoder: Make
) -> None:
    state = random_backbone("test_resnet").state_dict()
    state |= old_decoder(96, 5).named("head.decoder.")
    state |= {"head.decoder.duplicate_pooling": torch.randn(16, 1),
              "head.decoder.duplicate_pooling_bias": torch.randn(1),
              "head.wordvec_proj.weight": torch.randn(16, 300)}  # fmt: skip
    content = {"model": state, "idx_to_class": dict(enumerate(NAMES))}
    report = start(content, NAMES, "test_resnet", DECODER).report
    assert not report.head
    assert "it is a zero-shot ML-Decoder" in report.notes[0]


def test_bare_classifier_behind_something_unknown_is_not_taken(
    start: Start, random_backbone: Make, tmp_path: Path
) -> None:
    state = random_backbone("test_resnet").state_dict() | linear(96)
    (tmp_path / "c.txt").write_text("\n".join(NAMES))
    more = {"weight_classes": str(tmp_path / "c.txt")}
    state["fc_norm.weight"] = torch.ones(96)
    report = start(state, NAMES, "test_resnet", {"name": "linear"}, **more).report
    assert not report.head
    assert "fc_norm.weight, which has no place here" in report.notes[0]


def test_listed_names_must_be_those_of_the_file(
    start: Start, random_backbone: Make, old_decoder: Make, tmp_path: Path
) -> None:
    backbone = random_backbone("test_resnet").state_dict()
    content = {"model": backbone | old_decoder(96, 5).named("head.decoder."),
               "idx_to_class": dict(enumerate(THEIRS))}  # fmt: skip
    names = tmp_path / "c.txt"
    names.write_text("\n".join(NAMES))
    with pytest.raises(WeightsError, match="names its classes itself"):
        start(content, NAMES, "test_resnet", DECODER, weight_classes=str(names))
    del content["idx_to_class"]
    with pytest.raises(WeightsError, match="has 5 classes, --weight-classes coco names 80"):
        start(content, NAMES, "test_resnet", DECODER, weight_classes="coco")
    with pytest.raises(WeightsError, match="none is known in it"):
        start(backbone, NAMES, "test_resnet", DECODER, weight_classes=str(names))


def test_known_lists() -> None:
    coco, voc = listed_classes("coco"), listed_classes("voc")
    assert (len(coco), coco[:4], coco[-1]) == (80, ["person", "bicycle", "car", "motorcycle"],
                                               "toothbrush")  # fmt: skip
    assert coco[11:13] == ["stop sign", "parking meter"]  # ids 13 and 14: 12 is not given
    assert (len(voc), voc[0], voc[-1]) == (20, "aeroplane", "tvmonitor")
    assert list(voc) == sorted(voc)


@pytest.mark.parametrize("name", ["nus-wide", "openimages"])
def test_lists_that_no_public_file_gives_are_not_made_up(name: str) -> None:
    with pytest.raises(WeightsError, match=f"{name}: no public file says") as caught:
        listed_classes(name)
    assert "Name them in a file" in caught.value.hint


def test_file_of_names(tmp_path: Path) -> None:
    path = tmp_path / "c.txt"
    path.write_text("2\n10\n1\n")
    assert listed_classes(str(path)) == ["2", "10", "1"]
    numbers = tmp_path / "c.json"
    numbers.write_text("[2, 10, 1]")
    assert listed_classes(str(numbers)) == [2, 10, 1]
    for wrong in ('{"a": 1}', '["a", 1]', "[1.5]", "no"):
        numbers.write_text(wrong)
        with pytest.raises(WeightsError, match=r"c\.json: is not a list of names"):
            listed_classes(str(numbers))
    path.write_text("a\nb\na\n")
    with pytest.raises(WeightsError, match="each once"):
        listed_classes(str(path))
    with pytest.raises(MlcError, match=r"no\.txt"):
        listed_classes(str(tmp_path / "no.txt"))
