"""IR files run by OpenVINO itself, against torch."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from timm.models.volo import VOLO
from torch import Tensor, nn

from mlc_cli.core.exporting.ir import mark_ir, to_ir, write_ir
from mlc_cli.core.exporting.onnx_graph import write_onnx
from mlc_cli.core.inference.runtime.ir_file import IrEngine
from mlc_cli.core.inference.runtime.metadata import ExportInfo, to_entries
from mlc_cli.core.inference.runtime.openvino_core import openvino_core
from mlc_cli.core.models.backbone import Backbone
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.runs.card import ModelCard, card_to_json
from mlc_cli.errors import MlcError

Exported = Callable[..., Any]
F32 = {"INFERENCE_PRECISION_HINT": "f32"}
HARD_NAMES = ("traffic light", "a, b", 'say "hi"', "<b>&amp;</b>", "Straße 猫", "tab\tin", "it's")


def run(path: Path, images_NHWC: Tensor, dtype: type = np.uint8) -> np.ndarray:
    """Logits for images given as the README says: BGR in 0..255, planes first."""
    bgr_N3HW = np.ascontiguousarray(images_NHWC.numpy()[..., ::-1].transpose(0, 3, 1, 2), dtype)
    compiled = openvino_core().compile_model(path, "CPU", F32)
    return compiled({"data": bgr_N3HW})["logits"]


@pytest.mark.parametrize(
    ("head", "backbone", "size"),
    [
        ("linear, avgmax", "", (32, 48)),
        ("cosine", "", (32, 48)),
        ("decoder", "", (32, 48)),
        ("decoder, groups", "", (32, 48)),
        ("decoder, cosine", "", (32, 48)),
        ("decoder", "test_resnet", (64, 96)),
        ("linear", "test_efficientnet", (96, 64)),
        ("decoder", "test_vit", (64, 96)),
    ],
)
def test_logits_are_those_of_torch_for_bytes_and_floats(
    exported: Exported,
    pixels: Callable[..., Tensor],
    head: str,
    backbone: str,
    size: tuple[int, int],
) -> None:
    # the same files as those of the ONNX tests
    made = (
        exported(head, backbone=backbone, size=size) if backbone else exported(head, saliency=True)
    )
    for count in (1, 2, 5):
        images = pixels(count, size)
        logits_NC = run(made.xml, images)
        np.testing.assert_allclose(logits_NC, made.expected(images), atol=1e-4)
        np.testing.assert_array_equal(run(made.xml, images, np.float32), logits_NC)


class Mean(nn.Module):
    def forward(self, map_NDHW: Tensor) -> Tensor:
        return map_NDHW.mean((2, 3))


@pytest.fixture(scope="module")
def means(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportInfo]:
    """A model whose logits are the means of the normalised channels R, G, B, as ONNX."""

    card = ModelCard(
        ["r", "g", "b"], {}, (8, 10), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1.0
    )
    path = tmp_path_factory.mktemp("means") / "model.onnx"
    info = ExportInfo(card)
    write_onnx(path, Classifier(nn.Identity(), Mean()).eval(), info, saliency=False)
    return path, info


@pytest.mark.parametrize("half", [False, True])
def test_normalisation_is_inside_exactly_once(
    means: tuple[Path, ExportInfo], pixels: Callable[..., Tensor], tmp_path: Path, half: bool
) -> None:
    path, info = means
    write_ir(tmp_path / "m.xml", to_ir(path, info), info, half=half)
    images = pixels(3, (8, 10))
    rgb_NHWC = images.numpy().astype(np.float64)
    expected = ((rgb_NHWC / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).mean((1, 2))
    logits = run(tmp_path / "m.xml", images)
    np.testing.assert_allclose(logits, expected, atol=5e-3 if half else 1e-5)


def test_channels_are_reversed_in_any_graph(tmp_path: Path, pixels: Callable[..., Tensor]) -> None:
    torch.manual_seed(0)
    sides = {"embed_dims": (24, 48, 48, 48), "num_heads": (2, 4, 4, 4)}
    local = (True, False, False, False)
    volo = VOLO((1, 1, 1, 1), 64, num_classes=0, global_pool="", outlook_attention=local, **sides)
    volo.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    model = Classifier(Backbone(volo), Mean()).eval()
    names = [f"{number:02}" for number in range(48)]
    card = ModelCard(names, {}, (64, 64), (0.5,) * 3, (0.5,) * 3, 1.0)
    write_onnx(tmp_path / "m.onnx", model, ExportInfo(card), saliency=False)
    ir = to_ir(tmp_path / "m.onnx", ExportInfo(card))
    write_ir(tmp_path / "m.xml", ir, ExportInfo(card), half=False)
    images = pixels(2, (64, 64))
    expected = model((images.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5).detach()
    np.testing.assert_allclose(IrEngine(tmp_path / "m.xml")(images.numpy()), expected, atol=1e-4)


def test_fp16_halves_the_weights(
    exported: Exported, pixels: Callable[..., Tensor], tmp_path: Path
) -> None:
    made = exported("decoder", backbone="test_resnet", size=(64, 96))
    half = tmp_path / "half.xml"
    write_ir(half, to_ir(made.onnx, made.info), made.info, half=True)
    sizes = [path.with_suffix(".bin").stat().st_size for path in (half, made.xml)]
    assert 0.45 < sizes[0] / sizes[1] < 0.6
    images = pixels(3, (64, 96))
    np.testing.assert_allclose(run(half, images), made.expected(images), atol=0.05)


def test_openvino_reads_every_key_as_it_was_meant(
    means: tuple[Path, ExportInfo], tmp_path: Path
) -> None:
    path, _ = means
    card = ModelCard(
        list(HARD_NAMES), {}, (8, 10), (0.5,) * 3, (0.25,) * 3, 7.5, thresholds=[0.1] * 7
    )
    info = ExportInfo(card, folded=True, parity="unchecked")
    write_ir(tmp_path / "m.xml", to_ir(path, info), info, half=False)
    model = openvino_core().read_model(tmp_path / "m.xml")
    found = {
        key: model.get_rt_info(["model_info", key]).astype(str)
        for key in to_entries(info, normalised_inside=True)
    }
    assert found == {
        "model_type": "Classification",
        "task_type": "classification",
        "multilabel": "True",
        "hierarchical": "False",
        "labels": 'traffic_light a,_b say_"hi" <b>&amp;</b> Straße_猫 tab_in it\'s',
        "label_info": found["label_info"],
        "confidence_threshold": "0.5",
        "output_raw_scores": "True",
        "resize_type": "standard",
        "interpolation_mode": "LINEAR",
        "pad_value": "0",
        "reverse_input_channels": "False",
        "thresholds_folded": "True",
        "resize_embedded": "False",
        "thresholds": "0.1 0.1 0.1 0.1 0.1 0.1 0.1",
        "parity": "unchecked",
        "digest": found["digest"],
        "mlc": card_to_json(card),
    }
    assert json.loads(found["label_info"]) == list(HARD_NAMES)
    assert not model.has_rt_info(["model_info", "mean_values"])
    assert not model.has_rt_info(["model_info", "scale_values"])


def test_names_that_are_one_for_clients_are_refused_before_anything_is_written(
    means: tuple[Path, ExportInfo], tmp_path: Path
) -> None:
    path, _ = means
    info = ExportInfo(ModelCard(["a b", "a_b", "c"], {}, (8, 10), (0.5,) * 3, (0.5,) * 3, 1.0))
    with pytest.raises(MlcError, match="'a b' and 'a_b' would both be 'a_b'"):
        write_ir(tmp_path / "m.xml", to_ir(path, info), info, half=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("parity", ["passed", "failed"])
def test_the_outcome_of_the_comparison_is_marked_and_nothing_else(
    means: tuple[Path, ExportInfo], tmp_path: Path, parity: str
) -> None:
    path, _ = means
    # a name that looks like the mark must stay a name
    names = ['<parity value="unchecked" />', "b", "c"]
    info = ExportInfo(ModelCard(names, {}, (8, 10), (0.5,) * 3, (0.5,) * 3, 1.0))
    file = tmp_path / "m.xml"
    write_ir(file, to_ir(path, info), info, half=False)
    before, weights = file.read_text(), file.with_suffix(".bin").read_bytes()
    mark_ir(file, parity)
    model = openvino_core().read_model(file)
    assert model.get_rt_info(["model_info", "parity"]).astype(str) == parity
    assert model.get_rt_info(["model_info", "mlc"]).astype(str) == card_to_json(info.card)
    old = '<parity value="unchecked" />'
    sealed = re.compile("mlc-sha256-[0-9a-f]{64}")
    expected = before.replace(old, old.replace("unchecked", parity))
    assert sealed.sub("", file.read_text()) == sealed.sub("", expected)
    assert file.with_suffix(".bin").read_bytes() == weights


def test_the_batch_is_free_and_the_size_is_not(exported: Exported) -> None:
    model = openvino_core().read_model(exported("linear", saliency=True).xml)
    assert str(model.input("data").partial_shape) == "[?,3,32,48]"
    assert str(model.output("logits").partial_shape) == "[?,5]"
    assert str(model.output("saliency_map").partial_shape) == "[?,5,8,12]"
    with pytest.raises(RuntimeError, match="shape"):
        run(exported("linear", saliency=True).xml, torch.zeros(1, 32, 32, 3))
