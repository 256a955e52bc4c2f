"""`mlc eval`: a checkpoint over a split."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mlc_cli.core.checkpoint import ModelCard
from mlc_cli.core.data.loader import Batches
from mlc_cli.core.data.normalise import Normalise
from mlc_cli.core.metrics import Floats
from mlc_cli.core.models.build import load_classifier
from mlc_cli.core.reports.evaluation import Evaluation, evaluate, write_evaluation
from mlc_cli.core.reports.scores import write_scores
from mlc_cli.core.runs import RunFolder
from mlc_cli.core.scoring import Scorer
from mlc_cli.errors import UsageError
from mlc_cli.jobs.scoring import ScoredSplit, named, result_folder, score_checkpoint, suffix_of
from mlc_cli.settings.evaluate import EvalSettings


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
    scored = score_checkpoint(settings)
    thresholds_C = _thresholds(settings, scored.card)
    folder = result_folder(settings.output, scored.checkpoint.parent)
    about, evaluation = _write(folder, suffix_of(settings.split), scored, thresholds_C)
    return EvalResult(scored.checkpoint, scored.source, evaluation, folder, about, settings.min_map)


def evaluate_run(run: RunFolder, val: Batches, device: torch.device) -> Evaluation:
    """Evaluate the best checkpoint of a run that has just ended, as `mlc eval` would."""
    classifier, card = load_classifier(run.best)
    split = val.dataset.annotation
    scorer = Scorer(Normalise(card.mean, card.std, device), device, "fp32")
    scores = named(scorer(classifier.place(device), val), split)
    scored = ScoredSplit(run.best, card, split.source, scores, val.bad_images)
    return _write(run.path, "", scored, None)[1]


def _write(
    folder: Path, suffix: str, scored: ScoredSplit, thresholds_C: Floats | None
) -> tuple[dict[str, Any], Evaluation]:
    scores = scored.scores
    evaluation = evaluate(
        scores.probabilities_NC,
        scores.targets_NC,
        scores.classes,
        thresholds_C=thresholds_C,
        unreadable=scored.unreadable,
    )
    about = {"checkpoint": str(scored.checkpoint), "data": str(scored.source)}
    write_evaluation(folder, suffix, evaluation, **about)
    write_scores(folder / f"scores{suffix}.npz", scores)
    return about, evaluation


def _thresholds(settings: EvalSettings, card: ModelCard) -> Floats | None:
    if not settings.thresholds:
        return None if card.thresholds is None else np.array(card.thresholds)
    path = Path(settings.thresholds)
    try:
        with path.open("rb") as stream:
            thresholds_C = np.lib.format.read_array(stream, allow_pickle=False).astype(np.float64)
    except (OSError, ValueError) as error:
        raise UsageError(f"--thresholds {path}: cannot be read: {error}") from None
    if thresholds_C.shape != (len(card.classes),) or not np.isfinite(thresholds_C).all():
        raise UsageError(
            f"--thresholds {path}: expected {len(card.classes)} finite numbers, one for each class"
            f" in sorted order, got an array of shape {thresholds_C.shape}"
        )
    return thresholds_C
