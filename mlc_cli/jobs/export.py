"""`mlc export`: a checkpoint as ONNX, OpenVINO IR and INT8, compared with the original."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import torch

from mlc_cli.core.evaluation.results import plain
from mlc_cli.core.exporting.embed import embed_in_ir, embed_in_onnx
from mlc_cli.core.exporting.gate import Check, Exported, check_files, mark
from mlc_cli.core.exporting.int8 import Quantiser, Sample, has_attention
from mlc_cli.core.exporting.ir import to_ir, write_ir
from mlc_cli.core.exporting.onnx_graph import write_onnx
from mlc_cli.core.html.notebook import table
from mlc_cli.core.inference.build import data_settings, read_checked_split
from mlc_cli.core.inference.engines import is_exported, model_bytes
from mlc_cli.core.inference.runtime.metadata import ExportInfo, client_labels
from mlc_cli.core.loading.build import build_eval_batches
from mlc_cli.core.loading.loader import Batches
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.models.weights.build import load_any
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.runs.folder import find_checkpoint
from mlc_cli.core.system.files import (
    folder_beside,
    only_writer,
    result_folder,
    write_json,
    write_text,
)
from mlc_cli.core.system.interrupts import undisturbed
from mlc_cli.errors import CheckpointError, MlcError, UsageError
from mlc_cli.settings.export import ExportSettings
from mlc_cli.settings.resolve import as_yaml

OnStep = Callable[[str], object]

CPU_BATCH = 32


@dataclass(frozen=True)
class ExportResult:
    """What an export came to.

    Attributes:
        checkpoint: That was exported.
        folder: Where the files are.
        files: The files, with what the comparison found.
        check: The comparison; `None` if it was left out.
        older: Files in the folder that stem from an earlier export.
        remarks: What the user should know.
    """

    checkpoint: Path
    folder: Path
    files: tuple[Exported, ...]
    check: Check | None
    older: tuple[str, ...]
    remarks: tuple[str, ...]

    def _repr_html_(self) -> str:
        """In a notebook: the files and what the comparison found."""
        keys = ("name", "precision", "bytes", "mean_ap", "faults")
        rows = [[getattr(file, key) for key in keys] for file in self.files]
        return table(str(self.folder), keys, rows)

    @property
    def passed(self) -> bool:
        """Whether no file differs by more than is allowed."""
        return all(not file.faults for file in self.files)


def export(settings: ExportSettings, on_step: OnStep = lambda _: None) -> ExportResult:
    """Export a checkpoint and compare the files with it.

    All files are made in a folder of their own and moved at the end, so that an export that fails
    leaves an earlier one as it was.

    Raises:
        MlcError: The checkpoint or the data cannot be used, or the model cannot be exported.
    """
    checkpoint = find_checkpoint(settings.run, settings.checkpoint)
    if is_exported(checkpoint):
        raise CheckpointError(f"{checkpoint}: is exported already; name the checkpoint itself")
    classifier, card, notes = load_any(checkpoint, settings.like, settings.weight_classes)
    _check(settings, card, checkpoint)
    card = replace(card, rules=replace(card.rules, folded=settings.fold_rules))
    info = ExportInfo(card, settings.fold_thresholds, embedded=settings.embed_resize)
    folder = result_folder(settings.output, checkpoint.parent / "export")
    try:
        with only_writer(folder), folder_beside(folder / "export") as staging:
            files, check = _make(settings, classifier, info, staging, on_step)
            content = _as_dict(checkpoint, card, settings, files, check)
            write_json(staging / "export.json", content)
            write_text(staging / "export.yaml", as_yaml(settings))
            older = _move(staging, folder)
    except OSError as error:
        raise MlcError(
            f"{folder}: the export failed: {error.strerror or error}",
            "Choose another place with --output, or make room; an earlier export is as it was.",
        ) from error
    remarks = (*notes, *_remarks(settings, card))
    return ExportResult(checkpoint, folder, files, check, older, remarks)


def _check(settings: ExportSettings, card: ModelCard, checkpoint: Path) -> None:
    """Refuse what cannot be done before anything is."""
    client_labels(card.classes)
    if settings.fold_thresholds and card.thresholds is None:
        raise UsageError(
            f"--fold-thresholds: {checkpoint} has no thresholds", "Choose them with: mlc thresholds"
        )
    if settings.fold_rules and not card.rules:
        raise UsageError(
            f"--fold-rules: {checkpoint} knows no label rules",
            "Write them into the data and store them with: mlc thresholds",
        )
    if "int8" in settings.precision and settings.ir and not settings.check:
        raise UsageError(
            "--precision int8 compares the mAP on real images as it goes, and --no-check forbids it"
        )


def _remarks(settings: ExportSettings, card: ModelCard) -> list[str]:
    remarks = []
    if len(card.classes) == 1:
        remarks.append(
            "the client of OpenVINO Model API fails on models with one class; ONNX Runtime,"
            " OpenVINO and mlc run these files"
        )
    elif not card.geometry.stock and not settings.embed_resize:
        remarks.append(
            "clients of OpenVINO Model API decode in full and shrink with linear interpolation, and"
            " this model was trained otherwise: they were not compared with it; with"
            " --embed-resize they do the same"
        )
    if card.bits < 16:
        remarks.append(
            f"clients take images of 16 bits a channel as if all were used, and not {card.bits}:"
            " they were not compared; give them images of 8 bits"
        )
    if card.rules and not settings.fold_rules:
        remarks.append("clients do not know the label rules; --fold-rules makes them obey")
    if card.thresholds is not None and not settings.fold_thresholds:
        remarks.append(
            "clients of OpenVINO Model API decide at 0.5; --fold-thresholds makes them decide at"
            " the thresholds of the classes"
        )
    return remarks


def _make(
    settings: ExportSettings,
    classifier: Classifier,
    info: ExportInfo,
    folder: Path,
    on_step: OnStep,
) -> tuple[tuple[Exported, ...], Check | None]:
    """Write all files into a folder and compare them."""
    batches = _batches(settings, info.card, settings.split, settings.parity.images)
    on_step("ONNX")
    onnx_file = folder / "model.onnx"
    write_onnx(onnx_file, classifier, info, saliency=settings.saliency, opset=settings.opset)
    files = [Exported("model.onnx", "onnx", "fp32")] if settings.onnx else []
    if settings.ir:
        for precision in dict.fromkeys(settings.precision):
            on_step(f"IR, {precision}")
            name = "model.xml" if precision == "fp32" else f"model-{precision}.xml"
            model = to_ir(onnx_file, info)
            if precision == "int8":
                model = _quantised(settings, classifier, info.card, model)
            if info.embedded:
                model = embed_in_ir(model, info)
            write_ir(folder / name, model, info, half=precision != "fp32")
            files.append(Exported(name, "ir", precision))
    if not settings.onnx:
        onnx_file.unlink()
    elif info.embedded:
        embed_in_onnx(onnx_file, info)
    check = None
    if batches:
        on_step(f"comparing with the checkpoint on {len(batches.dataset)} images")
        files, check = check_files(
            settings.parity, settings.int8, classifier, info, folder, files, batches
        )
        for file in files:
            mark(folder / file.name, passed=not file.faults)
    return tuple(replace(file, bytes=model_bytes(folder / file.name)) for file in files), check


def _quantised(
    settings: ExportSettings, classifier: Classifier, card: ModelCard, model: ov.Model
) -> ov.Model:
    int8 = settings.int8
    quantise = Quantiser(
        int8.max_drop, int8.max_restored, int8.activations, has_attention(classifier)
    )
    calibration = _samples(settings, card, "train", int8.calibration_images)
    validation = _samples(settings, card, settings.split, settings.parity.images)
    return quantise(model, [sample.image_13HW for sample in calibration], validation)


def _batches(
    settings: ExportSettings, card: ModelCard, split_name: str, images: int
) -> Batches | None:
    """Images spread evenly over a split; `None` if nothing is to be compared."""
    if not settings.check:
        return None
    try:
        model = find_checkpoint(settings.run, settings.checkpoint)
        data = data_settings(settings, card, model)
        split = read_checked_split(data, split_name, card.classes)
    except MlcError as error:
        raise type(error)(
            error.message,
            f"{error.hint} Without any data, --no-check leaves out the comparison.".strip(),
        ) from None
    if len(split) > images:
        split = split.take(np.linspace(0, len(split) - 1, images).round().astype(np.int64))
    data = data.model_copy(update={"cache": "auto"})
    return build_eval_batches(data, split, batch_size=CPU_BATCH, device=torch.device("cpu"))


def _samples(
    settings: ExportSettings, card: ModelCard, split_name: str, images: int
) -> list[Sample]:
    """Images as an IR takes them, with their labels.

    The processes that read them end here: one that ended while NNCF, which makes cores of its own,
    works could kill this one (`runtime.signal_stack`).
    """
    batches = _batches(settings, card, split_name, images)
    assert batches
    samples = []
    for batch in batches.epoch():
        bgr_N3HW = np.ascontiguousarray(batch.images_NHWC.numpy()[..., ::-1].transpose(0, 3, 1, 2))
        targets_NC = batch.targets_NC.numpy()
        samples += [
            Sample(image[None], targets_C)
            for image, targets_C in zip(bgr_N3HW, targets_NC, strict=True)
        ]
    return samples


def _move(staging: Path, folder: Path) -> tuple[str, ...]:
    """Put the files in place; the models that were there before and are not replaced."""
    new = {path.name for path in staging.iterdir()}
    with undisturbed():  # files of two exports do not go together
        for path in staging.iterdir():
            path.chmod(0o644)
            path.replace(folder / path.name)
    models = (path for path in folder.iterdir() if path.suffix in (".onnx", ".xml"))
    return tuple(sorted(path.name for path in models if path.name not in new))


def _as_dict(
    checkpoint: Path,
    card: ModelCard,
    settings: ExportSettings,
    files: tuple[Exported, ...],
    check: Check | None,
) -> dict[str, Any]:
    """The export as plain values for JSON."""
    return {
        "checkpoint": str(checkpoint),
        "classes": len(card.classes),
        "input_size": list(card.input_size),
        **card.geometry.kept,
        **settings.model_dump(
            include={"fold_thresholds", "fold_rules", "embed_resize", "saliency"}
        ),
        "passed": None if check is None else all(not file.faults for file in files),
        "check": plain(asdict(check)) if check else None,
        "files": plain([asdict(file) for file in files]),
    }
