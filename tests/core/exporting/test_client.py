"""The stock client of OpenVINO Model API, as its users call it, and our comparison with it."""

import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from model_api.models import Model
from torch import Tensor

from mlc_cli.core.exporting.client import ClientOutputs, run_client, undecided_apart
from mlc_cli.core.exporting.ir import to_ir, write_ir
from mlc_cli.core.exporting.onnx_graph import write_onnx
from mlc_cli.errors import MlcError

Exported = Callable[..., Any]
LABELS = ["Straße", "a,_b", "cat", "person", "traffic_light"]
BF16 = 0.02  # the client takes what the CPU likes best


def expected_probabilities(made: Any, images_NHWC: Tensor) -> np.ndarray:
    return made.expected(images_NHWC).double().sigmoid().numpy()


@pytest.mark.parametrize("form", ["xml", "onnx"])
def test_the_client_needs_a_file_and_an_image_alone(
    exported: Exported, pixels: Callable[..., Tensor], pictures: list[Path], form: str
) -> None:
    made = exported("linear", saliency=True)
    model = Model.create_model(str(getattr(made, form)))
    expected_NC = expected_probabilities(made, pixels(12))
    assert 0.1 < (expected_NC > 0.5).mean() < 0.9
    for path, expected_C in zip(pictures, expected_NC, strict=True):
        result = model(cv2.imread(str(path)))
        np.testing.assert_allclose(result.raw_scores, expected_C, atol=BF16)
        clear = np.abs(expected_C - 0.5) > BF16
        named = {label.name: label for label in result.top_labels}
        assert [label.id for label in result.top_labels] == sorted(
            label.id for label in result.top_labels
        )
        for c, name in enumerate(LABELS):
            if clear[c]:
                assert (name in named) == (expected_C[c] > 0.5)
        for name, label in named.items():
            assert LABELS[label.id] == name
            assert label.confidence == pytest.approx(expected_C[label.id], abs=BF16)


def test_the_client_resizes_as_opencv_does(
    exported: Exported, pixels: Callable[..., Tensor], tmp_path: Path
) -> None:
    made = exported("linear", saliency=True)
    large = cv2.resize(pixels(1)[0].numpy(), (131, 97), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "a.png"), large[..., ::-1])
    small = cv2.resize(large, (48, 32), interpolation=cv2.INTER_LINEAR)
    found = run_client(made.xml, [tmp_path / "a.png"], LABELS)
    expected = expected_probabilities(made, torch.from_numpy(small)[None])
    np.testing.assert_allclose(found.probabilities_NC, expected, atol=0.01)


@pytest.mark.parametrize("head", ["linear", "cosine", "decoder, groups"])
def test_the_client_passes_heat_maps_on(
    exported: Exported, pixels: Callable[..., Tensor], pictures: list[Path], head: str
) -> None:
    made = exported(head, saliency=True)
    result = Model.create_model(str(made.xml))(cv2.imread(str(pictures[0])))
    assert result.saliency_map.dtype == np.uint8
    assert result.saliency_map.shape == (1, 5, 8, 12)
    assert result.saliency_map.max() == 255
    np.testing.assert_allclose(
        result.raw_scores, expected_probabilities(made, pixels(12))[0], atol=BF16
    )


def test_folded_thresholds_make_the_client_decide_by_them(
    exported: Exported,
    pixels: Callable[..., Tensor],
    pictures: list[Path],
    thresholds: tuple[float, ...],
) -> None:
    made = exported(thresholds=thresholds, folded=True)
    found = run_client(made.xml, pictures, LABELS)
    expected_NC = expected_probabilities(made, pixels(12))
    far_NC = np.abs(expected_NC - thresholds) > 1e-4
    assert far_NC.mean() > 0.9
    decided_NC = expected_NC >= np.array(thresholds)
    assert (decided_NC != (expected_NC >= 0.5)).any(), "the thresholds matter"
    np.testing.assert_array_equal(found.decided_NC[far_NC], decided_NC[far_NC])


def test_outputs_of_the_client_are_collected(
    exported: Exported, pixels: Callable[..., Tensor], pictures: list[Path]
) -> None:
    made = exported("linear", saliency=True)
    found = run_client(made.xml, pictures, LABELS)
    np.testing.assert_allclose(
        found.probabilities_NC, expected_probabilities(made, pixels(12)), atol=1e-4
    )
    np.testing.assert_array_equal(found.decided_NC, found.probabilities_NC > 0.5)
    assert found.rate > 0


def test_other_labels_than_expected_are_an_error(exported: Exported, pictures: list[Path]) -> None:
    xml = exported("linear", saliency=True).xml
    for labels in (["other", *LABELS[:-1]], LABELS[::-1]):
        with pytest.raises(MlcError, match="names class"):
            run_client(xml, pictures, labels)


@pytest.mark.parametrize("labels", [LABELS[:3], LABELS[:4]], ids=len)
def test_a_file_with_too_few_labels_does_not_pass(
    exported: Exported, pictures: list[Path], tmp_path: Path, labels: list[str]
) -> None:
    made = exported("linear", saliency=True)
    model = to_ir(made.onnx, made.info)
    path = tmp_path / "m.xml"
    write_ir(path, model, made.info, half=False)
    text = path.read_text(encoding="utf-8")
    whole = f'<labels value="{" ".join(LABELS)}" />'
    assert whole in text
    path.write_text(text.replace(whole, f'<labels value="{" ".join(labels)}" />'), "utf-8")
    with pytest.raises(MlcError, match="client of OpenVINO Model API"):
        run_client(path, pictures, LABELS)


def test_the_client_fails_on_one_class_which_is_why_it_is_left_out(
    exported: Exported, pictures: list[Path]
) -> None:
    with pytest.raises(MlcError, match=r"the client of OpenVINO Model API fails"):
        run_client(exported(classes=("only",)).xml, pictures, ["only"])


def test_a_file_that_the_client_cannot_open_is_named(
    exported: Exported, pictures: list[Path], tmp_path: Path
) -> None:
    shutil.copy(exported("linear", saliency=True).xml, tmp_path / "m.xml")
    with pytest.raises(MlcError, match=r"m\.xml: the client of OpenVINO Model API fails"):
        run_client(tmp_path / "m.xml", pictures, LABELS)


def test_at_the_threshold_the_client_decides_against_a_class(
    exported: Exported, pictures: list[Path], tmp_path: Path
) -> None:
    """The commands of mlc decide for it: the comparison lets either pass so near to it."""
    made = exported("linear", saliency=True)
    undecided = deepcopy(made.classifier)
    for parameter in undecided.head.parameters():
        torch.nn.init.zeros_(parameter)
    write_onnx(tmp_path / "m.onnx", undecided, made.info, saliency=False)
    write_ir(tmp_path / "m.xml", to_ir(tmp_path / "m.onnx", made.info), made.info, half=False)
    found = run_client(tmp_path / "m.xml", pictures[:2], LABELS)
    assert (found.probabilities_NC == 0.5).all()
    assert not found.decided_NC.any()
    assert undecided_apart(found, np.full((2, 5), 0.5 + 1e-9), 0.01)[1:] == (0, 0)


@pytest.mark.parametrize(
    ("found", "decided", "expected", "outcome"),
    [
        ([0.7, 0.2], [True, False], [0.7, 0.2], (0.0, 1, 0)),
        ([0.7, 0.2], [True, False], [0.72, 0.15], (0.05, 1, 0)),
        ([0.505, 0.2], [True, False], [0.499, 0.2], (0.006, 0, 0)),
        ([0.7, 0.2], [False, False], [0.7, 0.2], (0.0, 0, 1)),
        ([0.2, 0.7], [False, True], [0.7, 0.2], (0.5, 0, 2)),
        ([0.5, 0.2], [False, False], [0.5, 0.2], (0.0, 1, 0)),
    ],
)
def test_decisions_far_from_the_threshold_must_agree(
    found: list[float],
    decided: list[bool],
    expected: list[float],
    outcome: tuple[float, int, int],
) -> None:
    outputs = ClientOutputs(np.array([found]), np.array([decided]), 1.0)
    probability, same, wrong = undecided_apart(outputs, np.array([expected]), 0.01)
    assert (pytest.approx(probability), same, wrong) == outcome
