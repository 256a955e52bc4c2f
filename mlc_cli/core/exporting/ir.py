"""An ONNX graph as OpenVINO IR."""

from pathlib import Path

import numpy as np
import openvino as ov
import openvino.opset13 as ops
from openvino.preprocess import PrePostProcessor

from mlc_cli.core.exporting.onnx_graph import INPUT
from mlc_cli.core.inference.runtime.metadata import SECTION, ExportInfo, to_entries
from mlc_cli.core.inference.runtime.openvino_core import openvino_core
from mlc_cli.core.system.checksum import seal


def to_ir(onnx_file: Path, info: ExportInfo) -> ov.Model:
    """Convert, and put normalisation and the order of channels into the graph.

    The input becomes BGR in 0..255, N×3×H×W; bytes are accepted as well as floats.
    """
    # The converter of OpenVINO reports its use over the network; reading the file does not.
    model = openvino_core().read_model(onnx_file)
    steps = PrePostProcessor(model)
    steps.input(INPUT).tensor().set_layout(ov.Layout("NCHW"))
    steps.input(INPUT).model().set_layout(ov.Layout("NCHW"))
    channels = np.array([2, 1, 0]), np.array(1)
    # its own step for this gives wrong graphs (VOLO, TNT)
    steps.input(INPUT).preprocess().custom(lambda bgr: ops.gather(bgr, *channels).output(0))
    steps.input(INPUT).preprocess().mean([255 * value for value in info.card.mean])
    steps.input(INPUT).preprocess().scale([255 * value for value in info.card.std])
    return steps.build()


def write_ir(path: Path, model: ov.Model, info: ExportInfo, *, half: bool) -> None:
    """Write `path` (`.xml`) and the `.bin` beside it, with weights in fp16 if `half`."""
    for key, text in to_entries(info, normalised_inside=True).items():
        model.set_rt_info(text, [SECTION, key])
    ov.save_model(model, path, compress_to_fp16=half)
    seal(path, path.with_suffix(".bin"))


def mark_ir(path: Path, parity: str) -> None:
    """Write down the outcome of the comparison; the graph is not touched."""
    text = path.read_text(encoding="utf-8")
    assert text.count(_MARK) == 1
    path.write_text(text.replace(_MARK, f'<parity value="{parity}" />'), encoding="utf-8")
    seal(path, path.with_suffix(".bin"))


_MARK = '<parity value="unchecked" />'
