"""What `mlc thresholds` found, and how it is told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlc_cli.core.evaluation.metrics import DecisionMetrics, Floats
from mlc_cli.core.evaluation.objectives import Objective
from mlc_cli.core.evaluation.promises import Floor
from mlc_cli.core.evaluation.results import FITTED, HALF, SUMMARY, number, slices_as_dict
from mlc_cli.core.evaluation.scores import SavedScores
from mlc_cli.core.evaluation.slices import Slice
from mlc_cli.core.evaluation.thresholds import Thresholds

OUTSIDE = "out_of_fold"


@dataclass(frozen=True)
class ThresholdResult:
    """Thresholds and what they come to.

    Attributes:
        source: Checkpoint or scores that they were chosen on.
        split: Annotation file of the images, where a checkpoint was run.
        objective: What they maximise, as the settings say it.
        aim: The same, with the floors that they have to keep.
        scores: Of the images that they were chosen on.
        thresholds: Of all classes, before any shrinkage.
        per_class_C: Threshold of each class as written.
        shrinkage: Pull towards the overall threshold, in positives.
        overall: The one threshold that is best for all decisions together.
        decisions: At 0.5 and at the thresholds, by `HALF` and `FITTED`, and, if estimated, on
            images that thresholds were not chosen on, by `OUTSIDE`.
        folds: Parts of that estimate; 0 without it.
        folder: Where the files are.
        unpromised: Why something cannot be promised for a class, by name.
        lower_C: Probability below which a class is absent, if so.
        promise: What is promised, for the card; `None` without a confidence.
        stored: Whether the checkpoint now carries the thresholds.
        warning: What the user should know about the model, if anything.
        slices: Groups of images that were measured apart, at the thresholds.
    """

    source: Path
    split: Path | None
    objective: str
    aim: Objective
    scores: SavedScores
    thresholds: Thresholds
    per_class_C: Floats
    shrinkage: float
    overall: float
    decisions: dict[str, DecisionMetrics]
    folds: int
    folder: Path
    unpromised: dict[str, str]
    lower_C: Floats | None
    promise: dict[str, Any] | None
    stored: bool
    warning: str
    slices: list[Slice]

    @property
    def out_of_fold(self) -> DecisionMetrics | None:
        """Decisions on images that thresholds were not chosen on, if estimated."""
        return self.decisions.get(OUTSIDE)

    def below(self, floor: Floor) -> list[str]:
        """Classes that miss a floor on images that their thresholds were not chosen on."""
        if self.out_of_fold is None:
            return []
        measured_C = getattr(self.out_of_fold, f"{floor.measure}_C")
        missed_C = measured_C > floor.bound if floor.measure == "fpr" else measured_C < floor.bound
        return [self.scores.classes[c] for c in missed_C.nonzero()[0]]

    @property
    def unsure_C(self) -> Floats | None:
        """Part of the images that a person should look at for each class."""
        if self.lower_C is None:
            return None
        scores_NC, decide = self.scores.probabilities_NC, self.scores.bound.decide
        between_NC = decide(scores_NC, self.lower_C) & ~decide(scores_NC, self.per_class_C)
        return np.asarray(between_NC.mean(axis=0), np.float64)

    @property
    def floors(self) -> tuple[Floor, ...]:
        """Floors without a confidence: estimates."""
        return tuple(f for f in self.aim.floors if f.confidence is None)

    @property
    def attained(self) -> dict[str, float]:
        """What the objective comes to at 0.5, at the thresholds and out of fold."""
        targets_NC = self.scores.targets_NC
        return {name: self.aim.attained(one, targets_NC) for name, one in self.decisions.items()}

    @property
    def overfitted(self) -> list[str]:
        """Measures of the objective that are worse out of fold than at 0.5."""
        fitted, half = self.out_of_fold, self.decisions[HALF]
        if fitted is None or not self.aim.measured:
            return []
        if self.objective == "f1":
            return [n for n in ("CF1", "OF1") if getattr(fitted, n) < getattr(half, n)]
        gained = self.attained[OUTSIDE] - self.attained[HALF]
        worse = gained > 0 if self.aim.kind == "cost" else gained < 0
        return [self.aim.measured] if worse else []


def as_dict(result: ThresholdResult) -> dict[str, Any]:
    """The thresholds and what they come to, as plain values for JSON."""
    attained = {title: number(value) for title, value in result.attained.items()}
    return {
        "source": str(result.source),
        "objective": result.objective,
        "images": len(result.scores.paths),
        "overall_threshold": result.overall,
        "shrinkage": result.shrinkage,
        "promise": result.promise,
        "objective_value": attained if result.aim.measured else None,
        "estimates_missed_out_of_fold": {str(f): result.below(f) for f in result.floors},
        "folds": result.folds,
        "metrics": {
            title: {name: number(getattr(metrics, name)) for name in SUMMARY}
            for title, metrics in result.decisions.items()
        },
        "classes": class_rows(result),
        **slices_as_dict(result.slices),
    }


def class_rows(result: ThresholdResult) -> list[dict[str, Any]]:
    """A row for each class; undefined values are `None`."""
    before, after, outside = result.decisions[HALF], result.decisions[FITTED], result.out_of_fold
    unsure_C = result.unsure_C
    positives_C = (result.scores.targets_NC == 1).sum(axis=0)
    return [
        {
            "class": name,
            "threshold": float(result.per_class_C[c]),
            "precision": number(after.precision_C[c]),
            "recall": number(after.recall_C[c]),
            "fpr": number(after.fpr_C[c]),
            "F1": number(after.f1_C[c]),
            "F1_at_0.5": number(before.f1_C[c]),
            "positives": int(positives_C[c]),
            "out_of_fold": {
                floor.measure: number(getattr(outside, f"{floor.measure}_C")[c])
                for floor in result.aim.floors
                if outside
            },
            "fallback": result.thresholds.fallbacks.get(c),
            "not_promised": result.unpromised.get(name),
            "lower_threshold": None if result.lower_C is None else float(result.lower_C[c]),
            "unsure": None if unsure_C is None else float(unsure_C[c]),
        }
        for c, name in enumerate(result.scores.classes)
    ]
