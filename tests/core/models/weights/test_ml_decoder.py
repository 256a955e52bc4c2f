import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from mlc_cli.core.models.build import BuiltModel
from mlc_cli.errors import WeightsError

Start = Callable[..., BuiltModel]
Make = Callable[..., Any]
DECODER = {"name": "ml_decoder", "dim": 16, "heads": 8, "ffn_dim": 24}
NAMES = ["cat", "dog", "traffic light"]
NAMED = {"idx_to_class": dict(enumerate(NAMES))}
TRESNET = "tresnet_v2_l"


def old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of a TResNet before timm: a layer and its norm by number, one deeper before a blur."""
    renamed = {}
    for name, value in state.items():
        blurred = re.search(r"layer[234]\.0\.conv2\.", name)
        deeper = "0." if blurred else ""
        old = re.sub(r"(conv\d|downsample\.\d)\.conv\.", rf"\1.{deeper}0.", name)
        old = re.sub(r"(conv\d|downsample\.\d)\.bn\.", rf"\1.{deeper}1.", old)
        if not old.endswith("num_batches_tracked"):
            renamed[old] = value
    return renamed


@pytest.fixture(scope="module")
def tresnet() -> tuple[dict[str, Tensor], nn.Module]:
    """Tensors of a TResNet-L as InPlaceABN kept them, some weights below zero, and the model."""
    torch.manual_seed(0)
    model = timm.create_model(TRESNET, num_classes=0, global_pool="").eval()
    state = model.state_dict()
    stored = {}
    for name, value in state.items():
        stored[name] = value.clone()
        if name.endswith("bn.weight"):
            sign = torch.where(torch.arange(len(value)) % 2 == 0, 1.0, -1.0)
            stored[name] = sign * (0.5 + torch.rand_like(value))
            value.copy_(stored[name].abs() + 1e-5)
    return old_names(stored), model


@torch.no_grad()
def both(
    built: BuiltModel, backbone: nn.Module, decoder: Any, *, cosine: bool
) -> tuple[Tensor, Tensor]:
    """Logits of a model, and those expected of backbone and decoder, in float64."""
    images = torch.randn(2, 3, 64, 64, dtype=torch.double)
    expected = decoder(copy.deepcopy(backbone).double().forward_features(images), cosine=cosine)
    return built.classifier.eval().double()(images).double(), expected


def test_old_names_are_old(tresnet: tuple[dict[str, Tensor], nn.Module]) -> None:
    names = tresnet[0].keys()
    assert {"body.conv1.0.weight", "body.conv1.1.running_var"} <= names
    assert {"body.layer2.0.conv2.0.0.weight", "body.layer2.0.downsample.1.1.bias"} <= names
    assert not any(".bn." in name or ".conv." in name for name in names)


def test_ml_decoder_on_a_tresnet_gives_the_logits_that_it_gave(
    start: Start, tresnet: tuple[dict[str, Tensor], nn.Module], old_decoder: Make
) -> None:
    state, backbone = tresnet
    decoder = old_decoder(2048, 3)
    content = {"model": state | decoder.named("head.decoder."), "num_classes": 3, **NAMED}
    built = start(content, NAMES, TRESNET, DECODER)
    given, expected = both(built, backbone, decoder, cosine=False)
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-5)
    report = built.report
    assert report.origin == "a checkpoint of ML_Decoder"
    assert report.head
    assert (report.missing, report.unused, report.mismatched) == ((), (), ())


def test_deep_object_reid_on_a_tresnet_gives_the_logits_that_it_gave(
    start: Start, tresnet: tuple[dict[str, Tensor], nn.Module], old_decoder: Make
) -> None:
    state, backbone = tresnet
    decoder = old_decoder(2048, 3)
    tensors = {f"module.backbone.{name}": value for name, value in state.items()}
    tensors |= decoder.named("module.decoder.")
    tensors["module.backbone.head.fc.weight"] = torch.zeros(3, 2048)
    classes_map = {name: index for index, name in enumerate(NAMES)}
    built = start({"state_dict": tensors, "classes_map": classes_map}, NAMES, TRESNET,
                  {**DECODER, "cosine": True})  # fmt: skip
    given, expected = both(built, backbone, decoder, cosine=True)
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-5)
    assert built.report.head
    assert built.report.unused == ("backbone.head.fc.weight",)


@torch.no_grad()
def test_plain_tresnet_of_deep_object_reid_has_a_linear_head(
    start: Start, tresnet: tuple[dict[str, Tensor], nn.Module]
) -> None:
    state, backbone = tresnet
    weight, bias = torch.randn(3, 2048) / 64, torch.randn(3)
    tensors = state | {"head.fc.weight": weight, "head.fc.bias": bias}
    classes_map = {name: index for index, name in enumerate(NAMES)}
    built = start({"state_dict": tensors, "classes_map": classes_map}, NAMES, TRESNET,
                  {"name": "linear"})  # fmt: skip
    images = torch.randn(2, 3, 64, 64, dtype=torch.double)
    map_NDHW = copy.deepcopy(backbone).double().forward_features(images)
    expected = map_NDHW.mean((2, 3)) @ weight.double().T + bias
    given = built.classifier.eval().double()(images)
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-5)
    assert built.report.head


def test_tresnet_alone_is_recognised(
    start: Start, tresnet: tuple[dict[str, Tensor], nn.Module]
) -> None:
    state = tresnet[0] | {"head.fc.weight": torch.zeros(9, 2048)}
    report = start({"model": state, "num_classes": 9}, NAMES, TRESNET, {"name": "linear"}).report
    assert report.origin == "a checkpoint of TResNet"
    assert report.unused == ("head.fc.weight",)
    assert not report.head


@pytest.mark.parametrize("place", ["head.decoder.", "fc.decoder.", "module.head.decoder."])
def test_decoder_is_found_on_any_backbone(
    start: Start, random_backbone: Make, old_decoder: Make, place: str
) -> None:
    backbone, decoder = random_backbone("test_resnet"), old_decoder(96, 3)
    state = backbone.state_dict() | decoder.named(place)
    built = start({"state_dict": state, **NAMED}, NAMES, "test_resnet", DECODER)
    given, expected = both(built, backbone, decoder, cosine=False)
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-5)
    assert built.report.origin == "a checkpoint of ML_Decoder"


def test_its_classes_are_compared_where_they_have_names(
    start: Start, random_backbone: Make, old_decoder: Make
) -> None:
    state = random_backbone("test_resnet").state_dict() | old_decoder(96, 3).named("head.decoder.")
    content = {"model": state, "idx_to_class": dict(enumerate(NAMES))}
    assert start(content, NAMES, "test_resnet", DECODER).report.head
    content["idx_to_class"] = {0: "dog", 1: "cow", 2: "traffic light"}
    with pytest.raises(WeightsError, match="its 3 classes are not the 3 of the data set"):
        start(content, NAMES, "test_resnet", DECODER)


def test_its_products_are_not_taken_for_cosines(
    start: Start, random_backbone: Make, old_decoder: Make
) -> None:
    state = random_backbone("test_resnet").state_dict() | old_decoder(96, 3).named("head.decoder.")
    report = start({"model": state}, NAMES, "test_resnet", {**DECODER, "cosine": True}).report
    assert not report.head
    assert "it is linear ML-Decoder of 8 attention heads" in report.notes[0]


def test_pretraining_for_other_classes_gives_the_backbone_alone(
    start: Start, random_backbone: Make, old_decoder: Make
) -> None:
    backbone = random_backbone("test_resnet")
    state = backbone.state_dict() | old_decoder(96, 250).named("head.decoder.")
    report = start({"model": state}, NAMES, "test_resnet", DECODER).report
    assert report.loaded == len(backbone.state_dict())
    assert len(report.unused) == 19
    assert "it has 250 classes, the data set has 3" in report.notes[0]
