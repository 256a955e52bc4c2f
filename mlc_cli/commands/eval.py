"""`mlc eval`."""

from mlc_cli.commands import flags, screen
from mlc_cli.commands.flags import Flag, Given, settings_command
from mlc_cli.settings.evaluate import EvalSettings


@settings_command(
    EvalSettings,
    "eval",
    *flags.ANY_MODEL,
    *flags.VIEWS,
    Flag("thresholds", flags.MODEL),
    *flags.IMAGES,
    Flag("min_map", flags.RESULT),
    flags.SLICES,
    Flag("min_slice_map", flags.RESULT),
    Flag("report", flags.RESULT, ("--report/--no-report",)),
    *flags.WHERE,
)
def evaluate(given: Given[EvalSettings], *, as_json: flags.Json = False) -> None:
    """Example: mlc eval --split test --min-map 0.7"""
    settings = given.settings()
    from mlc_cli.core.evaluation.results import as_dict
    from mlc_cli.errors import GateMissed
    from mlc_cli.jobs.evaluate import evaluate_checkpoint

    outcome = evaluate_checkpoint(settings)
    screen.note(f"{outcome.checkpoint} on {outcome.source}: {outcome.evaluation.images} images")
    if folds := outcome.about.get("cross_validation"):
        screen.note(f"out of fold: {folds['summary']}")
    screen.warn(outcome.warning)
    if as_json:
        screen.result_json(as_dict(outcome.evaluation, **outcome.about))
    else:
        screen.show_evaluation(outcome.evaluation)
    screen.note(f"written to {outcome.folder}")
    if outcome.report:
        screen.note(f"report: {outcome.report}")
    if outcome.missed:
        raise GateMissed(outcome.missed)
