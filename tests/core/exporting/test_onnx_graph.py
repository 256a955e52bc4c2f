"""ONNX files run by ONNX Runtime itself, against torch."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from mlc_cli.core.exporting.onnx_graph import mark_onnx, write_onnx
from mlc_cli.core.inference.explain import evidence
from mlc_cli.core.inference.runtime.metadata import ExportInfo
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.errors import MlcError

Exported = Callable[..., Any]
HEADS = [
    "linear",
    "linear, max",
    "linear, avgmax",
    "cosine",
    "cosine, avgmax",
    "decoder",
    "decoder, groups",
    "decoder, cosine",
    "gcn",
    "gat, cosine",
]
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def run(path: Path, images_NHWC: Tensor) -> list[np.ndarray]:
    """All outputs; images are normalised here, as the metadata says."""
    normalised = (images_NHWC.numpy() - 255 * MEAN) / (255 * STD)
    data = np.ascontiguousarray(normalised.transpose(0, 3, 1, 2), np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"data": data})


@pytest.mark.parametrize("head", HEADS)
@torch.no_grad()
def test_every_head_gives_the_logits_and_maps_of_torch(
    exported: Exported, pixels: Callable[..., Tensor], head: str
) -> None:
    made = exported(head, saliency=True)
    for count in (1, 2, 5):
        images = pixels(count)
        logits_NC, maps_NCHW = run(made.onnx, images)
        np.testing.assert_allclose(logits_NC, made.expected(images), atol=1e-4)
        normalised = (images.numpy() - 255 * MEAN) / (255 * STD)
        map_NDHW = made.classifier.backbone(
            torch.from_numpy(normalised).permute(0, 3, 1, 2).float()
        )
        heat = evidence(made.classifier.head, map_NDHW, range(5)).double().numpy()
        low, high = heat.min((2, 3), keepdims=True), heat.max((2, 3), keepdims=True)
        assert maps_NCHW.dtype == np.uint8
        assert maps_NCHW.shape == heat.shape == (count, 5, 8, 12)
        np.testing.assert_allclose(maps_NCHW, 255 * (heat - low) / (high - low), atol=1.01)


@pytest.mark.parametrize(
    ("backbone", "head", "size"),
    [
        ("test_resnet", "decoder", (64, 96)),
        ("test_efficientnet", "linear", (96, 64)),
        ("test_vit", "decoder", (64, 96)),
        ("test_convnext", "cosine", (64, 64)),
    ],
)
def test_backbones_give_the_logits_of_torch(
    exported: Exported,
    pixels: Callable[..., Tensor],
    backbone: str,
    head: str,
    size: tuple[int, int],
) -> None:
    made = exported(head, backbone=backbone, size=size)
    for count in (1, 2, 5):
        images = pixels(count, size)
        (logits_NC,) = run(made.onnx, images)
        expected_NC = made.expected(images).numpy()
        np.testing.assert_allclose(logits_NC, expected_NC, atol=1e-4)
        assert count == 1 or expected_NC.std(0).min() > 1e-3, "the model tells images apart"


@pytest.mark.parametrize("backbone", ["tf_efficientnetv2_s", "tresnet_v2_l"])
def test_backbones_of_the_presets_give_the_logits_of_torch(
    exported: Exported, pixels: Callable[..., Tensor], backbone: str
) -> None:
    """EfficientNetV2-L is left out: it has the blocks of V2-S, and takes a minute."""
    made = exported("decoder", backbone=backbone, size=(32, 32))
    images = pixels(3, (32, 32))
    (logits_NC,) = run(made.onnx, images)
    expected_NC = made.expected(images).numpy()
    np.testing.assert_allclose(logits_NC, expected_NC, atol=1e-5)
    assert expected_NC.std(0).min() > 1e-4, "the model tells images apart"


def test_folded_thresholds_are_subtracted_as_logits(
    exported: Exported, pixels: Callable[..., Tensor], thresholds: tuple[float, ...]
) -> None:
    made = exported(thresholds=thresholds, folded=True)
    t_C = np.array(thresholds)
    (logits_NC,) = run(made.onnx, pixels(4))
    expected = made.expected(pixels(4)).double().numpy() - np.log(t_C / (1 - t_C))
    np.testing.assert_allclose(logits_NC, expected, atol=1e-4)


def test_one_class_is_exported(exported: Exported, pixels: Callable[..., Tensor]) -> None:
    made = exported(classes=("only",))
    (logits_N1,) = run(made.onnx, pixels(3))
    assert logits_N1.shape == (3, 1)
    np.testing.assert_allclose(logits_N1, made.expected(pixels(3)), atol=1e-4)


def test_the_graph_names_its_ends_and_leaves_the_batch_free(exported: Exported) -> None:
    graph = onnx.load(str(exported("linear", saliency=True).onnx)).graph
    assert [value.name for value in graph.input] == ["data"]
    assert [value.name for value in graph.output] == ["logits", "saliency_map"]
    sizes = [
        [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*graph.input, *graph.output)
    ]
    assert sizes == [["N", 3, 32, 48], ["N", 5], ["N", 5, 8, 12]]


def test_a_map_without_differences_is_black(exported: Exported) -> None:
    _, maps_NCHW = run(exported(saliency=True).onnx, torch.full((2, 32, 48, 3), 77))
    assert maps_NCHW.max() == 0


def test_maps_of_an_unknown_head_are_refused(tmp_path: Path) -> None:
    classifier = Classifier(nn.AvgPool2d(16), _head(lambda map_NDHW: map_NDHW.mean((2, 3)))).eval()
    with pytest.raises(MlcError, match="heat maps are not known for a head of type Odd"):
        write_onnx(tmp_path / "m.onnx", classifier, _info(), saliency=True)


def test_the_outcome_of_the_comparison_is_marked(
    exported: Exported, pixels: Callable[..., Tensor], tmp_path: Path
) -> None:
    made = exported()
    path = tmp_path / "m.onnx"
    path.write_bytes(made.onnx.read_bytes())
    mark_onnx(path, "passed")
    before, after = (
        {
            entry.key: re.sub("mlc-sha256-[0-9a-f]{64}", "", entry.value)
            for entry in onnx.load(str(file)).metadata_props
        }
        for file in (made.onnx, path)
    )
    assert before["model_info parity"] == "unchecked"
    assert after == {**before, "model_info parity": "passed"}
    np.testing.assert_array_equal(run(path, pixels(2))[0], run(made.onnx, pixels(2))[0])


def _head(forward: Callable[[Tensor], Tensor]) -> nn.Module:
    class Odd(nn.Module):
        def forward(self, map_NDHW: Tensor) -> Tensor:
            return forward(map_NDHW)

    return Odd()


def _info() -> ExportInfo:
    card = ModelCard(["a", "b", "c"], {}, (32, 32), (0.5,) * 3, (0.5,) * 3, 1.0)
    return ExportInfo(card)


def test_a_model_that_torch_cannot_export_is_named_in_one_message(tmp_path: Path) -> None:
    def depends_on_pixels(map_NDHW: Tensor) -> Tensor:
        pooled = map_NDHW.mean((2, 3))
        return pooled if pooled.sum() > 0 else -pooled

    classifier = Classifier(nn.AvgPool2d(16), _head(depends_on_pixels)).eval()
    with pytest.raises(MlcError, match=r"ONNX: Could not guard on data-dependent expression"):
        write_onnx(tmp_path / "m.onnx", classifier, _info(), saliency=False)
    assert not list(tmp_path.iterdir())


def test_a_model_that_fixes_the_batch_is_refused(tmp_path: Path) -> None:
    def of_two(map_NDHW: Tensor) -> Tensor:
        return torch.ones(2, 3) * map_NDHW.mean()

    classifier = Classifier(nn.AvgPool2d(16), _head(of_two)).eval()
    with pytest.raises(MlcError, match="fixes the batch size of 'logits'"):
        write_onnx(tmp_path / "m.onnx", classifier, _info(), saliency=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("opset", "version"), [(18, 8), (20, 9)])
def test_the_operator_set_is_that_of_the_settings_in_the_lowest_version(
    exported: Exported, pixels: Callable[..., Tensor], tmp_path: Path, opset: int, version: int
) -> None:
    made = exported()
    path = tmp_path / "x.onnx"
    write_onnx(path, made.classifier, made.info, saliency=False, opset=opset)
    model = onnx.load(str(path))
    assert [entry.version for entry in model.opset_import if not entry.domain] == [opset]
    assert model.ir_version == version
    images = pixels(2)
    np.testing.assert_allclose(run(path, images)[0], made.expected(images), atol=1e-4)


def test_a_model_that_an_operator_set_cannot_hold_is_refused_with_one_that_can(
    exported: Exported, tmp_path: Path
) -> None:
    made = exported(backbone="test_vit", size=(32, 32))
    with pytest.raises(MlcError, match="cannot be written in opset 17") as caught:
        write_onnx(tmp_path / "x.onnx", made.classifier, made.info, saliency=False, opset=17)
    assert caught.value.hint == "Export with --set opset=18."
