"""Thresholds: the probability from which each class counts as present.

Recall changes only at the score of a positive, and between two of them a higher threshold has the
higher precision. So the optimum of every objective here lies at the score of a positive, and only
those are looked at. The threshold is then put halfway to the next lower score, where it stands
best against small changes.

Names of arrays: N images, C classes, P positives of a class.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.rules import FREE, BoundRules
from mlc_cli.core.evaluation.metrics import Floats, check_scores
from mlc_cli.core.evaluation.objectives import Objective
from mlc_cli.core.evaluation.probabilities import logit, sigmoid
from mlc_cli.core.evaluation.ranking import RankedPositives, over_classes, rank_all
from mlc_cli.core.runs.card import ModelCard, class_hash
from mlc_cli.core.system.files import named_faults, read_bytes, write_atomic
from mlc_cli.errors import DataError, UsageError

LEAST = 1e-9
"""Threshold that stands for always where rules may forbid it."""
_HASH = 64  # hexadecimal digits


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of all classes.

    Attributes:
        per_class_C: Threshold of each class, fallbacks included.
        fallbacks: Why a class takes the overall threshold, by class index.
        unpromised: Why a class takes the cautious one, always or never, by class index.
    """

    per_class_C: Floats
    fallbacks: dict[int, str]
    unpromised: dict[int, str] = field(default_factory=dict)


def fit_thresholds(
    probabilities_NC: NDArray[Any],
    targets_NC: NDArray[np.int8],
    objective: Objective,
    min_positives: int,
    rules: BoundRules = FREE,
) -> Thresholds:
    """Find the best threshold of every class.

    A class with fewer positives than `min_positives` takes the overall threshold, or without images
    enough for a promise the cautious one. Thresholds are chosen on what rules leave of each class,
    the implied classes first, so that floors are tested on the decisions themselves.

    Raises:
        ValueError: A probability is not finite, or the shapes differ.
    """
    check_scores(probabilities_NC, targets_NC)
    per_class_C = np.full(probabilities_NC.shape[1], np.nan)
    fallbacks: dict[int, str] = {}
    unpromised: dict[int, str] = {}

    def fit(columns: NDArray[np.int64], k: int, ranked: RankedPositives) -> None:
        c, positives = int(columns[k]), len(ranked.scores_P)
        if objective.promises:
            threshold = _fit(ranked, objective)
            if threshold is None:
                threshold, unpromised[c] = objective.lack(ranked)
            per_class_C[c] = threshold
            return
        if positives < max(1, min_positives):
            fallbacks[c] = f"{positives} positives, fewer than {min_positives}"
            return
        threshold = _fit(ranked, objective.of_class(c))
        if threshold is None:
            fallbacks[c] = f"{' and '.join(map(str, objective.floors))} is out of reach"
        else:
            per_class_C[c] = threshold

    for columns, left_NL in _left_by_rules(probabilities_NC, per_class_C, rules):
        over_classes(
            left_NL, targets_NC[:, columns] if rules else targets_NC, partial(fit, columns)
        )
        unset = [c for c in columns if c in fallbacks]
        if unset:
            per_class_C[unset] = fit_overall(probabilities_NC, targets_NC, objective)
        if rules:
            per_class_C[columns] = np.maximum(per_class_C[columns], LEAST)
    return Thresholds(
        per_class_C, *(dict(sorted(part.items())) for part in (fallbacks, unpromised))
    )


def _left_by_rules(
    probabilities_NC: NDArray[Any], per_class_C: Floats, rules: BoundRules
) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Classes level by level, and their probabilities, -1 where a rule forbids the label.

    What classes imply comes before them; its thresholds must have been filled in by then.
    """
    if not rules:
        yield np.arange(len(per_class_C)), probabilities_NC
        return
    left_NC = np.where(rules.best(probabilities_NC), probabilities_NC, -1.0)
    for level in rules.levels:
        for c in filter(rules.parents.get, level):
            above = rules.parents[c]
            left_NC[(left_NC[:, above] < per_class_C[above]).any(1), c] = -1
        yield level, left_NC[:, level]


def reasons(parts: Sequence[Thresholds | None], classes: Sequence[str]) -> dict[str, str]:
    """Why something cannot be promised for a class, by name."""
    found: dict[str, list[str]] = {}
    for part in filter(None, parts):
        for c, why in part.unpromised.items():
            found.setdefault(classes[c], []).append(why)
    return {name: "; ".join(whys) for name, whys in found.items()}


def share_error(targets_NC: NDArray[np.int8], objective: Objective) -> Objective:
    """Promise for all classes at once: those with images enough share the error evenly.

    Who has enough is told by the numbers of images alone, and not by the scores; each class that
    is left out leaves more to the others. Holm's way, to hand on the share of a class whose
    promise is made, would not hold: the cut of such a class is as near to its limit as its own
    test lets it, and errs as often as its share says.
    """
    positives_C, known_C = (targets_NC == 1).sum(axis=0), (targets_NC >= 0).sum(axis=0)

    def enough(classes: int) -> int:
        able = [f.possible(positives_C, known_C, classes) for f in objective.promises]
        return int(np.all(able, axis=0).sum())

    numbers = range(1, len(positives_C) + 1)  # each of the last number of classes has its own share
    return replace(objective, jointly=next(n for n in numbers if enough(n) <= n))


def fit_overall(
    probabilities_NC: NDArray[Any], targets_NC: NDArray[np.int8], objective: Objective
) -> float:
    """Find the one threshold that is best for all decisions together; 0.5 if none is."""
    ranked = rank_all(probabilities_NC, targets_NC)
    threshold = _fit(ranked, objective.estimated)
    return 0.5 if threshold is None else threshold


def _fit(ranked: RankedPositives, objective: Objective) -> float | None:
    if not len(ranked.scores_P):
        return None
    cut = objective.choose(ranked)
    if cut is None:
        return 1.0 if objective.kind == "cost" else None  # never costs least
    score = float(ranked.scores_P[cut])
    lower = max(0.0, float(ranked.lower_P[cut]))
    middle = (score + lower) / 2
    return middle if lower < middle < score else score


def shrink(
    thresholds: Thresholds, overall: float, targets_NC: NDArray[np.int8], strength: float
) -> Floats:
    """Pull the threshold of each class towards that for all classes, the rarer the more.

    logit(t_c) <- (n_c logit(t_c) + strength logit(overall)) / (n_c + strength) with n_c the
    positives of the class: the optimum on few positives is mostly chance. Classes that took the
    overall threshold keep it; a strength of 0 leaves all as they are.
    """
    if strength == 0:
        return thresholds.per_class_C
    positives_C = np.count_nonzero(targets_NC == 1, axis=0)
    pulled_C = positives_C * logit(thresholds.per_class_C) + strength * logit(overall)
    return sigmoid(pulled_C / (positives_C + strength))


def pick_thresholds(
    wanted: str | float | Sequence[float] | Floats | None, card: ModelCard
) -> Floats | None:
    """Thresholds of a file (`.npy`), one for all classes, which may be text, or one for each.

    `None` takes those of the checkpoint.

    Returns:
        A threshold for each class; `None` if the checkpoint has none either.

    Raises:
        UsageError: The file or the number cannot be used.
    """
    if wanted is None or (isinstance(wanted, str) and not wanted):
        return None if card.thresholds is None else np.array(card.thresholds)
    if not isinstance(wanted, str | float | int):
        return _checked(np.array(wanted, np.float64), len(card.classes), "thresholds")
    try:
        number = float(wanted)
    except ValueError:
        return _read_thresholds(Path(str(wanted)), card.classes)
    if not 0 <= number <= 1:
        raise UsageError(f"--thresholds {wanted}: expected a probability, 0 to 1, or a file")
    return np.full(len(card.classes), number)


def save_thresholds(path: Path, thresholds_C: Floats, classes: Sequence[str | int]) -> None:
    """Write an `.npy` file, atomically; the class list is behind what readers look at."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            np.save(stream, thresholds_C, allow_pickle=False)
            stream.write(class_hash(classes).encode())

    write_atomic(path, write)


def _read_thresholds(path: Path, classes: Sequence[str | int]) -> Floats:
    try:
        stream = BytesIO(read_bytes(path))
    except DataError as error:
        raise UsageError(f"--thresholds {error.message}") from None
    with named_faults(f"--thresholds {path}", "cannot be read", UsageError):
        array = np.lib.format.read_array(stream, allow_pickle=False)
        thresholds_C = array.astype(np.float64, casting="same_kind")
        known = stream.read(_HASH + 1)
    if known and known != class_hash(classes).encode():
        raise UsageError(
            f"--thresholds {path}: was made for other classes than those of the model, or is"
            " damaged",
            "Choose thresholds for this model with: mlc thresholds",
        )
    return _checked(thresholds_C, len(classes), f"--thresholds {path}")


def _checked(thresholds_C: Floats, classes: int, source: str) -> Floats:
    inside_C = (thresholds_C >= 0) & (thresholds_C <= 1)
    if thresholds_C.shape != (classes,) or not inside_C.all():
        raise UsageError(
            f"{source}: expected {classes} finite numbers in 0..1, one for each class"
            f" in sorted order, got an array of shape {thresholds_C.shape}"
        )
    return thresholds_C
