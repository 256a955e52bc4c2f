"""Every kind of model file behind one call."""

import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mlc_cli.core.evaluation.probabilities import probabilities
from mlc_cli.core.exporting.ir import mark_ir
from mlc_cli.core.exporting.onnx_graph import mark_onnx
from mlc_cli.core.inference import torch_engine
from mlc_cli.core.inference.engines import is_exported
from mlc_cli.core.inference.explain import evidence
from mlc_cli.core.inference.open import open_model
from mlc_cli.core.inference.torch_engine import TorchEngine
from mlc_cli.errors import CheckpointError, TrainingError, UsageError

Exported = Callable[..., Any]
SIZE = (64, 96)


@pytest.fixture
def made(exported: Exported) -> Any:
    return exported("decoder", backbone="test_resnet", size=SIZE)


@pytest.mark.parametrize(("matmul", "allowed"), [("high", True), ("highest", False), (None, None)])
def test_tf32_is_allowed_as_is_asked_for(
    made: Any, monkeypatch: pytest.MonkeyPatch, matmul: str | None, allowed: bool | None
) -> None:
    said: list[bool] = []
    monkeypatch.setattr(torch_engine, "allow_tf32", lambda *, on: said.append(on))
    open_model(made.checkpoint, "cpu", "fp32", matmul=matmul)
    assert said == ([] if allowed is None else [allowed])


@pytest.mark.parametrize("form", ["checkpoint", "onnx", "xml"])
def test_every_form_gives_the_same_logits_and_card(
    made: Any, pixels: Callable[..., Tensor], form: str
) -> None:
    opened = open_model(getattr(made, form), "cpu", "fp32")
    assert opened.card == made.info.card
    for count in (1, 11):
        images = pixels(count, SIZE)
        logits_NC = torch.from_numpy(opened.engine(images.numpy()))
        assert logits_NC.dtype == torch.float32
        torch.testing.assert_close(logits_NC, made.expected(images), atol=1e-4, rtol=0)


@torch.inference_mode()
def test_the_maps_go_with_the_logits(made: Any, pixels: Callable[..., Tensor]) -> None:
    engine = open_model(made.checkpoint, "cpu", "fp32").engine
    assert isinstance(engine, TorchEngine)
    images = pixels(3, SIZE)
    decided = [[2, 0], [], [4]]
    given = []
    logits_NC, maps = engine.explained(images.numpy(), lambda NC: given.append(NC) or decided)
    assert given[0] is logits_NC
    expected_NC = made.expected(images)
    torch.testing.assert_close(torch.from_numpy(logits_NC), expected_NC, atol=1e-5, rtol=0)
    features = made.classifier.backbone(engine.normalise(images))
    whole = evidence(made.classifier.head, features, range(5))
    for row, classes in enumerate(decided):
        torch.testing.assert_close(torch.from_numpy(maps[row]), whole[row, classes])


def test_probabilities_are_those_of_float64_at_any_size() -> None:
    logits = np.array([[-700, -20, -0.0, 1e-3, 16.7, 40, 800]], np.float32)
    expected = [1 / (1 + (-Decimal(float(x))).exp()) for x in logits[0]]
    assert probabilities(logits)[0] == pytest.approx([float(x) for x in expected], rel=1e-15)
    assert probabilities(np.array([[3e38, -3e38]], np.float32)).tolist() == [[1, 0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_model_that_has_diverged_is_refused(bad: float) -> None:
    logits = np.zeros((3, 2), np.float32)
    logits[1, 0] = bad
    with pytest.raises(TrainingError, match="not finite for 1 of 3 images"):
        probabilities(logits)


@pytest.mark.parametrize(
    ("parity", "words"),
    [
        ("passed", ""),
        ("failed", "differs from its checkpoint by more than was allowed"),
        ("unchecked", "was never compared with its checkpoint"),
    ],
)
def test_the_outcome_of_the_comparison_is_told(
    made: Any, tmp_path: Path, parity: str, words: str
) -> None:
    onnx, xml = (Path(shutil.copy(path, tmp_path)) for path in (made.onnx, made.xml))
    shutil.copy(made.xml.with_suffix(".bin"), tmp_path)
    mark_onnx(onnx, parity)
    mark_ir(xml, parity)
    for path in (onnx, xml):
        warning = open_model(path, "cpu", "fp32").warning
        assert (words in warning) if words else warning == ""
    assert open_model(made.checkpoint, "cpu", "fp32").warning == ""


def test_the_suffix_tells_the_kind(made: Any, tmp_path: Path) -> None:
    kinds = {"a.ONNX": True, "a.Xml": True, "a.safetensors": False, "a.bin": False, "a": False}
    assert {name: is_exported(Path(name)) for name in kinds} == kinds
    upper = Path(shutil.copy(made.onnx, tmp_path / "M.ONNX"))
    assert open_model(upper, "cpu", "fp32").card == made.info.card
    with pytest.raises(CheckpointError, match=r"m\.bin"):
        open_model(Path(shutil.copy(made.onnx, tmp_path / "m.bin")), "cpu", "fp32")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_an_onnx_file_runs_as_it_is(made: Any, precision: str) -> None:
    with pytest.raises(UsageError, match=f"precision {precision}: an ONNX file runs as it is"):
        open_model(made.onnx, "cpu", precision)
    assert open_model(made.onnx, "cpu", "auto").engine


def test_an_ir_leaves_the_arithmetic_to_the_device(
    made: Any, pixels: Callable[..., Tensor]
) -> None:
    engine = open_model(made.xml, "auto", "auto").engine
    logits_NC = torch.from_numpy(engine(pixels(3, SIZE).numpy()))
    expected = made.expected(pixels(3, SIZE))
    torch.testing.assert_close(logits_NC, expected, atol=0.2, rtol=0.1)


@pytest.mark.parametrize("form", ["checkpoint", "onnx", "xml"])
def test_a_device_that_is_not_there_is_refused(made: Any, form: str) -> None:
    with pytest.raises(UsageError, match="device 'cuda:77'"):
        open_model(getattr(made, form), "cuda:77", "fp32")
