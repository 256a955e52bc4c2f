"""Everything that is known of a split's mistakes, in one object.

Names of arrays: N images, C classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.rules import FREE, BoundRules
from mlc_cli.core.evaluation.bootstrap import Intervals, bootstrap
from mlc_cli.core.evaluation.metrics import Floats
from mlc_cli.core.evaluation.mistakes import ErrorPair, Mistakes, error_pairs, worst_mistakes
from mlc_cli.core.evaluation.reliability import Reliability, reliability
from mlc_cli.core.evaluation.results import FITTED, HALF
from mlc_cli.core.evaluation.suspects import Suspects, find_suspects


@dataclass(frozen=True)
class Diagnosis:
    """What lies behind the metrics; decisions are those at the thresholds, or else at 0.5.

    Attributes:
        intervals: How sure the metrics are; ways to decide are `HALF` and, if any, `FITTED`.
        reliability: Whether probabilities mean what they say.
        mistakes: Worst mistakes of each class.
        pairs: Mistakes that come together.
        joint_CC: Images that miss one label and wrongly have another.
        suspects: Labels that may be wrong.
    """

    intervals: Intervals
    reliability: Reliability
    mistakes: list[Mistakes]
    pairs: list[ErrorPair]
    joint_CC: NDArray[np.int64]
    suspects: Suspects


def diagnose(
    probabilities_NC: NDArray[Any],
    targets_NC: NDArray[np.int8],
    thresholds_C: Floats | None,
    rules: BoundRules = FREE,
    *,
    draws: int = 200,
) -> Diagnosis:
    """Look into the scores of a split."""
    decisions = {HALF: rules.decide(probabilities_NC)}
    if thresholds_C is not None:
        decisions[FITTED] = rules.decide(probabilities_NC, thresholds_C)
    made_NC = decisions.get(FITTED, decisions[HALF])
    pairs, joint_CC = error_pairs(targets_NC, made_NC, limit=15)
    return Diagnosis(
        intervals=bootstrap(probabilities_NC, targets_NC, decisions, draws=draws),
        reliability=reliability(probabilities_NC, targets_NC),
        mistakes=worst_mistakes(probabilities_NC, targets_NC, made_NC, limit=4),
        pairs=pairs,
        joint_CC=joint_CC,
        suspects=find_suspects(probabilities_NC, targets_NC, limit=16),
    )


@dataclass(frozen=True)
class Chosen:
    """Images to show.

    Attributes:
        labels: Classes whose mistakes are shown, the most mistakes first.
        left_out: Classes with mistakes that are not shown, to keep to the limit.
        images: Rows of all images to show, each once.
    """

    labels: list[int]
    left_out: int
    images: list[int]


def choose_images(diagnosis: Diagnosis, limit: int) -> Chosen:
    """Choose so many images to show: suspects first, then the classes with most mistakes."""
    suspects = diagnosis.suspects
    images = dict.fromkeys(suspect.image for suspect in (*suspects.missing, *suspects.wrong))
    labels: list[int] = []
    totals_C = [mistakes.total for mistakes in diagnosis.mistakes]
    ordered = sorted(np.flatnonzero(totals_C).tolist(), key=lambda c: -totals_C[c])
    for label in ordered:
        mistakes = diagnosis.mistakes[label]
        further = images | dict.fromkeys((*mistakes.extra, *mistakes.missed))
        if len(further) > limit:
            break
        images = further
        labels.append(label)
    return Chosen(labels, len(ordered) - len(labels), list(images))
