"""The gate of `mlc export`: every file against its checkpoint, on real images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from mlc_cli.core.evaluation.metrics import mean_ap_of
from mlc_cli.core.evaluation.probabilities import probabilities
from mlc_cli.core.exporting.client import run_client, run_onnx, undecided_apart
from mlc_cli.core.exporting.ir import mark_ir
from mlc_cli.core.exporting.onnx_graph import mark_onnx
from mlc_cli.core.exporting.parity import (
    Difference,
    Limits,
    Logits,
    Outputs,
    compare,
    run_in_turn,
)
from mlc_cli.core.exporting.rule_graph import RuleMargins
from mlc_cli.core.inference.engines import Engine
from mlc_cli.core.inference.open import open_model
from mlc_cli.core.inference.runtime.ir_file import IrEngine
from mlc_cli.core.inference.runtime.metadata import ExportInfo, client_labels, threshold_logits
from mlc_cli.core.inference.torch_engine import TorchEngine
from mlc_cli.core.loading.loader import Batches
from mlc_cli.core.loading.normalise import Normalise
from mlc_cli.core.models.classifier import Classifier
from mlc_cli.core.system.places import as_files
from mlc_cli.settings.export import Int8Settings, IrPrecision, ParitySettings

TORCH = "torch"


@dataclass(frozen=True)
class ClientCheck:
    """A client from image files on, against the same graph on images read by mlc.

    Attributes:
        probability: Largest difference of a probability.
        same_labels: Images whose labels are all the same.
        rate: Images a second, one after the other, reading included.
    """

    images: int
    probability: float
    same_labels: int
    rate: float


@dataclass(frozen=True)
class Exported:
    """One exported file.

    Attributes:
        name: In the folder of the export.
        form: `onnx` or `ir`.
        precision: Of its weights.
        bytes: Of the file, or of both files of an IR.
        mean_ap: On the compared images.
        rate: Images a second, reading not counted.
        difference: From torch, in float32 arithmetic.
        default_arithmetic: What the device takes for IR when it is not told.
        default_difference: From torch with that.
        client: The stock client of OpenVINO, or ONNX Runtime alone where the resize is embedded.
        faults: What is above its limit, in words.
    """

    name: str
    form: str
    precision: IrPrecision
    bytes: int = 0
    mean_ap: float | None = None
    rate: float | None = None
    difference: Difference | None = None
    default_arithmetic: str | None = None
    default_difference: Difference | None = None
    client: ClientCheck | None = None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """What the files were compared on.

    Attributes:
        source: Annotation file.
        images: Images that could be read.
        mean_ap: Of the checkpoint in torch, on the CPU in fp32.
        rate: Of torch, images a second.
    """

    source: str
    images: int
    mean_ap: float
    rate: float


def check_files(
    parity: ParitySettings,
    int8: Int8Settings,
    classifier: Classifier,
    info: ExportInfo,
    folder: Path,
    files: Sequence[Exported],
    batches: Batches,
) -> tuple[list[Exported], Check]:
    """Compare files with the model that they were made of, in evaluation mode on the CPU."""
    engines: dict[str, Engine] = {TORCH: _torch(classifier, info)}
    for file in files:
        engines[file.name] = open_model(folder / file.name, "cpu", "fp32").engine
        if file.form == "ir":
            engines[_default(file)] = IrEngine(folder / file.name, hint="auto")
    outputs = run_in_turn(engines, batches)
    if info.card.rules.folded:
        with torch.inference_mode():
            obeyed = RuleMargins(info.card)
            logits_NC = obeyed(torch.from_numpy(outputs.logits[TORCH])) + obeyed.thresholds_C
        outputs.logits[TORCH] = logits_NC.numpy()
    limits = {
        "fp32": Limits(**parity.fp32.model_dump()),
        "fp16": Limits(**parity.fp16.model_dump()),
        "int8": Limits(mean_ap_drop=int8.max_drop),
    }
    checked = []
    for file in files:
        found = _compared(file, outputs, info, limits[file.precision])
        if file.form == "ir":
            auto = engines[_default(file)]
            assert isinstance(auto, IrEngine)
            found = replace(
                found,
                default_arithmetic=auto.arithmetic,
                default_difference=_difference(outputs, _default(file), info),
            )
        if parity.client_images and _has_client(file, info):
            found = _with_client(found, parity, folder, info, outputs, batches)
        checked.append(found)
    torch_map = mean_ap_of(outputs.logits[TORCH], outputs.targets_NC)
    source = str(batches.dataset.annotation.source)
    check = Check(source, len(outputs.indices_N), torch_map, outputs.rates[TORCH])
    return checked, check


def mark(path: Path, *, passed: bool) -> None:
    """Write the outcome into a file."""
    (mark_ir if path.suffix == ".xml" else mark_onnx)(path, "passed" if passed else "failed")


def _torch(classifier: Classifier, info: ExportInfo) -> TorchEngine:
    cpu = torch.device("cpu")
    return TorchEngine(
        classifier.to_device(cpu), Normalise(info.card.mean, info.card.std, cpu), cpu, "fp32"
    )


def _default(file: Exported) -> str:
    return f"{file.name} as it comes"


def _difference(outputs: Outputs, name: str, info: ExportInfo) -> Difference:
    logits, thresholds_C = outputs.logits, np.array(info.card.thresholds or 0.5)
    return compare(logits[name], logits[TORCH], outputs.targets_NC, thresholds_C)


def _compared(file: Exported, outputs: Outputs, info: ExportInfo, limits: Limits) -> Exported:
    difference = _difference(outputs, file.name, info)
    return replace(
        file,
        mean_ap=mean_ap_of(outputs.logits[file.name], outputs.targets_NC),
        rate=outputs.rates[file.name],
        difference=difference,
        faults=tuple(limits.faults(difference)),
    )


def _has_client(file: Exported, info: ExportInfo) -> bool:
    """Whether somebody else's program can be given image files and do as mlc does."""
    if info.card.bits < 16:
        return False
    if file.form == "onnx":
        return info.embedded
    return (info.embedded or info.card.geometry.stock) and len(info.card.classes) > 1


def _with_client(
    file: Exported,
    parity: ParitySettings,
    folder: Path,
    info: ExportInfo,
    outputs: Outputs,
    batches: Batches,
) -> Exported:
    """Compare a client with the file that it runs, from image files on."""
    images = outputs.indices_N[: parity.client_images]
    annotation = batches.dataset.annotation
    run = run_client if file.form == "ir" else run_onnx
    with as_files([annotation.path(int(image)) for image in images]) as files:
        client = run(folder / file.name, files, client_labels(info.card.classes))
    same_pixels = file.precision != "int8" and info.card.decode == "full"
    margin = parity.client.probability if same_pixels else None
    expected_NC = probabilities(_as_written(outputs.logits[file.name][: len(images)], info))
    far = math.inf if margin is None else margin
    probability, same, wrong = undecided_apart(client, expected_NC, far)
    faults = list(file.faults)
    if margin is not None and probability > margin:
        faults.append(f"client: a probability differs by {probability:.2g}, more than {margin:g}")
    if wrong:
        faults.append(f"client: {wrong} decisions differ that are not near the threshold")
    return replace(
        file,
        client=ClientCheck(len(images), probability, same, client.rate),
        faults=tuple(faults),
    )


def _as_written(logits_NC: Logits, info: ExportInfo) -> Logits:
    """Logits as the graph gives them, thresholds subtracted if they are folded."""
    if not info.folded or info.card.thresholds is None:
        return logits_NC
    written: Logits = logits_NC - threshold_logits(info.card.thresholds)
    return written
