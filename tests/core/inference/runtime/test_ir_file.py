import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import openvino as ov
import pytest
import torch
from torch import Tensor

from mlc_cli.core.inference.runtime.ir_file import IrEngine, cpu_name
from mlc_cli.core.inference.runtime.openvino_core import openvino_core
from mlc_cli.errors import CheckpointError, MlcError, UsageError

Exported = Callable[..., Any]


@pytest.fixture
def copy(exported: Exported, tmp_path: Path) -> Path:
    """An IR to damage."""
    made = exported("linear", saliency=True)
    shutil.copy(made.xml.with_suffix(".bin"), tmp_path / "m.bin")
    return Path(shutil.copy(made.xml, tmp_path / "m.xml"))


@pytest.mark.parametrize("latency", [False, True])
@pytest.mark.parametrize("count", [1, 2, 70])
def test_logits_are_those_of_torch_in_the_order_of_the_images(
    exported: Exported, pixels: Callable[..., Tensor], latency: bool, count: int
) -> None:
    made = exported("linear", saliency=True)
    images = pixels(count)
    kept = images.clone()
    engine = IrEngine(made.xml, latency=latency)
    for _ in range(2):
        logits_NC = torch.from_numpy(engine(images.numpy()))
        torch.testing.assert_close(logits_NC, made.expected(images), atol=1e-4, rtol=0)
    assert logits_NC.dtype == torch.float32
    assert torch.equal(images, kept)


def test_images_may_lie_in_memory_in_any_way(
    exported: Exported, pixels: Callable[..., Tensor]
) -> None:
    made = exported("linear", saliency=True)
    mirrored = pixels(6).numpy()[::2, :, ::-1]
    strided = pixels(6).repeat(1, 1, 2, 1).numpy()[::2, :, ::2]
    for images in (mirrored, strided):
        logits_NC = torch.from_numpy(IrEngine(made.xml)(images))
        expected_NC = made.expected(torch.from_numpy(images.copy()))
        torch.testing.assert_close(logits_NC, expected_NC, atol=1e-4, rtol=0)


def test_folded_thresholds_are_taken_back(
    exported: Exported, pixels: Callable[..., Tensor], thresholds: tuple[float, ...]
) -> None:
    made = exported(thresholds=thresholds, folded=True)
    engine = IrEngine(made.xml)
    assert engine.info == made.info
    torch.testing.assert_close(
        torch.from_numpy(engine(pixels(9).numpy())), made.expected(pixels(9)), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("hint", ["auto", "f32", "bf16", "f16"])
def test_the_arithmetic_is_told_or_refused(
    exported: Exported, pixels: Callable[..., Tensor], hint: str
) -> None:
    made = exported("linear", saliency=True)
    own = IrEngine(made.xml, hint="auto").arithmetic
    capable = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if hint not in ("auto", "f32") and {"bf16": "BF16", "f16": "FP16"}[hint] not in capable:
        with pytest.raises(UsageError, match=f"has no {hint}"):
            IrEngine(made.xml, hint=hint)
        return
    engine = IrEngine(made.xml, hint=hint)
    assert engine.arithmetic == (own if hint == "auto" else hint)
    expected = made.expected(pixels(4))
    limit = 0.02 * float(expected.abs().max())
    torch.testing.assert_close(
        torch.from_numpy(engine(pixels(4).numpy())), expected, atol=limit, rtol=0
    )


def test_a_device_that_chooses_others_runs_the_model(
    exported: Exported, pixels: Callable[..., Tensor]
) -> None:
    made = exported("linear", saliency=True)
    engine = IrEngine(made.xml, device="AUTO:CPU")
    torch.testing.assert_close(
        torch.from_numpy(engine(pixels(3).numpy())), made.expected(pixels(3)), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("device", ["FPGA", "cuda", "nonsense", "FPGA.1", ""])
def test_an_unknown_device_is_refused_with_those_that_are_there(
    exported: Exported, device: str
) -> None:
    with pytest.raises(UsageError, match=f"device '{device}': OpenVINO finds CPU"):
        IrEngine(exported("linear", saliency=True).xml, device)


@pytest.mark.parametrize("device", ["MULTI", "HETERO:FPGA"])
def test_a_device_that_cannot_run_the_model_is_refused(exported: Exported, device: str) -> None:
    with pytest.raises(UsageError, match=f"device '{device}': OpenVINO cannot run") as caught:
        IrEngine(exported("linear", saliency=True).xml, device)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("suffix", [".xml", ".bin"])
def test_an_ir_is_two_files(copy: Path, suffix: str) -> None:
    copy.with_suffix(suffix).unlink()
    with pytest.raises(CheckpointError, match=rf"m\{suffix}: there is no such file") as caught:
        IrEngine(copy)
    assert "NAME.bin" in caught.value.hint


@pytest.mark.parametrize("suffix", [".xml", ".bin"])
@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_a_damaged_file_is_named_in_one_line(copy: Path, suffix: str, keep: float) -> None:
    path = copy.with_suffix(suffix)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(CheckpointError, match=r"m\.xml: is damaged or ") as caught:
        IrEngine(copy)
    assert "\n" not in caught.value.message


def test_other_xml_is_refused(copy: Path) -> None:
    copy.write_text("<annotation><size/></annotation>")
    with pytest.raises(CheckpointError, match=r"m\.xml: is damaged or not an"):
        IrEngine(copy)


def test_an_ir_of_others_says_what_it_lacks(exported: Exported, tmp_path: Path) -> None:
    graph = onnx.load(exported("linear", saliency=True).onnx)
    del graph.metadata_props[:]
    model = openvino_core().read_model(graph.SerializeToString())
    ov.save_model(model, tmp_path / "m.xml")  # without the metadata of the other
    with pytest.raises(MlcError, match=r"m\.xml: was not exported by mlc"):
        IrEngine(tmp_path / "m.xml")


def test_the_processor_has_a_name() -> None:
    assert cpu_name().strip()
