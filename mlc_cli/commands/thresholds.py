"""`mlc thresholds`."""

from typing import TYPE_CHECKING, Annotated

import typer

from mlc_cli.commands import options, screen

if TYPE_CHECKING:
    from mlc_cli.jobs.thresholds import ThresholdResult


def thresholds(
    run: options.Run = None,
    checkpoint: options.Checkpoint = None,
    scores: Annotated[
        str | None,
        typer.Option(
            help="Saved scores (scores.npz) in place of a model.", rich_help_panel=options.MODEL
        ),
    ] = None,
    data: options.Data = None,
    split: options.Split = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help='What to maximise: f1, fbeta=B, "precision>=P" or "recall>=R".',
            rich_help_panel=options.RESULT,
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            help="Parts for the out-of-fold estimate; 0 leaves it out.",
            rich_help_panel=options.RESULT,
        ),
    ] = None,
    device: options.Device = None,
    output: options.Output = None,
    as_json: options.Json = False,
    config: options.Config = None,
    assignments: options.Assignments = None,
    show_settings: options.ShowSettings = False,
) -> None:
    """Choose the probability from which each class counts as present.

    Example: mlc thresholds --objective "precision>=0.9"
    """  # fmt: skip
    from mlc_cli.settings.thresholds import ThresholdSettings

    flags = {
        "run": run,
        "checkpoint": checkpoint,
        "scores": scores,
        "data": data,
        "split": split,
        "objective": objective,
        "folds": folds,
        "device": device,
        "output": output,
    }
    settings = options.settings_of(
        ThresholdSettings, "thresholds", flags, config, assignments, show=show_settings
    )
    from mlc_cli.jobs.thresholds import as_dict, estimate_thresholds

    result = estimate_thresholds(settings)
    screen.note(
        f"{result.source}: {len(result.scores.paths)} images, maximising {settings.objective}"
    )
    screen.warn(result.warning)
    if as_json:
        screen.result_json(as_dict(result))
    else:
        _show(result)
    for name in result.overfitted:
        screen.note(
            f"warning: out of fold {name} falls below that at 0.5: there are too few images to"
            " choose thresholds on"
        )
    where = "in the checkpoint and " if result.stored else ""
    screen.note(f"written {where}to {result.folder}/thresholds.npy and thresholds.json")


def _show(result: "ThresholdResult") -> None:
    from mlc_cli.jobs.thresholds import class_rows

    columns = ("threshold", "precision", "recall", "F1", "F1_at_0.5")
    rows = [
        (row["class"], *(screen.cell(row[key]) for key in columns), str(row["positives"]))
        for row in class_rows(result)
    ]
    titles = ("threshold", "P", "R", "F1", "F1 at 0.5", "positives")
    screen.table(("class", *titles), rows)
    summaries = {"at 0.5": result.at_half, "at thresholds": result.at_thresholds}
    if result.out_of_fold:
        summaries["out of fold"] = result.out_of_fold
    screen.summary_table(summaries)
    screen.result(
        f"threshold for all classes together: {result.overall:.4f}; those of the classes are"
        f" pulled towards it with a strength of {result.shrinkage:g} positives"
    )
    names = result.scores.classes
    for c, reason in list(result.thresholds.fallbacks.items())[:20]:
        screen.result(f"{names[c]} takes the threshold for all classes: {reason}")
