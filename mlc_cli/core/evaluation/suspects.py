"""Labels that a model contradicts, on images that it was not trained on.

The rule, after confident learning (Northcutt, Jiang & Chuang 2021): a class has a typical
probability where its label is present, and one where it is absent (the means). A label that is
absent is suspected if its probability is above the typical one of those present; a label that is
present, if it is below the typical one of those absent. They are ranked by how far beyond it they
are in log odds, log(p / (1 - p)), on which all classes have one scale. A class whose labels the
model cannot tell apart (the mean of those present is not above that of those absent) is left out.

Names of arrays: N images, C classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.evaluation.metrics import Floats, ratio
from mlc_cli.core.evaluation.probabilities import logit


@dataclass(frozen=True)
class Suspect:
    """A label that may be wrong.

    Attributes:
        image: Row of the image.
        label: Index of the class.
        probability: What the model says.
        typical: The mean that it is beyond.
        margin: How far, in log odds.
    """

    image: int
    label: int
    probability: float
    typical: float
    margin: float


@dataclass(frozen=True)
class Suspects:
    """Suspected labels, the clearest first.

    Attributes:
        missing: Marked absent, but the model sees them.
        missing_total: How many there are in all.
        wrong: Marked present, but the model does not see them.
        wrong_total: How many there are in all.
    """

    missing: list[Suspect]
    missing_total: int
    wrong: list[Suspect]
    wrong_total: int


def find_suspects(
    probabilities_NC: NDArray[Any], targets_NC: NDArray[np.int8], limit: int
) -> Suspects:
    """Find labels that contradict the model, so many of each kind; see the module for the rule."""
    present_NC, absent_NC = targets_NC == 1, targets_NC == 0
    high_C, low_C = _mean(probabilities_NC, present_NC), _mean(probabilities_NC, absent_NC)
    useful_C = high_C > low_C  # false where one of them is nan
    missing_NC = absent_NC & (probabilities_NC > high_C) & useful_C
    wrong_NC = present_NC & (probabilities_NC < low_C) & useful_C
    return Suspects(
        missing=_ranked(probabilities_NC, missing_NC, high_C, limit),
        missing_total=int(np.count_nonzero(missing_NC)),
        wrong=_ranked(probabilities_NC, wrong_NC, low_C, limit),
        wrong_total=int(np.count_nonzero(wrong_NC)),
    )


def _mean(probabilities_NC: NDArray[Any], where_NC: NDArray[np.bool_]) -> Floats:
    total_C = probabilities_NC.sum(axis=0, where=where_NC, dtype=np.float64)
    return ratio(total_C, np.count_nonzero(where_NC, axis=0))


def _ranked(
    probabilities_NC: NDArray[Any], found_NC: NDArray[np.bool_], typical_C: Floats, limit: int
) -> list[Suspect]:
    images, labels = np.nonzero(found_NC)
    scores = probabilities_NC[images, labels].astype(np.float64)
    margins = np.abs(logit(scores) - logit(typical_C[labels]))
    order = np.argsort(-margins, kind="stable")[:limit]
    columns = (images, labels, scores, typical_C[labels], margins)
    return [Suspect(*row) for row in zip(*(one[order].tolist() for one in columns), strict=True)]
