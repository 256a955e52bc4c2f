"""`mlc eval`: a checkpoint over a split."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mlc_cli.core.annotations import Annotation
from mlc_cli.core.checkpoint import ModelCard
from mlc_cli.core.data.build import build_eval_batches, read_split
from mlc_cli.core.data.checks import check_classes
from mlc_cli.core.data.loader import Batches
from mlc_cli.core.data.normalise import Normalise
from mlc_cli.core.device import pick_device, pick_precision
from mlc_cli.core.files import write_atomic
from mlc_cli.core.metrics import Floats
from mlc_cli.core.models.build import load_classifier
from mlc_cli.core.reports.evaluation import Evaluation, evaluate, write_evaluation
from mlc_cli.core.runs import RunFolder, open_run
from mlc_cli.core.scoring import Scorer, Scores
from mlc_cli.errors import DataError, MlcError, RunError, UsageError
from mlc_cli.settings.data import DataSettings
from mlc_cli.settings.evaluate import EvalSettings
from mlc_cli.settings.resolve import validate


@dataclass(frozen=True)
class EvalResult:
    """An evaluation and where it was written.

    Attributes:
        checkpoint: What was evaluated.
        source: Annotation file of the split.
        evaluation: The metrics.
        folder: Where the files are.
        about: Where it comes from, as written to the JSON file.
        gate: The mAP that was asked for, if any.
    """

    checkpoint: Path
    source: Path
    evaluation: Evaluation
    folder: Path
    about: dict[str, Any]
    gate: float | None

    @property
    def passed(self) -> bool:
        """Whether the mAP reaches the gate."""
        return self.gate is None or self.evaluation.map >= self.gate


def evaluate_checkpoint(settings: EvalSettings) -> EvalResult:
    """Evaluate a checkpoint and write the results beside it.

    Raises:
        MlcError: The checkpoint or the data cannot be used.
    """
    checkpoint = _checkpoint(settings)
    classifier, card = load_classifier(checkpoint)
    device = pick_device(settings.device)
    data = _data_settings(settings, card)
    split = read_split(data, _file_of(settings.split, data))
    check_classes(split, card.classes, f"those of {checkpoint}")
    batches = build_eval_batches(data, split, batch_size=settings.batch_size, device=device)
    scorer = Scorer(
        Normalise(card.mean, card.std, device), device, pick_precision(settings.precision, device)
    )
    scores = scorer(classifier.to(device), batches)
    thresholds_C = _thresholds(settings, card)
    folder = Path(settings.output) if settings.output else checkpoint.parent
    about = {"checkpoint": str(checkpoint), "data": str(split.source)}
    evaluation = _write(
        folder, _suffix(settings.split), scores, split, batches, about, thresholds_C
    )
    return EvalResult(checkpoint, split.source, evaluation, folder, about, settings.min_map)


def evaluate_run(run: RunFolder, val: Batches, device: torch.device, source: str) -> Evaluation:
    """Evaluate the best checkpoint of a run that has just ended, as `mlc eval` would."""
    classifier, card = load_classifier(run.best)
    scorer = Scorer(Normalise(card.mean, card.std, device), device, "fp32")
    scores = scorer(classifier.to(device), val)
    about = {"checkpoint": str(run.best), "data": source}
    return _write(run.path, "", scores, val.dataset.annotation, val, about, None)


def _write(
    folder: Path,
    suffix: str,
    scores: Scores,
    split: Annotation,
    batches: Batches,
    about: dict[str, Any],
    thresholds_C: Floats | None,
) -> Evaluation:
    evaluation = evaluate(
        scores.probabilities_NC,
        scores.targets_NC,
        split.classes,
        thresholds_C=thresholds_C,
        unreadable=batches.bad_images,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MlcError(f"{folder}: cannot be made: {error.strerror}") from None
    write_evaluation(folder, suffix, evaluation, **about)
    _write_scores(folder / f"scores{suffix}.npz", scores, split)
    return evaluation


def _write_scores(path: Path, scores: Scores, split: Annotation) -> None:
    arrays: dict[str, Any] = {
        "probabilities": scores.probabilities_NC,
        "targets": scores.targets_NC,
        "classes": np.array(split.class_names),
        "paths": np.array([split.paths[i] for i in scores.indices_N]),
    }

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)

    write_atomic(path, write)


def _checkpoint(settings: EvalSettings) -> Path:
    if settings.checkpoint:
        return Path(settings.checkpoint)
    run = open_run(Path(settings.run))
    if not run.best.exists():
        raise RunError(
            f"{run.path}: has no best.safetensors yet: no epoch of it was evaluated",
            f"Continue it with: mlc train --resume {run.path}",
        )
    return run.best


def _data_settings(settings: EvalSettings, card: ModelCard) -> DataSettings:
    changes: dict[str, Any] = {
        "input_size": card.input_size,
        "workers": settings.workers,
        "on_bad_image": settings.on_bad_image,
        "cache": "none",
    }
    if settings.data:
        changes |= {"root": settings.data, "image_root": None}
    data = validate(DataSettings, {**card.data, **changes})
    if not Path(data.root).is_dir():
        raise DataError(
            f"{data.root}: the data set that the model was trained on is not there",
            "Pass its folder with --data DIR.",
        )
    return data


def _file_of(split: str, data: DataSettings) -> str:
    return {"train": data.train, "val": data.val, "test": data.test}.get(split, split)


def _suffix(split: str) -> str:
    return "" if split == "val" else f"-{Path(split).stem}"


def _thresholds(settings: EvalSettings, card: ModelCard) -> Floats | None:
    if not settings.thresholds:
        return None if card.thresholds is None else np.array(card.thresholds)
    path = Path(settings.thresholds)
    try:
        thresholds_C = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"--thresholds {path}: cannot be read: {error}") from None
    if thresholds_C.shape != (len(card.classes),) or not np.isfinite(thresholds_C).all():
        raise UsageError(
            f"--thresholds {path}: expected {len(card.classes)} finite numbers, one for each class"
            f" in sorted order, got an array of shape {thresholds_C.shape}"
        )
    return np.asarray(thresholds_C, np.float64)
