"""`mlc thresholds`: the probability from which each class counts as present."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlc_cli.core.datasets.stratify import stratify
from mlc_cli.core.evaluation.metrics import DecisionMetrics, Floats, metrics_of_decisions
from mlc_cli.core.evaluation.objectives import Objective, parse_band
from mlc_cli.core.evaluation.out_of_fold import out_of_fold, strongest_equivalent
from mlc_cli.core.evaluation.promises import Floor
from mlc_cli.core.evaluation.results import SUMMARY, number, slices_as_dict
from mlc_cli.core.evaluation.scores import SavedScores, read_scores
from mlc_cli.core.evaluation.slices import Slice, measure_slices, slice_values
from mlc_cli.core.evaluation.thresholds import (
    Thresholds,
    fit_overall,
    fit_thresholds,
    reasons,
    save_thresholds,
    share_error,
    shrink,
)
from mlc_cli.core.inference.build import default_folder, score_checkpoint
from mlc_cli.core.models.weights.load import is_checkpoint
from mlc_cli.core.runs.chain import chain_of
from mlc_cli.core.runs.checkpoint import read_card, read_state, save_checkpoint
from mlc_cli.core.system.distributed import current
from mlc_cli.core.system.files import only_writer, result_folder, write_json, write_text
from mlc_cli.errors import MlcError, SettingsError
from mlc_cli.settings.resolve import as_yaml
from mlc_cli.settings.thresholds import ThresholdSettings

_COSTS = "least cost by "
STRENGTHS = (0.0, 10.0, 40.0, 160.0, 640.0)
"""Shrinkages that `auto` chooses from, in positives."""


@dataclass(frozen=True)
class ThresholdResult:
    """Thresholds and what they come to.

    Attributes:
        objective: What they maximise, as the settings say it.
        per_class_C: Threshold of each class as written.
        at_thresholds: Decisions at the thresholds, on the same images.
        out_of_fold: Decisions on images that thresholds were not chosen on, if estimated.
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
    scores: SavedScores
    thresholds: Thresholds
    per_class_C: Floats
    shrinkage: float
    overall: float
    at_half: DecisionMetrics
    at_thresholds: DecisionMetrics
    out_of_fold: DecisionMetrics | None
    folds: int
    folder: Path
    unpromised: dict[str, str]
    lower_C: Floats | None
    promise: dict[str, Any] | None
    stored: bool
    warning: str
    slices: Sequence[Slice]

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
    def all_floors(self) -> tuple[Floor, ...]:
        """Floors of the objective; costs have none."""
        return () if self.objective.startswith(_COSTS) else Objective.parse(self.objective).floors

    @property
    def floors(self) -> tuple[Floor, ...]:
        """Floors without a confidence: estimates."""
        return tuple(f for f in self.all_floors if f.confidence is None)

    @property
    def overfitted(self) -> list[str]:
        """Measures that out of fold are lower than at 0.5; other objectives than F1 ask for it."""
        fitted, half = self.out_of_fold, self.at_half
        if fitted is None or self.objective != "f1":
            return []
        return [n for n in ("CF1", "OF1") if getattr(fitted, n) < getattr(half, n)]


def estimate_thresholds(settings: ThresholdSettings) -> ThresholdResult:
    """Choose thresholds, write them down, and store them in the checkpoint.

    Processes that have joined a group share the images; all get the result, and one writes it.

    Raises:
        MlcError: The checkpoint, the data or the scores cannot be used.
    """
    _ = settings.cost or _objectives(settings, [])  # a wrong one is told before anything is read
    source, split, scores, values, warning = _scored(settings)
    arrays, rules = (scores.probabilities_NC, scores.targets_NC), scores.bound
    objective, low = _objectives(settings, scores.classes)
    if settings.jointly:
        objective, low = share_error(*arrays, objective), low and share_error(*arrays, low)
    thresholds = fit_thresholds(*arrays, objective, settings.min_positives, rules)
    overall = fit_overall(*arrays, objective)
    folds = settings.folds if len(scores.paths) >= 2 * settings.folds > 2 else 0
    strengths = _strengths(settings, objective)
    fold_N = stratify(scores.targets_NC, [1.0] * max(1, folds), settings.seed)
    tried = out_of_fold(
        *arrays, objective, settings.min_positives, strengths=strengths, fold_N=fold_N, rules=rules
    ) if folds else {}  # fmt: skip
    strength = strongest_equivalent(tried) if tried else strengths[0]
    per_class_C = shrink(thresholds, overall, scores.targets_NC, strength)
    lower = fit_thresholds(*arrays, low, settings.min_positives, rules) if low else None
    asked = settings.objective if low is None else str(objective.floors[0])
    lower_C = None if lower is None else np.minimum(lower.per_class_C, per_class_C)
    unpromised = reasons((thresholds, lower), scores.classes)
    both = ((objective, per_class_C), (low, lower_C))
    floors = [(f, own_C, unpromised) for one, own_C in both if one and own_C is not None
              for f in one.floors]  # fmt: skip
    result = ThresholdResult(
        source=source,
        split=split,
        objective=f"{_COSTS}{settings.cost}" if settings.cost else asked,
        scores=scores,
        thresholds=thresholds,
        per_class_C=per_class_C,
        shrinkage=strength,
        overall=overall,
        at_half=metrics_of_decisions(rules.decide(arrays[0]), arrays[1]),
        at_thresholds=metrics_of_decisions(rules.decide(arrays[0], per_class_C), arrays[1]),
        out_of_fold=tried.get(strength),
        folds=folds,
        folder=result_folder(settings.output, default_folder(source)),
        unpromised=unpromised,
        lower_C=lower_C,
        promise=_promise(settings, (objective, low), unpromised, scores),
        stored=not settings.scores and is_checkpoint(source),
        warning=warning,
        slices=measure_slices(values, scores, per_class_C, floors),
    )
    if not current().is_main:
        return result
    with only_writer(result.folder):
        return _write(result, settings)


def _scored(
    settings: ThresholdSettings,
) -> tuple[Path, Path | None, SavedScores, dict[str, list[str]], str]:
    """Model or file of scores, annotation file, scores, values of slices, and a warning."""
    if settings.scores:
        source, scores = Path(settings.scores), read_scores(Path(settings.scores))
        return source, None, scores, slice_values(settings.slices, None, source, scores.paths), ""
    found = score_checkpoint(settings, rules_of_data=True)
    values = slice_values(settings.slices, found.source, found.folder, found.scores.paths)
    return found.checkpoint, found.source, found.scores, values, found.warning


def _objectives(
    settings: ThresholdSettings, classes: list[str]
) -> tuple[Objective, Objective | None]:
    """What to maximise; for a band the floor of the upper thresholds and that of the lower ones."""
    if settings.band and settings.objective != "f1":
        raise SettingsError("band: takes the place of --objective; leave one of them out")
    if settings.cost and (settings.band or settings.objective != "f1"):
        raise SettingsError("cost: takes the place of --objective and --band; leave them out")
    text = settings.cost or settings.band or settings.objective
    key = "cost" if settings.cost else "band" if settings.band else "objective"
    try:
        if settings.cost:
            return Objective.of_costs(settings.cost, classes), None
        return parse_band(text) if settings.band else (Objective.parse(text), None)
    except ValueError as error:
        raise SettingsError(f"{key}: expected {error}, got '{text}'") from None


def _promise(
    settings: ThresholdSettings,
    objectives: tuple[Objective, Objective | None],
    unpromised: dict[str, str],
    scores: SavedScores,
) -> dict[str, Any] | None:
    floors = [str(floor) for one in objectives if one for floor in one.promises]
    if not floors:
        return None
    return {
        "floors": floors,
        "jointly": settings.jointly,
        "images": len(scores.paths),
        "not_promised": unpromised,
        "chain": None if settings.scores else chain_of(settings, scores.rules),
    }


def _strengths(settings: ThresholdSettings, objective: Objective) -> tuple[float, ...]:
    """Shrinkages to choose from; a floor would not survive one."""
    if settings.shrinkage != "auto" and not objective.promises:
        return (settings.shrinkage,)
    return STRENGTHS if objective.kind == "fbeta" and not objective.floors else (0.0,)


def _write(result: ThresholdResult, settings: ThresholdSettings) -> ThresholdResult:
    thresholds_C = result.per_class_C
    save_thresholds(result.folder / "thresholds.npy", thresholds_C, result.scores.classes)
    write_json(result.folder / "thresholds.json", as_dict(result))
    write_text(result.folder / "thresholds.yaml", as_yaml(settings))
    if result.stored:
        card = replace(
            read_card(result.source),
            thresholds=thresholds_C.tolist(),
            lower_thresholds=None if result.lower_C is None else result.lower_C.tolist(),
            promise=result.promise,
            rules=result.scores.rules,
        )
        try:
            save_checkpoint(result.source, read_state(result.source), card)
        except MlcError as error:
            if not settings.output:
                raise
            left_alone = f"the checkpoint is left as it was: {error.message}"
            warning = "; ".join(filter(None, [result.warning, left_alone]))
            return replace(result, stored=False, warning=warning)
    return result


def as_dict(result: ThresholdResult) -> dict[str, Any]:
    """The thresholds and what they come to, as plain values for JSON."""
    summaries = {"at_0.5": result.at_half, "at_thresholds": result.at_thresholds}
    summaries |= {"out_of_fold": result.out_of_fold} if result.out_of_fold else {}
    return {
        "source": str(result.source),
        "objective": result.objective,
        "images": len(result.scores.paths),
        "overall_threshold": result.overall,
        "shrinkage": result.shrinkage,
        "promise": result.promise,
        "estimates_missed_out_of_fold": {str(f): result.below(f) for f in result.floors},
        "folds": result.folds,
        "metrics": {
            title: {name: number(getattr(metrics, name)) for name in SUMMARY}
            for title, metrics in summaries.items()
        },
        "classes": class_rows(result),
        **slices_as_dict(result.slices),
    }


def class_rows(result: ThresholdResult) -> list[dict[str, Any]]:
    """A row for each class; undefined values are `None`."""
    before, after, outside = result.at_half, result.at_thresholds, result.out_of_fold
    floors, unsure_C = result.all_floors, result.unsure_C
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
                for floor in floors
                if outside
            },
            "fallback": result.thresholds.fallbacks.get(c),
            "not_promised": result.unpromised.get(name),
            "lower_threshold": None if result.lower_C is None else float(result.lower_C[c]),
            "unsure": None if unsure_C is None else float(unsure_C[c]),
        }
        for c, name in enumerate(result.scores.classes)
    ]
