"""Quantisation under control of the mAP, on a model that 8 bits break."""

from typing import Any

import numpy as np
import openvino as ov
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import nn

from mlc_cli.core.exporting.int8 import Quantiser, Sample, has_attention
from mlc_cli.core.exporting.ir import to_ir
from mlc_cli.core.exporting.onnx_graph import write_onnx
from mlc_cli.core.inference.runtime.metadata import ExportInfo
from mlc_cli.core.inference.runtime.openvino_core import openvino_core
from mlc_cli.core.models.backbone import create_backbone
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.heads.ml_decoder import MLDecoder
from mlc_cli.core.models.heads.pooled import LinearHead
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.errors import MlcError

SIZE = (16, 16)


def fragile_model() -> Classifier:
    """Robust layers, then a huge channel that no logit uses beside a small one that tells red
    images: one range for both has no room for the small one."""
    robust = [nn.Conv2d(3, 3, 1) for _ in range(4)]
    first, second = nn.Conv2d(3, 2, 1), nn.Conv2d(2, 2, 1)
    head = LinearHead(2, 2, pool="avg", dropout=0.0, scale=1.0)
    with torch.no_grad():
        for conv in robust:
            conv.weight[..., 0, 0] = torch.eye(3)
            conv.bias.fill_(0.0)
        robust[0].bias.fill_(1.0)
        first.weight.zero_()
        first.weight[0, :, 0, 0] = 1e4
        first.weight[1, 0] = 1.0
        first.bias.copy_(torch.tensor([1e4, 2.0]))
        second.weight[:, :, 0, 0] = torch.tensor([[0.0, 1.0], [0.0, -1.0]])
        second.bias.copy_(torch.tensor([-3.0, 3.0]))
        head.linear.weight.copy_(torch.eye(2))
    layers = [layer for conv in robust for layer in (conv, nn.ReLU())]
    return Classifier(nn.Sequential(*layers, first, nn.ReLU(), second), head).eval()


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> ov.Model:
    path = tmp_path_factory.mktemp("fragile") / "m.onnx"
    card = ModelCard(["red", "not red"], {}, SIZE, (0.5,) * 3, (0.5,) * 3, 1.0)
    write_onnx(path, fragile_model(), ExportInfo(card), saliency=False)
    return to_ir(path, ExportInfo(card))


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(40):
        image = rng.integers(0, 256, (1, 3, 1, 1)) + rng.integers(-20, 20, (1, 3, *SIZE))
        image = image.clip(0, 255).astype(np.uint8)
        red = image[0, 2].mean() > 127  # BGR
        found.append(Sample(image, np.array([red, not red], np.int8)))
    return found


def mean_ap(model: ov.Model, samples: list[Sample]) -> float:
    """By the reference of scikit-learn."""
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    logits = np.concatenate([compiled({"data": s.image_13HW})["logits"] for s in samples])
    targets = np.stack([s.targets_C for s in samples])
    return float(np.mean([average_precision_score(targets[:, c], logits[:, c]) for c in (0, 1)]))


def quantised_nodes(model: ov.Model) -> int:
    return sum(op.get_type_name() == "FakeQuantize" for op in model.get_ops())


def quantise(model: ov.Model, samples: list[Sample], **changes: Any) -> ov.Model:
    settings = {"max_drop": 1.0, "max_restored": 20, "activations": "mixed", "attention": False}
    quantiser = Quantiser(**{**settings, **changes})
    return quantiser(model, [sample.image_13HW for sample in samples], samples)


def test_the_operation_that_matters_goes_back_first_to_keep_to_the_largest_drop(
    fragile: ov.Model, samples: list[Sample]
) -> None:
    assert mean_ap(fragile, samples) == 1
    free = quantise(fragile, samples)
    assert mean_ap(free, samples) < 0.9, "8 bits break this model"
    held = quantise(fragile, samples, max_drop=0.01, max_restored=1)
    assert mean_ap(held, samples) >= 0.99
    assert 0 < quantised_nodes(held) < quantised_nodes(free)
    assert quantised_nodes(fragile) == 0, "the model itself is left alone"


def test_activations_may_be_symmetric(fragile: ov.Model, samples: list[Sample]) -> None:
    assert quantised_nodes(quantise(fragile, samples, activations="symmetric")) > 0


def test_unknown_labels_do_not_count(fragile: ov.Model, samples: list[Sample]) -> None:
    unknown = [Sample(s.image_13HW, np.full(2, -1, np.int8)) for s in samples]
    assert quantised_nodes(quantise(fragile, unknown, max_drop=0.0)) > 0


def test_what_nncf_cannot_do_is_one_message(fragile: ov.Model) -> None:
    wrong = Sample(np.zeros((1, 4, *SIZE), np.uint8), np.array([1, 0], np.int8))
    with pytest.raises(MlcError, match="NNCF cannot quantise this model: "):
        quantise(fragile, [wrong])


def test_nothing_comes_to_the_screen(
    fragile: ov.Model, samples: list[Sample], capfd: pytest.CaptureFixture[str]
) -> None:
    quantise(fragile, samples, max_drop=0.01)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_attention_of_backbone_and_head_is_found() -> None:
    assert has_attention(create_backbone("test_vit", (64, 64), pretrained=False))
    assert not has_attention(create_backbone("test_resnet", (64, 64), pretrained=False))
    assert has_attention(MLDecoder(8, 3, dim=32, heads=4, ffn_dim=16))
    assert not has_attention(fragile_model())
