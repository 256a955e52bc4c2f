"""Opening a model file of any kind.

Exported files are run without torch: what opens a kind of file is imported when one is opened.
"""

# ruff: noqa: PLC0415
from pathlib import Path
from typing import TYPE_CHECKING

from mlc_cli.core.inference.engines import OpenedModel, is_exported
from mlc_cli.errors import UsageError

if TYPE_CHECKING:
    from mlc_cli.core.inference.runtime.ir_file import Hint, IrEngine
    from mlc_cli.core.inference.runtime.onnx_file import OnnxEngine

HINTS: dict[str, "Hint"] = {"auto": "auto", "fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_DOUBTS = {
    "failed": "differs from its checkpoint by more than was allowed (see export.json)",
    "unchecked": "was never compared with its checkpoint: export it again without --no-check",
}


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

    `latency` says that single images come, and that their time matters more than the number a
    second; the rest is that of `Model`. ONNX files are run as they are written.

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
            return _opened(path, OnnxEngine(path, device))
        case ".xml":
            from mlc_cli.core.inference.runtime.ir_file import IrEngine

            name = "CPU" if device in ("auto", "cpu") else device
            return _opened(path, IrEngine(path, name, HINTS[precision], latency=latency))
        case _:
            from mlc_cli.core.inference.torch_engine import open_checkpoint

            opened = open_checkpoint(path, device, precision, like, weight_classes, matmul)
            return OpenedModel(path, *opened)


def _opened(path: Path, engine: "OnnxEngine | IrEngine") -> OpenedModel:
    doubt = _DOUBTS.get(engine.info.parity)
    return OpenedModel(path, engine, engine.info.card, f"{path} {doubt}" if doubt else "")
