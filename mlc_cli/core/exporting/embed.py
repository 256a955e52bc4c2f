"""The resize as a part of the exported graph: decoded pixels of any size in.

Every geometry is a linear map of the rows and one of the columns, so that it is two products with
matrices that the graph makes itself from the size of the picture. They hold exactly what `geometry`
does: the mean of areas, which no resize operation of ONNX or OpenVINO gives, included.

Names of arrays: N images of H×W pixels, h×w after the resize.
"""

from pathlib import Path

import onnx
import onnx.compose
import openvino as ov
import torch
from torch import Tensor, nn

from mlc_cli.core.exporting.onnx_graph import INPUT, to_proto
from mlc_cli.core.images.geometry import Geometry
from mlc_cli.core.inference.runtime.metadata import PICTURE, ExportInfo
from mlc_cli.core.inference.runtime.openvino_core import openvino_core
from mlc_cli.core.system.checksum import seal

_RESIZED = "resized"


class EmbeddedResize(nn.Module):
    """Bytes N×H×W×3 to N×3×h×w in 0..255, or normalised.

    Args:
        geometry: Size and shape of the result.
        mean: To subtract, by channel, in 0..1; with `std` for graphs that take normalised images.
    """

    def __init__(
        self, geometry: Geometry, mean: tuple[float, ...] = (), std: tuple[float, ...] = ()
    ) -> None:
        super().__init__()
        self._geometry = geometry
        self._mean, self._std = mean, std

    def forward(self, images_NHW3: Tensor) -> Tensor:
        """Resize, round to bytes as the files do that mlc reads, and normalise."""
        count, height, width, _ = images_NHW3.shape
        (rows, inner_rows), (columns, inner_columns) = self._lengths(height, width)
        by_row_hH = self._weights(height, rows, inner_rows, self._geometry.size[0])
        by_column_wW = self._weights(width, columns, inner_columns, self._geometry.size[1])
        # rows first, all values of a row side by side: nothing as large as the picture is turned
        lines = by_row_hH @ images_NHW3.to(torch.float32).reshape(count, height, -1)
        lines = lines.reshape(count, self._geometry.size[0], width, 3).transpose(2, 3)
        resized = (lines @ by_column_wW.T).round()
        # channels are moved last: OpenVINO takes what is done to each of them into a product, where
        # the last axis counts as channels
        resized = resized.transpose(1, 2)
        if not self._std:
            return resized
        mean, std = (torch.tensor(v)[:, None, None] * 255 for v in (self._mean, self._std))
        return (resized - mean) / std

    def _lengths(self, height: int, width: int) -> list[tuple[Tensor, Tensor]]:
        """Of rows and columns: how many of the picture are used, and how many they become."""
        old = [torch.arange(length, dtype=torch.int32)[-1] + 1 for length in (height, width)]
        new = [torch.tensor(length, dtype=torch.int32) for length in self._geometry.size]
        if self._geometry.resize == "squash":
            return list(zip(old, new, strict=True))
        if self._geometry.resize == "crop":
            return [(torch.minimum(*old), length) for length in new]
        rows_decide = new[0] * old[1] <= new[1] * old[0]
        times, parts = (torch.where(rows_decide, rows, columns) for rows, columns in (new, old))
        most = max(self._geometry.size)
        return [(length, _rounded(length * times, parts, most)) for length in old]

    def _weights(self, length: int, used: Tensor, inner: Tensor, size: int) -> Tensor:
        """Part of each old pixel (columns) in each new one (rows); the used ones are the middle.

        Devices that compute in half precision do not touch integers, but they do divide: so all is
        in whole numbers, twice the pixels times `inner` or `used`, up to the last step.
        """
        old = torch.arange(length, dtype=torch.int32)
        old = 2 * old - _even(old[-1] + 1 - used)
        new = torch.arange(size, dtype=torch.int32)[:, None]
        new = 2 * new - _even(size - inner)
        place = torch.minimum(((new + 1) * used - inner).clamp_min(0), 2 * inner * (used - 1))
        near = (2 * inner - (inner * old - place).abs()).clamp_min(0)
        weights = near.to(torch.float32) / (2 * inner).to(torch.float32)
        if self._geometry.interpolation == "area":
            ends = torch.minimum((new + 2) * used, (old + 2) * inner)
            shared = (ends - torch.maximum(new * used, old * inner)).clamp_min(0)
            shares = shared.to(torch.float32) / (2 * used).to(torch.float32)
            weights = torch.where(used > inner, shares, weights)
        return weights * ((new >= 0) & (new < 2 * inner)).to(torch.float32)


def _even(length: Tensor) -> Tensor:
    """Twice the half of it, rounded down."""
    return length - (length & 1)


def _rounded(times: Tensor, parts: Tensor, most: int) -> Tensor:
    """Round times / parts to the nearest integer, halves to the even one; 1 to `most`.

    `Geometry` rounds a product in float32, as clients do: one in 100,000 sizes is a pixel apart.
    """
    whole = torch.arange(most + 1, dtype=torch.int32)
    edge = (2 * whole - 1) * parts
    reached = (edge < 2 * times) | ((edge == 2 * times) & (whole & 1 == 0))
    return (whole * reached.to(torch.int32)).max().clamp_min(1)


def embed_in_onnx(path: Path, info: ExportInfo) -> None:
    """Put the resize before the graph of an ONNX file, whose input becomes RGB bytes N×H×W×3."""
    card, model = info.card, onnx.load(str(path))
    opset = next(entry.version for entry in model.opset_import if not entry.domain)
    resize = resize_graph(EmbeddedResize(card.geometry, card.mean, card.std), opset)
    resize.ir_version = model.ir_version
    whole = onnx.compose.merge_models(resize, model, io_map=[(_RESIZED, INPUT)])
    onnx.checker.check_model(whole, full_check=True)
    onnx.save(whole, str(path))
    seal(path)


def embed_in_ir(model: ov.Model, info: ExportInfo) -> ov.Model:
    """Put the resize before an IR, whose input becomes BGR bytes N×H×W×3."""
    graph = resize_graph(EmbeddedResize(info.card.geometry))
    resize = openvino_core().read_model(graph.SerializeToString())
    last = resize.output(0).get_node().input_value(0)
    for reader in model.input(0).get_target_inputs():
        reader.replace_source_output(last)
    resize.get_parameters()[0].set_layout(ov.Layout("NHWC"))
    return ov.Model(model.get_results(), resize.get_parameters(), model.get_friendly_name())


def resize_graph(resize: EmbeddedResize, opset: int = 18) -> onnx.ModelProto:
    """As ONNX, with names that no classifier has."""
    sides = {axis: torch.export.Dim(name, min=1) for axis, name in enumerate("NHW")}
    example = torch.zeros(2, 30, 40, 3, dtype=torch.uint8)
    graph = to_proto(resize, example, sides, [PICTURE], [_RESIZED], opset)
    return onnx.compose.add_prefix(graph, "resize_", rename_inputs=False, rename_outputs=False)
