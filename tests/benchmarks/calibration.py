"""Calibration by `mlc calibrate`: ECE and Brier of the test split before and after, by loss.

    python tests/benchmarks/calibration.py DATA WEIGHTS     # tf_efficientnet_lite0 at 160 px

Heads on frozen features of coco18 learn by each loss, are calibrated on the validation split as by
the command, and are measured on the test split with intervals over images.
"""

import sys

import numpy as np
from timing import show
from unknown import Split, features, fitted, logits

from mlc_cli.core.datasets.stratify import stratify
from mlc_cli.core.evaluation.calibration import METHODS, errors, log_loss, out_of_fold_logits
from mlc_cli.core.evaluation.metrics import mean_ap_of
from mlc_cli.core.evaluation.probabilities import sigmoid
from mlc_cli.core.models.heads.base import auto_scale
from mlc_cli.core.models.heads.pooled import CosineHead, LinearHead
from mlc_cli.settings.loss import AamSettings, AslSettings, BceSettings

SEEDS = 3
LOSSES = {"bce": (LinearHead, BceSettings()), "asl": (LinearHead, AslSettings()),
          "aam": (CosineHead, AamSettings())}  # fmt: skip


def chosen(scores: np.ndarray, targets: np.ndarray) -> str:
    """The method of the lowest log loss out of fold; empty if none is better than as it is."""
    fold_N = stratify(targets, [1.0] * 5, 0)
    tried = {name: log_loss(out_of_fold_logits(fit, scores, targets, fold_N), targets)
             for name, fit in METHODS.items()}  # fmt: skip
    best = min(tried, key=tried.__getitem__)
    return best if tried[best] < log_loss(scores, targets) else ""


def main(splits: dict[str, Split]) -> None:
    rows = []
    for loss, (kind, settings) in LOSSES.items():
        for seed in range(SEEDS):
            scale = 1.0 if kind is LinearHead else auto_scale(splits["val"][1].shape[1])
            head = fitted(splits["train"], settings, seed, kind, scale)
            val, test = (logits(head, splits[name][0]) for name in ("val", "test"))
            targets = splits["test"][1]
            method = chosen(val, splits["val"][1])
            scale_C, bias_C = METHODS[method](val, splits["val"][1]) if method else (1.0, 0.0)
            after = scale_C * test + bias_C
            moved = abs(mean_ap_of(after, targets) - mean_ap_of(test, targets))
            cells = [f"{loss} {seed}", method or "as it is"]
            for name in ("ECE", "Brier"):
                for scores in (test, after):
                    value, around = errors(sigmoid(scores), targets, 0)[name]
                    cells.append(f"{value:.4f} ({around.low:.4f} to {around.high:.4f})")
            rows.append((*cells, f"{moved:.1e}"))
    titles = ("loss, seed", "method", "ECE before", "after", "Brier before", "after", "mAP moved")
    show(f"test split, {SEEDS} seeds", titles, rows)


if __name__ == "__main__":
    main(features(*sys.argv[1:3]))
