"""A classifier as an ONNX graph."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from mlc_cli.core.exporting.rule_graph import RuleMargins
from mlc_cli.core.inference.explain import evidence
from mlc_cli.core.inference.runtime.metadata import (
    SECTION,
    ExportInfo,
    threshold_logits,
    to_entries,
)
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.system.checksum import seal
from mlc_cli.core.system.extras import import_extra
from mlc_cli.core.system.machine import machine_error
from mlc_cli.errors import MlcError

INPUT, LOGITS, SALIENCY = "data", "logits", "saliency_map"
_ONE_SHAPE = "only 4D query, key, and value are supported"
"""What torch says where the fused attention of a model has another shape (Twins, SAM)."""


class ExportGraph(nn.Module):
    """What is exported: normalised RGB (N×3×H×W) to logits (N×C), and saliency maps if wanted.

    Args:
        classifier: In evaluation mode, on the CPU.
        info: Of the file; if thresholds are folded, their logits are subtracted, and if rules are,
            logits obey them.
        saliency: Whether to give maps too, uint8 N×C×h×w, each stretched to 0..255.
    """

    _shift_C: Tensor | None

    def __init__(self, classifier: Classifier, info: ExportInfo, *, saliency: bool) -> None:
        super().__init__()
        self.classifier = classifier
        self._saliency = saliency
        self._classes = range(len(info.card.classes))
        self._margins = RuleMargins(info.card) if info.card.rules.folded else None
        folded = info.card.thresholds if info.folded else None
        shift_C = torch.from_numpy(threshold_logits(folded)) if folded else None
        self.register_buffer("_shift_C", shift_C)

    def forward(self, images_N3HW: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Logits, or logits and maps."""
        map_NDHW = self.classifier.backbone(images_N3HW)
        logits_NC: Tensor = self.classifier.head(map_NDHW)
        if self._margins is not None:
            logits_NC = self._margins(logits_NC) + self._margins.thresholds_C
        if self._shift_C is not None:
            logits_NC = logits_NC - self._shift_C
        if not self._saliency:
            return logits_NC
        return logits_NC, _stretch(evidence(self.classifier.head, map_NDHW, self._classes))


def _stretch(maps_NCHW: Tensor) -> Tensor:
    lowest = maps_NCHW.amin((2, 3), keepdim=True)
    span = (maps_NCHW.amax((2, 3), keepdim=True) - lowest).clamp_min(1e-12)
    return ((maps_NCHW - lowest) / span * 255).round().to(torch.uint8)


def write_onnx(
    path: Path, classifier: Classifier, info: ExportInfo, *, saliency: bool, opset: int = 18
) -> None:
    """Export to a file with a free batch size, and check it.

    The classifier is in evaluation mode, on the CPU; the IR version is the lowest with this opset.

    Raises:
        MlcError: The model cannot be exported, or not in this operator set.
    """
    graph = ExportGraph(classifier, info, saliency=saliency).eval()
    example = torch.zeros(2, 3, *info.card.input_size)
    batch = torch.export.Dim("N", min=1)
    outputs = [LOGITS, SALIENCY] if saliency else [LOGITS]
    model = to_proto(graph, example, {0: batch}, [INPUT], outputs, opset)
    _check_batch(model)
    for key, text in to_entries(info, normalised_inside=info.embedded).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = f"{SECTION} {key}", text
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    seal(path)


def to_proto(
    graph: nn.Module,
    example: Tensor,
    free: dict[int, Any],
    inputs: list[str],
    outputs: list[str],
    opset: int,
) -> onnx.ModelProto:
    """Trace a module with one input, some of whose axes are free.

    Raises:
        MlcError: torch cannot export it.
    """
    import_extra("onnxscript", "export")
    call = partial(
        torch.onnx.export,
        graph,
        (example,),
        dynamo=True,
        input_names=inputs,
        output_names=outputs,
        dynamic_shapes=(free,),
        external_data=False,
        opset_version=opset,
    )
    try:
        with quiet(), torch.no_grad():
            try:
                program = call()
            except Exception as error:
                if _ONE_SHAPE not in _reason(error):
                    raise
                for module in graph.modules():  # of timm: attention in its single steps
                    if hasattr(module, "fused_attn"):
                        vars(module)["fused_attn"] = False
                program = call()
    except Exception as error:  # whatever a model of timm does that torch cannot export
        if found := machine_error(error):
            raise found from error
        raise MlcError(
            f"torch cannot export this model to ONNX: {_reason(error)}",
            "--debug shows all of it. Another backbone may go: `mlc presets` lists some that do.",
        ) from error
    assert program is not None
    model = program.model_proto
    given = next(entry.version for entry in model.opset_import if not entry.domain)
    if given != opset:
        raise MlcError(
            f"this model cannot be written in opset {opset}", f"Export with --set opset={given}."
        )
    model.ir_version = onnx.helper.find_min_ir_version_for(list(model.opset_import))
    return model


def mark_onnx(path: Path, parity: str) -> None:
    """Write down the outcome of the comparison."""
    model = onnx.load(str(path))
    for entry in model.metadata_props:
        if entry.key == f"{SECTION} parity":
            entry.value = parity
    onnx.save(model, str(path))
    seal(path)


def _check_batch(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        if not value.type.tensor_type.shape.dim[0].dim_param:
            raise MlcError(
                f"the exported graph fixes the batch size of '{value.name}': something in the model"
                " turns the number of images into a constant"
            )


def _reason(error: BaseException) -> str:
    """First line of the fault itself, which the exporter wraps into advice of its own."""
    while error.__cause__:
        error = error.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, exporter and quantiser keep their remarks to themselves; what matters is an error."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            yield
    finally:
        logging.disable(level)
