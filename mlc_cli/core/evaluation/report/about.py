"""What a report tells of the run and of the images.

Names of arrays: N images, C classes.
"""

import json

import numpy as np

from mlc_cli.core.evaluation.results import Evaluation
from mlc_cli.core.evaluation.scores import ScoredSplit
from mlc_cli.text import some


def facts_of(scored: ScoredSplit, evaluation: Evaluation) -> dict[str, str]:
    """Names and values."""
    card, empty, used_C = scored.card, evaluation.empty_classes, evaluation.thresholds_C
    thresholds = "none: labels are decided at 0.5"
    if used_C is not None:
        low, high = used_C.min(), used_C.max()
        several = f"one for each label, {low:.3f} to {high:.3f}"
        thresholds = several if low < high else f"{low:.4g} for all labels"
    head = card.model.get("head")
    kind = head.get("name", "?") if isinstance(head, dict) else "?"
    weights = "moving average of the weights" if card.averaged else "weights as trained"
    labels_N = np.count_nonzero(scored.scores.targets_NC == 1, axis=1)
    unknown = f"{evaluation.unknown:,}, left out of every number"
    facts = {
        "Checkpoint": str(scored.checkpoint),
        "Data": str(scored.source),
        "Trained": f"{card.epoch} epochs, {weights}",
        "Model": f"{card.model.get('backbone', '?')}, head {kind}",
        "Input": str(card.geometry),
        "Scores out of fold": scored.folds.get("summary", ""),
        "Thresholds": thresholds,
        "Written by": ", ".join(f"{name} {version}" for name, version in card.versions.items()),
        "Images": f"{evaluation.images:,}",
        "Labels": f"{len(evaluation.classes):,}",
        "Labels an image": f"{labels_N.mean():.2f} on average, {labels_N.min()} to {labels_N.max()}"
        if len(labels_N) else "",
        "Images without labels": f"{np.count_nonzero(labels_N == 0):,}",
        "Labels of unknown state": unknown if evaluation.unknown else "none",
        "Labels on no image": f"{len(empty):,}: {some(empty, 20)}" if empty else "none",
        "Unreadable images": f"{len(evaluation.unreadable):,}",
    }  # fmt: skip
    return {name: words for name, words in facts.items() if words}


def out_of_fold(scored: ScoredSplit, evaluation: Evaluation) -> dict[str, float]:
    """What `mlc thresholds` estimated for these very thresholds; nothing if it did not."""
    try:
        file = scored.checkpoint.parent / "thresholds.json"
        content = json.loads(file.read_text(encoding="utf-8"))
        fitted = [row["threshold"] for row in content["classes"]]
        estimate = content["metrics"].get("out_of_fold", {})
        same = evaluation.thresholds_C is not None and fitted == evaluation.thresholds_C.tolist()
        same = same and content["images"] == evaluation.images
        return {key: float(number) for key, number in estimate.items()} if same else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
