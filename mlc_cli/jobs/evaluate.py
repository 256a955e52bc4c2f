"""`mlc eval`: a checkpoint over a split."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mlc_cli.core.evaluation.metrics import Floats
from mlc_cli.core.evaluation.report.build import make_report
from mlc_cli.core.evaluation.results import Evaluation, evaluate, write_evaluation
from mlc_cli.core.evaluation.scores import ScoredSplit, write_scores
from mlc_cli.core.evaluation.slices import FEW, measure_slices, promised_floors, worst_slice
from mlc_cli.core.evaluation.thresholds import pick_thresholds
from mlc_cli.core.inference.build import default_folder, score_checkpoint, scored_split, suffix_of
from mlc_cli.core.inference.open import open_model
from mlc_cli.core.inference.scoring import score
from mlc_cli.core.loading.loader import Batches
from mlc_cli.core.runs.chain import broken_promise
from mlc_cli.core.runs.folder import RunFolder
from mlc_cli.core.system.distributed import current
from mlc_cli.core.system.files import only_writer, result_folder, write_text
from mlc_cli.settings.evaluate import EvalSettings
from mlc_cli.settings.resolve import as_yaml


@dataclass(frozen=True)
class EvalResult:
    """An evaluation and where it was written.

    Attributes:
        checkpoint: What was evaluated.
        source: Annotation file of the split.
        evaluation: The metrics.
        folder: Where the files are.
        about: Where it comes from, as written to the JSON file.
        missed: Which gate was missed, and by what; empty if none was.
        report: The page for people, if it was asked for.
        warning: What the user should know about the model, if anything.
    """

    checkpoint: Path
    source: Path
    evaluation: Evaluation
    folder: Path
    about: dict[str, Any]
    missed: str
    report: Path | None
    warning: str

    def _repr_html_(self) -> str:
        """In a notebook: what is known of each class."""
        return self.evaluation._repr_html_()

    @property
    def passed(self) -> bool:
        """Whether all gates are reached."""
        return not self.missed


def evaluate_checkpoint(settings: EvalSettings) -> EvalResult:
    """Evaluate a checkpoint and write the results beside it.

    Processes that have joined a group share the images; all get the result, and one writes it.

    Raises:
        MlcError: The checkpoint or the data cannot be used.
    """
    scored = score_checkpoint(settings)
    thresholds_C = pick_thresholds(settings.thresholds, scored.card)
    suffix = suffix_of(settings.split)
    folder = result_folder(settings.output, default_folder(scored.checkpoint))
    about, evaluation = _evaluate(scored, thresholds_C)
    floors = [] if settings.thresholds else promised_floors(scored.card)
    slices = measure_slices(settings.slices, scored.scores, thresholds_C, floors, scored)
    evaluation = replace(evaluation, slices=slices)
    broken = broken_promise(scored.card, settings, scored.checkpoint)
    broken = "" if settings.thresholds else broken
    report = folder / f"report{suffix}.html" if settings.report else None
    if current().is_main:
        with only_writer(folder):
            write_scores(folder / f"scores{suffix}.npz", scored.scores)
            guard = settings.guard_formulas
            write_evaluation(folder, suffix, evaluation, guard=guard, **about)
            write_text(folder / f"eval{suffix}.yaml", as_yaml(settings))
            if report:
                make_report(report, settings.split, scored, evaluation)
    return EvalResult(
        checkpoint=scored.checkpoint,
        source=scored.source,
        evaluation=evaluation,
        folder=folder,
        about=about,
        missed=_missed(evaluation, settings),
        report=report,
        warning="; ".join(filter(None, (scored.warning, broken))),
    )


def _missed(evaluation: Evaluation, settings: EvalSettings) -> str:
    if settings.min_map is not None and not evaluation.mean_ap >= settings.min_map:
        return f"mAP {evaluation.mean_ap:.4f} is below --min-map {settings.min_map}"
    if settings.min_slice_map is None:
        return ""
    worst = worst_slice(evaluation.slices)
    if not worst:
        return f"--min-slice-map: no slice has {FEW} images and positives to judge it by"
    found = worst.metrics["mAP"]
    if found.value >= settings.min_slice_map:
        return ""
    return (
        f"mAP {found.value:.4f} ({found.low:.4f} to {found.high:.4f}) of the"
        f" {worst.images} images of {worst.by} {worst.value} is below --min-slice-map"
        f" {settings.min_slice_map}"
    )


def evaluate_run(run: RunFolder, val: Batches, device: torch.device) -> Evaluation:
    """Evaluate the best checkpoint of a run that has just ended, as `mlc eval` would."""
    val.group.barrier()  # until it is written
    opened = open_model(run.best, str(device), "fp32")
    scored = scored_split(opened, val, score(opened.engine, val))
    about, evaluation = _evaluate(scored, None)
    if val.group.is_main:
        write_scores(run.path / "scores.npz", scored.scores)
        write_evaluation(run.path, "", evaluation, **about)  # last: it says that all is there
    return evaluation


def _evaluate(
    scored: ScoredSplit, thresholds_C: Floats | None
) -> tuple[dict[str, Any], Evaluation]:
    scores = scored.scores
    evaluation = evaluate(
        scores.probabilities_NC,
        scores.targets_NC,
        scores.classes,
        thresholds_C=thresholds_C,
        unreadable=scored.unreadable,
        rules=scores.rules,
    )
    about = {"checkpoint": str(scored.checkpoint), "data": str(scored.source)}
    return about | ({"cross_validation": scored.folds} if scored.folds else {}), evaluation
