"""`mlc calibrate`: probabilities that mean what they say."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlc_cli.core.datasets.stratify import stratify
from mlc_cli.core.evaluation.bootstrap import Interval
from mlc_cli.core.evaluation.calibration import (
    METHODS,
    Affine,
    errors,
    log_loss,
    moved,
    out_of_fold_logits,
)
from mlc_cli.core.evaluation.probabilities import logit, sigmoid
from mlc_cli.core.inference.build import default_folder, score_checkpoint
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.runs.checkpoint import change_card, is_checkpoint
from mlc_cli.core.system.distributed import current
from mlc_cli.core.system.files import only_writer, result_folder, write_json, write_text
from mlc_cli.errors import CheckpointError, DataError
from mlc_cli.settings.calibrate import CalibrateSettings
from mlc_cli.settings.resolve import as_yaml

Errors = dict[str, tuple[float, Interval]]


@dataclass(frozen=True)
class CalibrationResult:
    """A calibration and what it comes to.

    Attributes:
        classes: C names.
        images: It was fitted on.
        method: `as it is`, or a name of `METHODS`.
        log_losses: Out of fold, by method.
        affine: Scale and bias of the logits that come on top of those before.
        before: Errors of the probabilities as they were.
        after: Errors out of fold.
        warning: What the user should know about the model, if anything.
    """

    checkpoint: Path
    classes: list[str]
    images: int
    method: str
    log_losses: dict[str, float]
    affine: Affine
    before: Errors
    after: Errors
    folder: Path
    warning: str


UNCHANGED = "as it is"


def calibrate(settings: CalibrateSettings) -> CalibrationResult:
    """Fit scale and bias of the logits, and store them in the checkpoint.

    Raises:
        MlcError: The checkpoint or the data cannot be used.
    """
    scored = score_checkpoint(settings)
    if not is_checkpoint(scored.checkpoint):
        raise CheckpointError(
            f"{scored.checkpoint}: is no checkpoint of mlc, and only those take a calibration",
            "Calibrate the checkpoint and export it again.",
        )
    probabilities_NC, targets_NC = scored.scores.probabilities_NC, scored.scores.targets_NC
    known = np.count_nonzero((targets_NC >= 0).any(axis=1))
    if known < 2 * settings.folds:
        raise DataError(
            f"{scored.source}: {known} images with known labels are too few to calibrate on",
            f"At least {2 * settings.folds} are needed, and some hundreds to gain by it.",
        )
    for state, name in ((0, "present"), (1, "absent")):
        if not (targets_NC == state).any():
            raise DataError(
                f"{scored.source}: all known labels are {name}, and only present and absent ones"
                " together tell what a probability means",
                "Calibrate on a split where both are known: --split NAME, --data DIR.",
            )
    logits_NC = logit(probabilities_NC)
    fold_N = stratify(targets_NC, [1.0] * settings.folds, settings.seed)
    tried = {UNCHANGED: logits_NC} if settings.method == "auto" else {}
    for name, fit in METHODS.items():
        if settings.method in ("auto", name.split()[0]):
            tried[name] = out_of_fold_logits(fit, logits_NC, targets_NC, fold_N)
    losses = {name: log_loss(outside_NC, targets_NC) for name, outside_NC in tried.items()}
    method = min(losses, key=losses.__getitem__)
    classes = len(scored.scores.classes)
    fit_all = METHODS.get(method)
    same = np.ones(classes), np.zeros(classes)
    result = CalibrationResult(
        checkpoint=scored.checkpoint,
        classes=scored.scores.classes,
        images=len(targets_NC),
        method=method,
        log_losses=losses,
        affine=fit_all(logits_NC, targets_NC) if fit_all else same,
        before=errors(probabilities_NC, targets_NC, settings.seed),
        after=errors(sigmoid(tried[method]), targets_NC, settings.seed),
        folder=result_folder(settings.output, default_folder(scored.checkpoint)),
        warning=" ".join(filter(None, (scored.warning, _lost_promise(scored.card, method)))),
    )
    if current().is_main:
        with only_writer(result.folder, scored.checkpoint.parent):
            write_json(result.folder / "calibration.json", as_dict(result))
            write_text(result.folder / "calibration.yaml", as_yaml(settings))
            if method != UNCHANGED:
                _store(result, scored.card)
    return result


def _lost_promise(card: ModelCard, method: str) -> str:
    """A calibration of each class changes which label of an exclusive group is the best."""
    if method == UNCHANGED or not card.promise or not card.rules.exclusive:
        return ""
    return (
        "the promise of the thresholds does not outlast a calibration where labels exclude each"
        " other: choose them once more with mlc thresholds"
    )


def _store(result: CalibrationResult, card: ModelCard) -> None:
    scale_C, bias_C = result.affine
    before = np.array(card.calibration or [(1.0, 0.0)] * len(card.classes))
    both_2C = (before[:, 0] * scale_C, before[:, 1] * scale_C + bias_C)
    thresholds_C = None if card.thresholds is None else np.array(card.thresholds)
    lower = card.lower_thresholds
    change_card(
        result.checkpoint,
        card,
        promise=None if _lost_promise(card, result.method) else card.promise,
        lower_thresholds=lower and moved(np.array(lower), scale_C, bias_C).tolist(),
        calibration=[(float(a), float(b)) for a, b in zip(*both_2C, strict=True)],
        thresholds=moved(thresholds_C, scale_C, bias_C).tolist(),
    )


def as_dict(result: CalibrationResult) -> dict[str, Any]:
    """The calibration and what it comes to, as plain values for JSON."""
    return {
        "checkpoint": str(result.checkpoint),
        "images": result.images,
        "method": result.method,
        "log_loss_out_of_fold": result.log_losses,
        "errors": {
            when: {
                name: {"value": value, **asdict(spread)} for name, (value, spread) in found.items()
            }
            for when, found in (("before", result.before), ("after_out_of_fold", result.after))
        },
        "classes": [
            {"class": name, "scale": float(a), "bias": float(b)}
            for name, a, b in zip(result.classes, *result.affine, strict=True)
        ],
    }
