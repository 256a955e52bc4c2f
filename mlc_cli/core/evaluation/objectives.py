"""What a threshold is to maximise, and the floors that it has to keep.

Names of arrays: P positives of a class, N images, C classes.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.evaluation.metrics import DecisionMetrics, ratio
from mlc_cli.core.evaluation.promises import Floor, Mask, Measure
from mlc_cli.core.evaluation.ranking import RankedPositives
from mlc_cli.text import nearest

Kind = Literal["fbeta", "precision", "recall", "fpr", "cost"]
_NUMBER = r"(\d+\.?\d*|\.\d+)"
_FLOOR = re.compile(rf"(precision|recall|fpr)(>=|<=){_NUMBER}(?:@{_NUMBER}%)?")


@dataclass(frozen=True)
class Objective:
    """What a threshold is to maximise.

    Attributes:
        kind: F-beta; recall at a precision of at least `value` or a false-positive rate of at most
            `value`; or precision at a recall of at least `value`; or, downwards, the cost of errors
            where a missed label costs `value` times a wrong one.
        value: beta, the bound, or the ratio of costs.
        floors: Bounds that have to be kept, with a confidence or as an estimate.
        jointly: Classes that share the error of a promise; 1 promises for each by itself.
    """

    kind: Kind
    value: float
    floors: tuple[Floor, ...] = ()
    jointly: int = 1
    per_class: Mapping[Any, float] = field(default_factory=dict)
    """Other ratios of costs, by class name or, once the classes are known, by class index."""

    @classmethod
    def of_costs(cls, text: str) -> "Objective":
        """Read costs of errors: `fn=5,fp=1,cat:fn=10`; what is not said is 1, or as for all.

        Raises:
            ValueError: The text is another, or a cost is not above 0.
        """
        costs: dict[str, dict[str, float]] = {"": {"fn": 1.0, "fp": 1.0}}
        for part in text.split(","):
            match = re.fullmatch(rf"(?:(.+):)?(fn|fp)={_NUMBER}", part.strip())
            if not match or float(match[3]) <= 0:
                raise ValueError("costs above 0, such as fn=5,fp=1,cat:fn=10")
            costs.setdefault(match[1] or "", {})[match[2]] = float(match[3])
        ratios = {
            name: both["fn"] / both["fp"]
            for name, own in costs.items()
            for both in [costs[""] | own]
        }
        whole = ratios.pop("")
        return cls("cost", whole, per_class=dict(ratios))

    def over(self, classes: Sequence[str]) -> "Objective":
        """The same for a list of classes.

        Raises:
            ValueError: It names another one.
        """
        for name in self.per_class.keys() - set(classes):
            raise ValueError(f"names of classes{nearest(name, classes)}")
        return replace(self, per_class={classes.index(n): r for n, r in self.per_class.items()})

    def of_class(self, c: int) -> "Objective":
        """For one class."""
        return replace(self, value=self.per_class[c]) if c in self.per_class else self

    @classmethod
    def parse(cls, text: str) -> "Objective":
        """Read what to maximise and floors, joined by `;`: `f1;recall>=0.9@95%`.

        The first is `f1`, `fbeta=B` or a floor: one of recall maximises precision, the others
        maximise recall.

        Raises:
            ValueError: The text is none of these, or a number is out of range.
        """
        first, *rest = (part.strip() for part in text.split(";"))
        floors = tuple(_floor(part) for part in rest)
        if first == "f1":
            return cls("fbeta", 1.0, floors)
        if match := re.fullmatch(rf"fbeta={_NUMBER}", first):
            beta = float(match[1])
            if beta <= 0:
                raise ValueError("a number above 0")
            return cls("fbeta", beta, floors)
        floor = _floor(first)
        return cls(floor.measure, floor.bound, (floor, *floors))

    @property
    def promises(self) -> tuple[Floor, ...]:
        """Floors with a confidence."""
        return tuple(floor for floor in self.floors if floor.confidence is not None)

    @property
    def estimated(self) -> "Objective":
        """The same without any confidence."""
        return replace(self, floors=tuple(replace(f, confidence=None) for f in self.floors))

    def choose(self, ranked: RankedPositives) -> int | None:
        """Best cut among the positives of a class; `None` if none reaches what is asked."""
        hits_P, rank_P = ranked.hits_P, ranked.sorted_rank_P
        allowed_P: Mask = np.ones(len(hits_P), np.bool_)
        for floor in self.floors:
            allowed_P &= floor.allowed(ranked, self.jointly)
        if not allowed_P.any():
            return None
        if self.kind == "cost":  # less than that of no label at all, which is 0
            saved_P = self.value * hits_P - (rank_P - hits_P)
            best = int(np.argmax(np.where(allowed_P, saved_P, -np.inf)))
            return best if saved_P[best] > 0 else None
        if self.kind == "fbeta":
            square = self.value**2
            values_P = (1 + square) * hits_P  # there may be many millions: changed in place
            values_P /= rank_P + square * len(hits_P)
        else:
            values_P = hits_P / (rank_P if self.kind == "recall" else len(hits_P))
        values_P[~allowed_P] = -1.0
        return int(np.argmax(values_P))

    @property
    def measured(self) -> str:
        """What `attained` is, in words; empty for floors, which are told class by class."""
        if self.kind == "cost":
            return "cost of the errors of an image"
        return f"mean F{self.value:g} of the classes" if self.kind == "fbeta" else ""

    def attained(self, made: DecisionMetrics, targets_NC: NDArray[np.int8]) -> float:
        """What decisions on images come to: the mean F-beta of the classes with positives, or cost.

        A wrong label costs 1. Targets are 1 present, 0 absent, -1 unknown.
        """
        present_C, absent_C = (np.count_nonzero(targets_NC == one, axis=0) for one in (1, 0))
        missed_C = present_C * np.nan_to_num(1 - made.recall_C)
        wrong_C = absent_C * np.nan_to_num(made.fpr_C)
        if self.kind == "cost":
            costs_C = [self.of_class(c).value for c in range(len(missed_C))]
            return float(missed_C @ costs_C + wrong_C.sum()) / len(targets_NC)
        square, right_C = self.value**2, present_C - missed_C
        above_C = (1 + square) * right_C
        values_C = ratio(above_C, above_C + square * missed_C + wrong_C)
        return float(values_C[present_C > 0].mean()) if present_C.any() else math.nan

    def lack(self, ranked: RankedPositives) -> tuple[float, str]:
        """Cautious threshold of a class that nothing can be promised for, and why."""
        for floor in self.promises:
            if not floor.allowed(ranked, self.jointly).any():
                return (
                    floor.cautious,
                    f"{floor} cannot be promised: {floor.lack(ranked, self.jointly)}",
                )
        return self.promises[0].cautious, "no threshold keeps all floors at once"


def parse_band(text: str) -> tuple[Objective, Objective]:
    """Read the floors of a band, joined by a comma: of precision above, of recall below.

    Raises:
        ValueError: They are others, or a number is out of range.
    """
    parts = {part.kind: part for part in map(Objective.parse, text.replace(" ", "").split(","))}
    if parts.keys() != {"precision", "recall"}:
        raise ValueError("one floor of precision and one of recall")
    return parts["precision"], parts["recall"]


def _floor(text: str) -> Floor:
    match = _FLOOR.fullmatch(text)
    if not match or (match[1] == "fpr") != (match[2] == "<="):
        raise ValueError(
            "f1, fbeta=B, precision>=P, recall>=R or fpr<=F, floors with @95% or not and joined by"
            " ';', such as 'precision>=0.9' or 'f1;recall>=0.8@95%'"
        )
    bound = float(match[3])
    confidence = None if match[4] is None else float(match[4]) / 100
    if not 0 < bound <= 1 or (confidence is not None and not 0.5 <= confidence < 1):
        raise ValueError("a bound above 0 and at most 1, and a confidence from 50 % to below 100 %")
    return Floor(cast("Measure", match[1]), bound, confidence)
