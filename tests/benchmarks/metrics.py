"""Average precision: against scikit-learn at 40,000 × 80, and alone at 125,000 × 9,605."""

import argparse
import time

import numpy as np
from sklearn.metrics import average_precision_score
from timing import alternate, show

from mlc_cli.core.evaluation.metrics import average_precision_C, metrics_of_decisions


def make(images: int, classes: int, positive: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    scores = rng.random((images, classes), np.float32)
    targets = (rng.random((images, classes), np.float32) < positive).astype(np.int8)
    return scores, targets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skip-large", action="store_true", help="leave out 125,000 × 9,605")
    arguments = parser.parse_args()
    scores, targets = make(40_000, 80, 0.036)
    ours, theirs = alternate(
        [
            lambda: average_precision_C(scores, targets),
            lambda: [average_precision_score(targets[:, c], scores[:, c]) for c in range(80)],
        ]
    )
    rows: list[tuple[object, ...]] = [
        ("AP 40,000 × 80", f"{ours:.3f}", f"{theirs:.3f}", f"{theirs / ours:.1f}")
    ]
    (decisions,) = alternate([lambda: metrics_of_decisions(scores >= 0.5, targets)])
    rows.append(("F1s 40,000 × 80", f"{decisions:.3f}", "-", "-"))
    if not arguments.skip_large:
        scores, targets = make(125_000, 9_605, 0.001)
        started = time.perf_counter()
        average_precision_C(scores, targets)
        rows.append(("AP 125,000 × 9,605", f"{time.perf_counter() - started:.1f}", "-", "-"))
    show("metrics (seconds)", ("", "mlc", "scikit-learn", "ratio"), rows)


if __name__ == "__main__":
    main()
