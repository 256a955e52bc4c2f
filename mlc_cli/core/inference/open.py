"""Opening a model file of any kind.

Exported files are run without torch: what opens a kind of file is imported when one is opened.
"""

# ruff: noqa: PLC0415
from pathlib import Path
from typing import TYPE_CHECKING

from mlc_cli.core.inference.engines import OpenedModel, is_exported
from mlc_cli.errors import UsageError

if TYPE_CHECKING:
    from mlc_cli.core.inference.runtime.ir_file import Hint

HINTS: dict[str, "Hint"] = {"auto": "auto", "fp32": "f32", "bf16": "bf16", "fp16": "f16"}


def open_model(
    path: Path,
    device: str,
    precision: str,
    *,
    latency: bool = False,
    like: str | None = None,
    weight_classes: str | None = None,
    matmul: str | None = None,
) -> OpenedModel:
    """Open a checkpoint, an ONNX file or an OpenVINO IR (`.xml`).

    Args:
        path: The file; its suffix tells its kind.
        device: `auto`, `cpu`, `cuda`, `cuda:N`; for an IR also a device of OpenVINO.
        precision: `auto`, `fp32`, `bf16` or `fp16`. ONNX files are run as they are written.
        latency: Whether single images come, and their time matters more than the number a second.
        like: Preset or YAML file that says what a checkpoint of another system does not.
        weight_classes: Names of its classes, where it does not tell them.
        matmul: `high` allows TF32 in this process, `highest` does not; by default it stays.

    Raises:
        CheckpointError: The file cannot be opened.
        UsageError: The device or precision does not go with it.
    """
    if is_exported(path) and (like or weight_classes):
        raise UsageError(f"{path}: says itself what --like and --weight-classes say")
    match path.suffix.lower():
        case ".onnx":
            from mlc_cli.core.inference.runtime.onnx_file import OnnxEngine

            if precision not in ("auto", "fp32"):
                raise UsageError(f"precision {precision}: an ONNX file runs as it is, in fp32")
            onnx_engine = OnnxEngine(path, device)
            info = onnx_engine.info
            return OpenedModel(path, onnx_engine, info.card, _parity_warning(path, info.parity))
        case ".xml":
            from mlc_cli.core.inference.runtime.ir_file import IrEngine

            name = "CPU" if device in ("auto", "cpu") else device
            ir_engine = IrEngine(path, name, HINTS[precision], latency=latency)
            info = ir_engine.info
            return OpenedModel(path, ir_engine, info.card, _parity_warning(path, info.parity))
        case _:
            from mlc_cli.core.inference.torch_engine import open_checkpoint

            opened = open_checkpoint(path, device, precision, like, weight_classes, matmul)
            return OpenedModel(path, *opened)


def _parity_warning(path: Path, parity: str) -> str:
    if parity == "failed":
        return f"{path} differs from its checkpoint by more than was allowed (see export.json)"
    if parity == "unchecked":
        return f"{path} was never compared with its checkpoint: export it again without --no-check"
    return ""
