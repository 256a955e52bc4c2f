"""How decisions and label rules go together.

Names of arrays: N images, C classes. Targets: 1 present, 0 absent, -1 unknown.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.rules import BoundRules, Flags
from mlc_cli.core.evaluation.metrics import metrics_of_decisions


@dataclass(frozen=True)
class RuleMetrics:
    """At the thresholds, or at 0.5 where there are none.

    Attributes:
        hierarchical_F1: F1 of all decisions together, where each label stands for what it implies,
            too, in the data as well (Kiritchenko et al. 2006).
        consistency: Part of the images whose labels above the thresholds keep the rules by
            themselves.
        OF1_without: F1 of those labels.
        data_consistency: Part of the images whose labels in the data keep the rules.
    """

    hierarchical_F1: float
    consistency: float
    OF1_without: float
    data_consistency: float


def rule_metrics(
    bound: BoundRules, reached_NC: Flags, decided_NC: Flags, targets_NC: NDArray[np.int8]
) -> RuleMetrics:
    """Compare labels that reach their thresholds with those that are decided."""
    return RuleMetrics(
        hierarchical_F1=metrics_of_decisions(decided_NC, bound.completed(targets_NC)).OF1,
        consistency=float((~bound.breaks(reached_NC.astype(np.int8))).mean()),
        OF1_without=metrics_of_decisions(reached_NC, targets_NC).OF1,
        data_consistency=float((~bound.breaks(targets_NC)).mean()),
    )
