"""`mlc eval`."""

from typing import Annotated

import typer

from mlc_cli.commands import options, screen


def evaluate(
    run: options.Run = None,
    checkpoint: options.Checkpoint = None,
    data: options.Data = None,
    split: options.Split = None,
    thresholds: Annotated[
        str | None,
        typer.Option(help="Thresholds of the classes (.npy).", rich_help_panel=options.MODEL),
    ] = None,
    min_map: Annotated[
        float | None,
        typer.Option(help="Exit with code 3 if the mAP is below.", rich_help_panel=options.RESULT),
    ] = None,
    report: Annotated[
        bool | None,
        typer.Option(
            "--report/--no-report",
            help="Write report.html: one page with curves, mistakes and pictures.",
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
    """Evaluate a checkpoint: mAP, and precision, recall and F1 of classes and overall.

    Example: mlc eval --split test --min-map 0.7
    """  # fmt: skip
    from mlc_cli.settings.evaluate import EvalSettings

    flags = {
        "run": run,
        "checkpoint": checkpoint,
        "data": data,
        "split": split,
        "thresholds": thresholds,
        "min_map": min_map,
        "report": report,
        "device": device,
        "output": output,
    }
    settings = options.settings_of(
        EvalSettings, "eval", flags, config, assignments, show=show_settings
    )
    from mlc_cli.core.evaluation.results import as_dict
    from mlc_cli.errors import GateMissed
    from mlc_cli.jobs.evaluate import evaluate_checkpoint

    outcome = evaluate_checkpoint(settings)
    screen.note(f"{outcome.checkpoint} on {outcome.source}: {outcome.evaluation.images} images")
    screen.warn(outcome.warning)
    if as_json:
        screen.result_json(as_dict(outcome.evaluation, **outcome.about))
    else:
        screen.show_evaluation(outcome.evaluation)
    screen.note(f"written to {outcome.folder}")
    if outcome.report:
        screen.note(f"report: {outcome.report}")
    if not outcome.passed:
        raise GateMissed(f"mAP {outcome.evaluation.mean_ap:.4f} is below --min-map {outcome.gate}")
