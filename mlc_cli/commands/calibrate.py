"""`mlc calibrate`."""

from mlc_cli.commands import flags, screen
from mlc_cli.commands.flags import Flag, Given, settings_command
from mlc_cli.settings.calibrate import CalibrateSettings


@settings_command(
    CalibrateSettings,
    "calibrate",
    flags.RUN,
    flags.CHECKPOINT,
    *flags.VIEWS,
    *flags.IMAGES,
    Flag("method", flags.RESULT),
    Flag("folds", flags.RESULT),
    *flags.WHERE,
)
def calibrate(given: Given[CalibrateSettings], *, as_json: flags.Json = False) -> None:
    """Example: mlc calibrate --run runs/finetune-1"""
    settings = given.settings()
    from mlc_cli.core.html.words import span
    from mlc_cli.jobs import calibrate as job

    result = job.calibrate(settings)
    screen.note(f"{result.checkpoint}: {result.images} images")
    screen.warn(result.warning)
    if as_json:
        screen.result_json(job.as_dict(result))
    else:
        screen.table(
            ("method", "log loss out of fold"),
            [(name, f"{loss:.5f}") for name, loss in result.log_losses.items()],
        )
        rows = []
        for name, (before, around) in result.before.items():
            after, then = result.after[name]
            rows.append((name, f"{before:.4f}", span(around, 4), f"{after:.4f}", span(then, 4)))
        screen.table(("error", "before", "95 %", "after, out of fold", "95 %"), rows)
    if result.method == job.UNCHANGED:
        screen.note("no method has a lower log loss out of fold: probabilities stay as they are")
    else:
        screen.note(
            f"{result.method}: written in the checkpoint, its thresholds moved along, and to"
            f" {result.folder}/calibration.json; export again what was exported before"
        )
