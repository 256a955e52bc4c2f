"""`mlc thresholds`: the probability from which each class counts as present."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mlc_cli.core.datasets.stratify import stratify
from mlc_cli.core.evaluation.metrics import metrics_of_decisions
from mlc_cli.core.evaluation.objectives import Objective, parse_band
from mlc_cli.core.evaluation.out_of_fold import out_of_fold, strongest_equivalent
from mlc_cli.core.evaluation.results import FITTED, HALF
from mlc_cli.core.evaluation.scores import SavedScores, read_scores
from mlc_cli.core.evaluation.slices import floors_at, measure_slices
from mlc_cli.core.evaluation.threshold_result import OUTSIDE, ThresholdResult, as_dict
from mlc_cli.core.evaluation.thresholds import (
    fit_overall,
    fit_thresholds,
    reasons,
    save_thresholds,
    share_error,
    shrink,
)
from mlc_cli.core.inference.build import default_folder, score_checkpoint
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.runs.chain import chain_of
from mlc_cli.core.runs.checkpoint import change_card, is_checkpoint
from mlc_cli.core.system.distributed import current
from mlc_cli.core.system.files import only_writer, result_folder, write_json, write_text
from mlc_cli.errors import MlcError, SettingsError
from mlc_cli.settings.resolve import as_yaml
from mlc_cli.settings.thresholds import ThresholdSettings

STRENGTHS = (0.0, 10.0, 40.0, 160.0, 640.0)
"""Shrinkages that `auto` chooses from, in positives."""


def estimate_thresholds(settings: ThresholdSettings) -> ThresholdResult:
    """Choose thresholds, write them down, and store them in the checkpoint.

    Processes that have joined a group share the images; all get the result, and one writes it.

    Raises:
        MlcError: The checkpoint, the data or the scores cannot be used.
    """
    objective, low = _objectives(settings)  # a wrong one is told before anything is read
    scored = None if settings.scores else score_checkpoint(settings, rules_of_data=True)
    source = scored.checkpoint if scored else Path(settings.scores or "")
    scores = scored.scores if scored else read_scores(source)
    arrays, rules = (scores.probabilities_NC, scores.targets_NC), scores.bound
    objective = _for_data(settings, objective, scores)
    low = low and _for_data(settings, low, scores)
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
    lower_C = None if lower is None else np.minimum(lower.per_class_C, per_class_C)
    unpromised = reasons((thresholds, lower), scores.classes)
    kept = floors_at(objective.floors, per_class_C, unpromised, band=bool(low))
    kept += floors_at(low.floors, lower_C, unpromised, band=True) if low else []
    result = ThresholdResult(
        source=source,
        split=scored.source if scored else None,
        objective=_said(settings),
        aim=objective,
        scores=scores,
        thresholds=thresholds,
        per_class_C=per_class_C,
        shrinkage=strength,
        overall=overall,
        decisions={
            HALF: metrics_of_decisions(rules.decide(arrays[0]), arrays[1]),
            FITTED: metrics_of_decisions(rules.decide(arrays[0], per_class_C), arrays[1]),
            **({OUTSIDE: tried[strength]} if tried else {}),
        },
        folds=folds,
        folder=result_folder(settings.output, default_folder(source)),
        unpromised=unpromised,
        lower_C=lower_C,
        promise=_promise(settings, (objective, low), unpromised, scores),
        stored=scored is not None and is_checkpoint(source),
        warning=scored.warning if scored else "",
        slices=measure_slices(settings.slices, scores, per_class_C, kept, scored),
    )
    if not current().is_main:
        return result
    with only_writer(result.folder, source.parent):
        return _write(result, scored.card if scored else None, settings)


def _objectives(settings: ThresholdSettings) -> tuple[Objective, Objective | None]:
    """What to maximise; for a band the floor of the upper thresholds and that of the lower ones."""
    given = {"cost": settings.cost, "band": settings.band}
    keys = [key for key, text in given.items() if text]
    if len(keys) > 1 or (keys and settings.objective != "f1"):
        raise SettingsError(
            f"{keys[0]}: takes the place of {' and '.join(keys[1:]) or 'objective'}; give one"
        )
    key = keys[0] if keys else "objective"
    text, low = given.get(key) or settings.objective, None
    try:
        if key == "band":
            objective, low = parse_band(text)
        else:
            objective = (Objective.of_costs if key == "cost" else Objective.parse)(text)
    except ValueError as error:
        raise SettingsError(f"{key}: expected {error}, got '{text}'") from None
    for flag in ("jointly", "strict"):
        if getattr(settings, flag) and not objective.promises and not (low and low.promises):
            raise SettingsError(
                f"{flag}: is about promises, and '{text}' has no floor with a confidence,"
                " such as recall>=0.9@95%"
            )
    return objective, low


def _said(settings: ThresholdSettings) -> str:
    """What is maximised, in words."""
    if settings.cost:
        return f"least cost by {settings.cost}"
    return str(parse_band(settings.band)[0].floors[0]) if settings.band else settings.objective


def _for_data(settings: ThresholdSettings, objective: Objective, scores: SavedScores) -> Objective:
    """An objective for the classes and images at hand."""
    try:
        objective = objective.over(scores.classes)
    except ValueError as error:
        raise SettingsError(f"cost: expected {error}, got '{settings.cost}'") from None
    if not (settings.jointly and objective.promises):
        return objective
    return share_error(scores.targets_NC, objective)


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


def _write(
    result: ThresholdResult, card: ModelCard | None, settings: ThresholdSettings
) -> ThresholdResult:
    thresholds_C = result.per_class_C
    save_thresholds(result.folder / "thresholds.npy", thresholds_C, result.scores.classes)
    write_json(result.folder / "thresholds.json", as_dict(result))
    write_text(result.folder / "thresholds.yaml", as_yaml(settings))
    if not (card and result.stored):
        return result
    try:
        change_card(
            result.source,
            card,
            thresholds=thresholds_C.tolist(),
            lower_thresholds=None if result.lower_C is None else result.lower_C.tolist(),
            promise=result.promise,
            rules=result.scores.rules,
        )
    except MlcError as error:
        if not settings.output or os.access(result.source.parent, os.W_OK):
            raise
        left_alone = f"the checkpoint is left as it was: {error.message}"
        warning = "; ".join(filter(None, [result.warning, left_alone]))
        return replace(result, stored=False, warning=warning)
    return result
