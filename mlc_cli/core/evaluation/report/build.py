"""`report.html`: from the scores of a split to one page for people."""

import json
from pathlib import Path
from typing import Any

from mlc_cli.core.evaluation.diagnosis import choose_images, diagnose
from mlc_cli.core.evaluation.report import charts
from mlc_cli.core.evaluation.report.content import Content
from mlc_cli.core.evaluation.results import Evaluation
from mlc_cli.core.evaluation.scores import ScoredSplit
from mlc_cli.core.html.page import write_page
from mlc_cli.core.images.thumbnails import read_thumbnails
from mlc_cli.core.runs.card import ModelCard
from mlc_cli.core.runs.folder import RunFolder
from mlc_cli.core.system.cores import usable_cores

TEMPLATE = "evaluation/report/report.html"
MOST_PICTURES = 300
CHOSEN_HERE = (
    "Thresholds are chosen on the validation split, which these images are: new images will do a"
    " little worse at them. For numbers without that advantage: `mlc eval --report --split test`."
)
TRAINED_HERE = (
    "The model was trained on these images: every number here is better than on new images, and"
    " wrong labels may have been learnt by heart."
)


def make_report(path: Path, split: str, scored: ScoredSplit, evaluation: Evaluation) -> None:
    """Write the report of an evaluation.

    Raises:
        MlcError: It cannot be written.
    """
    scores = scored.scores
    diagnosis = diagnose(
        scores.probabilities_NC, scores.targets_NC, evaluation.thresholds_C, scores.bound
    )
    chosen = choose_images(diagnosis, MOST_PICTURES)
    paths = {image: scored.folder / scores.paths[image] for image in chosen.images}
    content = Content(
        title=f"{_run_name(scored.checkpoint)} on {scored.source.name}",
        scores=scores,
        evaluation=evaluation,
        diagnosis=diagnosis,
        chosen=chosen,
        pictures=read_thumbnails(paths, scored.max_pixels, usable_cores()),
        facts=_facts(scored, evaluation),
        history=_history(scored.checkpoint),
        epoch=scored.card.epoch,
        warnings=_warnings(split, scored.card, evaluation),
        out_of_fold=_out_of_fold(scored.checkpoint, evaluation) if split == "val" else {},
    )
    write_page(path, TEMPLATE, report=content, charts=charts)


def _run_name(checkpoint: Path) -> str:
    run = checkpoint.resolve().parent.name
    return run if checkpoint.name == "best.safetensors" and run else checkpoint.name


def _warnings(split: str, card: ModelCard, evaluation: Evaluation) -> list[str]:
    if split == "train":
        return [TRAINED_HERE]
    used_C = evaluation.thresholds_C
    if split == "val" and used_C is not None and used_C.tolist() == card.thresholds:
        return [CHOSEN_HERE]
    return []


def _facts(scored: ScoredSplit, evaluation: Evaluation) -> dict[str, str]:
    card = scored.card
    weights = "moving average of the weights" if card.averaged else "weights as trained"
    head = card.model.get("head")
    kind = head.get("name", "?") if isinstance(head, dict) else "?"
    return {
        "Checkpoint": str(scored.checkpoint),
        "Data": str(scored.source),
        "Trained": f"{card.epoch} epochs, {weights}",
        "Model": f"{card.model.get('backbone', '?')}, head {kind}",
        "Input": str(card.geometry),
        "Thresholds": _thresholds(evaluation),
        "Written by": ", ".join(f"{name} {version}" for name, version in card.versions.items()),
    }


def _thresholds(evaluation: Evaluation) -> str:
    used_C = evaluation.thresholds_C
    if used_C is None:
        return "none: labels are decided at 0.5"
    if (used_C == used_C[0]).all():
        return f"{used_C[0]:.4g} for all labels"
    return f"one for each label, {used_C.min():.3f} to {used_C.max():.3f}"


def _history(checkpoint: Path) -> list[dict[str, Any]]:
    """Epochs of the run that the checkpoint lies in; nothing if they cannot be read."""
    try:
        rows = RunFolder(checkpoint.parent).read_metrics()
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return []
    return [row for row in rows if isinstance(row, dict)]


def _out_of_fold(checkpoint: Path, evaluation: Evaluation) -> dict[str, float]:
    """What `mlc thresholds` estimated for these very thresholds; nothing if it did not."""
    try:
        content = json.loads((checkpoint.parent / "thresholds.json").read_text(encoding="utf-8"))
        fitted = [row["threshold"] for row in content["classes"]]
        estimate = content["metrics"].get("out_of_fold", {})
        same = evaluation.thresholds_C is not None and fitted == evaluation.thresholds_C.tolist()
        same = same and content["images"] == evaluation.images
        return {key: float(number) for key, number in estimate.items()} if same else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
