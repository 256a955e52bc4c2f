"""The evaluation of a split: one object, as JSON and as a table of classes.

Names of arrays: N images, C classes.
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlc_cli.core.datasets.rules import NO_RULES, BoundRules, Rules
from mlc_cli.core.evaluation.metrics import (
    DecisionMetrics,
    Floats,
    average_precision,
    mean_average_precision,
    metrics_of_decisions,
    of_classes,
)
from mlc_cli.core.evaluation.ranking_metrics import (
    auroc,
    eleven_point_ap,
    ranking_metrics,
    top_k_NC,
)
from mlc_cli.core.evaluation.slices import Slice
from mlc_cli.core.html.notebook import table
from mlc_cli.core.system.files import write_json, write_text
from mlc_cli.text import csv_cell

HALF, FITTED = "at_0.5", "at_thresholds"
SUMMARY = ("CP", "CR", "CF1", "OP", "OR", "OF1", "macro_f1", "exact_match")


@dataclass(frozen=True)
class RuleMetrics:
    """How decisions and label rules go together; at the thresholds, or at 0.5 without any.

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


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one split.

    Attributes:
        classes: Class names in the order of the arrays.
        images: Images that were scored.
        unreadable: Images that could not be read, with the reason.
        unknown: Labels left out because their state is unknown.
        mean_ap: Mean average precision over the classes that have positives.
        ap_C: Average precision; nan without positives.
        positives_C: Positive images.
        thresholds_C: Thresholds of the classes, if there are any.
        decisions: At 0.5 and, if there are any, at the thresholds, by `HALF` and `FITTED`.
        ap_11_C: Average precision over 11 recalls, as of VOC 2007; nan without positives.
        auroc_C: Area under the ROC curve; nan where nothing is present, or all is.
        ranking: Further metrics of the order of scores, by name.
        top_3: At most the three most probable labels of each image, by what they are decided at.
        rules: How decisions and label rules go together, if there are any.
        slices: Groups of images that were measured apart, if any were asked for.
    """

    classes: list[str]
    images: int
    unreadable: dict[str, str]
    unknown: int
    mean_ap: float
    ap_C: Floats
    positives_C: NDArray[np.int64]
    thresholds_C: Floats | None
    decisions: dict[str, DecisionMetrics]
    ap_11_C: Floats
    auroc_C: Floats
    ranking: dict[str, float]
    top_3: dict[str, DecisionMetrics]
    rules: RuleMetrics | None
    slices: Sequence[Slice] = ()

    @property
    def empty_classes(self) -> list[str]:
        """Classes without positives, which the means leave out."""
        pairs = zip(self.classes, self.positives_C, strict=True)
        return [name for name, positives in pairs if positives == 0]

    @property
    def decided(self) -> DecisionMetrics:
        """Decisions at the thresholds, or at 0.5 where there are none."""
        return self.decisions.get(FITTED, self.decisions[HALF])

    @property
    def used_C(self) -> Floats:
        """The thresholds of `decided`."""
        return np.full(len(self.classes), 0.5) if self.thresholds_C is None else self.thresholds_C

    def _repr_html_(self) -> str:
        """In a notebook: what is known of each class."""
        keys = ("class", "AP", "precision", "recall", "F1", "threshold", "positives")
        rows = [[row[key] for key in keys] for row in class_rows(self)]
        return table(f"mAP {self.mean_ap:.4f} over {self.images} images", keys, rows)


def evaluate(
    probabilities_NC: NDArray[Any],
    targets_NC: NDArray[np.int8],
    classes: Sequence[str | int],
    *,
    thresholds_C: Floats | None = None,
    unreadable: dict[str, str] | None = None,
    rules: Rules = NO_RULES,
) -> Evaluation:
    """Compute all metrics of a split."""
    bound = BoundRules(rules, classes)
    ways = {HALF: np.asarray(probabilities_NC >= 0.5)}
    if thresholds_C is not None:
        ways[FITTED] = probabilities_NC >= thresholds_C
    decided = {at: bound.obey(reached_NC, probabilities_NC) for at, reached_NC in ways.items()}
    top_NC, last = top_k_NC(probabilities_NC), [*ways][-1]
    ap_C, ap_11_C, aurocs_C = of_classes(
        probabilities_NC, targets_NC, average_precision, eleven_point_ap, auroc
    )
    ranking_ap, coverage = ranking_metrics(probabilities_NC, targets_NC)
    return Evaluation(
        classes=[str(name) for name in classes],
        images=len(targets_NC),
        unreadable=unreadable or {},
        unknown=int(np.count_nonzero(targets_NC < 0)),
        mean_ap=mean_average_precision(ap_C),
        ap_C=ap_C,
        positives_C=np.count_nonzero(targets_NC == 1, axis=0),
        thresholds_C=thresholds_C,
        decisions={at: metrics_of_decisions(made, targets_NC) for at, made in decided.items()},
        ap_11_C=ap_11_C,
        auroc_C=aurocs_C,
        ranking={
            "AUROC": mean_average_precision(aurocs_C),
            "mAP_11_point": mean_average_precision(ap_11_C),
            "label_ranking_AP": ranking_ap,
            "coverage_error": coverage,
        },
        top_3={
            at: metrics_of_decisions(bound.obey(top_NC & reached_NC, probabilities_NC), targets_NC)
            for at, reached_NC in ways.items()
        },
        rules=RuleMetrics(
            hierarchical_F1=metrics_of_decisions(decided[last], bound.completed(targets_NC)).OF1,
            consistency=float((~bound.breaks(ways[last].astype(np.int8))).mean()),
            OF1_without=metrics_of_decisions(ways[last], targets_NC).OF1,
            data_consistency=float((~bound.breaks(targets_NC)).mean()),
        ) if rules else None,
    )  # fmt: skip


def number(value: float) -> float | None:
    """A number for JSON: `None` in place of nan."""
    return None if math.isnan(value) else float(value)


def as_dict(evaluation: Evaluation, **about: Any) -> dict[str, Any]:
    """The evaluation as plain values for JSON, behind what it is about."""
    content: dict[str, Any] = {
        **about,
        "images": evaluation.images,
        "unreadable_images": evaluation.unreadable,
        "unknown_labels": evaluation.unknown,
        "mAP": number(evaluation.mean_ap),
        "classes_in_means": len(evaluation.classes) - len(evaluation.empty_classes),
        "classes_without_positives": evaluation.empty_classes,
        **{name: number(value) for name, value in evaluation.ranking.items()},
        **{at: _summary(metrics) for at, metrics in evaluation.decisions.items()},
        "top_3": {at: _summary(metrics) for at, metrics in evaluation.top_3.items()},
    }
    if evaluation.rules:
        content["rules"] = plain(asdict(evaluation.rules))
    content["per_class"] = class_rows(evaluation)
    return content | slices_as_dict(evaluation.slices)


def plain(value: Any) -> Any:
    """Plain values for JSON, with `None` in place of nan."""
    match value:
        case float():
            return number(value)
        case list():
            return [plain(one) for one in value]
        case dict():
            return {key: plain(one) for key, one in value.items()}
    return value


def slices_as_dict(slices: Sequence[Slice]) -> dict[str, Any]:
    """Slices for JSON; nothing without any."""
    return {"slices": plain([asdict(one) for one in slices])} if slices else {}


def _summary(metrics: DecisionMetrics) -> dict[str, float | None]:
    return {name: number(getattr(metrics, name)) for name in (*SUMMARY, "hamming_loss")}


def class_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """A row for each class; undefined values are `None`."""
    metrics = evaluation.decided
    return [
        {
            "class": name,
            "AP": number(evaluation.ap_C[c]),
            "AP_11_point": number(evaluation.ap_11_C[c]),
            "AUROC": number(evaluation.auroc_C[c]),
            "precision": number(metrics.precision_C[c]),
            "recall": number(metrics.recall_C[c]),
            "F1": number(metrics.f1_C[c]),
            "threshold": float(evaluation.used_C[c]),
            "positives": int(evaluation.positives_C[c]),
        }
        for c, name in enumerate(evaluation.classes)
    ]


def write_evaluation(
    folder: Path, suffix: str, evaluation: Evaluation, *, guard: bool = True, **about: Any
) -> tuple[Path, Path]:
    """Write `eval{suffix}.json` and `per_class{suffix}.csv`, guarded or not; their paths."""
    json_path, csv_path = folder / f"eval{suffix}.json", folder / f"per_class{suffix}.csv"
    write_text(csv_path, _csv_text(class_rows(evaluation), guard=guard))
    write_json(json_path, as_dict(evaluation, **about))  # last: its name says that all is there
    return json_path, csv_path


def _csv_text(rows: list[dict[str, Any]], *, guard: bool) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "class": csv_cell(row["class"], guard=guard)} for row in rows)
    return stream.getvalue()
