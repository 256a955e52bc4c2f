"""Promised floors on draws of 600 images from a large table: how often missed, how often made.

    python tests/benchmarks/promises.py                 # a table of normal scores
    python tests/benchmarks/promises.py scores.npz      # scores of `mlc eval` on many images

"Literal" is the best of all cuts that pass the exact test by themselves (beta quantiles of scipy),
which nobody may look for without paying. Misses are of all draws of all classes.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm
from timing import show

from mlc_cli.core.evaluation.metrics import metrics_of_decisions
from mlc_cli.core.evaluation.objectives import Objective
from mlc_cli.core.evaluation.scores import read_scores
from mlc_cli.core.evaluation.thresholds import fit_thresholds

DRAWS, IMAGES = 1000, 600
Table = tuple[NDArray[np.float64], NDArray[np.int8]]


def normal_table(images: int = 200_000) -> Table:
    rng = np.random.default_rng(0)
    shares, lifts = np.array([0.08, 0.2, 0.35, 0.6]), np.array([1.5, 2.0, 2.5, 3.0])
    targets = (rng.random((images, 4)) < shares).astype(np.int8)
    return norm.cdf(rng.normal(size=(images, 4)) + lifts * targets - 1), targets


def literal(objective: Objective, scores: NDArray[np.float64], present: NDArray[np.int8]) -> float:
    """Precision of the literal cut of a class; nan if there is none."""
    present = present[np.argsort(-scores)]
    hits, ranks = np.cumsum(present), np.arange(1, len(present) + 1)
    positives, error = hits[-1], 0.05
    trials = {"precision": ranks, "recall": positives, "fpr": len(ranks) - positives}
    counted = ranks - hits if objective.kind == "fpr" else hits
    misses = trials[objective.kind] - counted
    if objective.kind == "fpr":
        passed = beta.ppf(1 - error, counted + 1, np.maximum(misses, 1e-9)) <= objective.value
    else:
        passed = beta.ppf(error, np.maximum(counted, 1e-9), misses + 1) >= objective.value
    precision = hits / ranks
    value = np.where(passed & (present == 1), precision if objective.kind == "recall" else hits, -1)
    best = int(value.argmax())
    return float(precision[best]) if value[best] >= 0 else float("nan")


def misses(
    objective: Objective, table: Table, thresholds: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Classes that miss the floor on the whole table."""
    kept = getattr(metrics_of_decisions(table[0] >= thresholds, table[1]), f"{objective.kind}_C")
    return np.asarray(kept > objective.value if objective.kind == "fpr" else kept < objective.value)


def row(text: str, table: Table) -> list[str]:
    objective, rng = Objective.parse(f"{text}@95%"), np.random.default_rng(1)
    estimated = Objective.parse(text)
    missed = made = naive = feasible = both = 0
    gaps = []
    for _ in range(DRAWS):
        chosen = rng.choice(len(table[0]), IMAGES, replace=False)
        scores, targets = table[0][chosen], table[1][chosen]
        found = fit_thresholds(scores, targets, objective, 5)
        promised = ~np.isin(np.arange(targets.shape[1]), list(found.unpromised))
        unsure = fit_thresholds(scores, targets, estimated, 5).per_class_C
        missed += int((misses(objective, table, found.per_class_C) & promised).sum())
        naive += int(misses(objective, table, unsure).sum())
        made += int(promised.sum())
        here = metrics_of_decisions(scores >= found.per_class_C, targets).precision_C
        best = np.array(
            [literal(objective, s, t) for s, t in zip(scores.T, targets.T, strict=True)]
        )
        feasible += int(np.isfinite(best).sum())
        both += int((np.isfinite(best) & promised).sum())
        gaps.extend(np.abs(best - here)[np.isfinite(best) & promised])
    total = DRAWS * table[1].shape[1]
    shares = (missed / total, naive / total, made / total, both / max(1, feasible))
    return [text, *(f"{100 * share:.1f} %" for share in shares), f"{np.median(gaps):.4f}"]


def main() -> None:
    table = normal_table()
    if len(sys.argv) > 1:
        saved = read_scores(Path(sys.argv[1]))
        table = saved.probabilities_NC, saved.targets_NC
    show(
        f"{DRAWS:,} draws of {IMAGES} from {len(table[0]):,} images, {table[1].shape[1]} classes",
        ("floor", "missed", "as an estimate", "promised", "where literal", "median gap"),
        [row(text, table) for text in ("recall>=0.9", "precision>=0.8", "fpr<=0.05")],
    )


if __name__ == "__main__":
    main()
