from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor

from mlc_cli.core.inference.runtime.onnx_file import OnnxEngine
from mlc_cli.errors import CheckpointError, UsageError

Exported = Callable[..., Any]
CPU = "cpu"


@pytest.mark.parametrize("count", [1, 2, 19])
def test_logits_are_those_of_torch(
    exported: Exported, pixels: Callable[..., Tensor], count: int
) -> None:
    made = exported("linear", saliency=True)
    images = pixels(count)
    kept = images.clone()
    logits_NC = OnnxEngine(made.onnx, CPU)(images.numpy())
    assert logits_NC.dtype == np.float32
    torch.testing.assert_close(
        torch.from_numpy(logits_NC), made.expected(images), atol=1e-4, rtol=0
    )
    assert torch.equal(images, kept)


def test_a_graph_that_normalises_gives_the_same_logits_of_whole_batches(
    exported: Exported, pixels: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, but on the CPU."""
    made, images = exported("linear", saliency=True), pixels(19)
    engine = OnnxEngine(made.onnx, CPU)
    expected = engine(images.numpy())
    engine._normalise_inside(made.onnx, ["CPUExecutionProvider"])
    engine.on_host, seen, run = False, [], engine._run
    monkeypatch.setattr(engine, "_run", lambda part: seen.append(part) or run(part))
    np.testing.assert_allclose(engine(images.numpy()), expected, atol=1e-6, rtol=0)
    assert [(part.dtype, len(part)) for part in seen] == [(np.uint8, 19)]
    (taken,) = engine._session.get_inputs()
    assert (taken.name, taken.type) == ("image", "tensor(uint8)")


def test_folded_thresholds_are_taken_back(
    exported: Exported, pixels: Callable[..., Tensor], thresholds: tuple[float, ...]
) -> None:
    made = exported(thresholds=thresholds, folded=True)
    engine = OnnxEngine(made.onnx, CPU)
    assert engine.info == made.info
    logits_NC = torch.from_numpy(engine(pixels(9).numpy()))
    torch.testing.assert_close(logits_NC, made.expected(pixels(9)), atol=1e-4, rtol=0)


def graph(path: Path, operator: str, domain: str = "") -> None:
    """A valid file that mlc did not write."""
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 3]) for n in "xy"]
    node = helper.make_node(operator, ["x"], ["y"], domain=domain)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    content = helper.make_graph([node], "g", ends[:1], ends[1:])
    onnx.save(helper.make_model(content, opset_imports=opsets), str(path))


def test_a_file_of_others_says_what_it_lacks(tmp_path: Path) -> None:
    graph(tmp_path / "m.onnx", "Relu")
    with pytest.raises(CheckpointError, match=r"m\.onnx: was not exported by mlc") as caught:
        OnnxEngine(tmp_path / "m.onnx", CPU)
    assert "mlc export" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"no model\n" * 20, "half", "cut", "operator"], ids=str)
def test_a_damaged_file_is_named_in_one_line(
    exported: Exported, tmp_path: Path, content: bytes | str
) -> None:
    path = tmp_path / "m.onnx"
    whole = exported("linear", saliency=True).onnx.read_bytes()
    match content:
        case "half":
            path.write_bytes(whole[: len(whole) // 2])
        case "cut":
            path.write_bytes(whole[:-20])
        case "operator":
            graph(path, "Unheard", "own")
        case bytes():
            path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"m\.onnx: is damaged or ") as caught:
        OnnxEngine(path, CPU)
    assert "\n" not in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no such model"):
        OnnxEngine(tmp_path / "m.onnx", CPU)


def test_a_gpu_needs_another_onnx_runtime(exported: Exported) -> None:
    with pytest.raises(UsageError, match="device 'cuda:0': the installed ONNX Runtime") as caught:
        OnnxEngine(exported("linear", saliency=True).onnx, "cuda:0")
    assert "onnxruntime-gpu" in caught.value.hint


def test_auto_is_what_this_onnx_runtime_can_use(exported: Exported) -> None:
    assert OnnxEngine(exported("linear", saliency=True).onnx, "auto").on_host


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "CPU", ""])
def test_an_unknown_device_is_named(exported: Exported, device: str) -> None:
    with pytest.raises(UsageError, match=f"device '{device}' is unknown"):
        OnnxEngine(exported("linear", saliency=True).onnx, device)
