"""`mlc train`."""

from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from mlc_cli.commands import flags, progress, screen
from mlc_cli.commands.flags import Flag, Given, settings_command
from mlc_cli.errors import UsageError
from mlc_cli.settings.train import TrainSettings

if TYPE_CHECKING:
    from mlc_cli.core.training.events import Event


@settings_command(
    TrainSettings,
    "train",
    Flag("data.root", flags.DATA, ("--data",)),
    Flag("model.weights", flags.MODEL),
    Flag("model.weight_classes", flags.MODEL, metavar=flags.LISTS),
    Flag("data.rename", flags.MODEL, metavar="OLD=NEW"),
    Flag("data.unknown_in", flags.DATA, metavar="OLD.json"),
    Flag("data.cross_validate", flags.DATA, metavar="FOLDS"),
    Flag("data.shuffle", flags.DATA),
    Flag("distill.teachers", flags.MODEL, ("--teacher",), "CHECKPOINT"),
    Flag("epochs", flags.MODEL),
    Flag("minutes", flags.MODEL),
    Flag("until", flags.MODEL, metavar="TIME"),
    flags.BATCH_SIZE,
    Flag("optim.lr", flags.MODEL),
    *flags.WHERE,
    *flags.DOWNLOADS,
    Flag("mirror", flags.RESULT, metavar="URL"),
)
def train(
    given: Given[TrainSettings],
    *,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Continue this run, for example runs/latest, or its mirror at an address.",
            rich_help_panel=flags.RESULT,
        ),
    ] = None,
    accept_changed_data: Annotated[
        bool,
        typer.Option(
            "--accept-changed-data",
            help="With --resume: go on though an annotation file has changed.",
            rich_help_panel=flags.RESULT,
        ),
    ] = False,
    show_augmented: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Write a page of images as training sees them, and do not train.",
            rich_help_panel=flags.RESULT,
        ),
    ] = None,
    preset: flags.Preset = None,
) -> None:
    """Example: mlc train --preset finetune --data datasets/mine"""
    if resume is not None:
        if show_augmented:
            raise UsageError("--resume and --show-augmented do not go together")
        _continue(resume, given, preset, accept_changed_data=accept_changed_data)
        return
    if accept_changed_data:
        raise UsageError("--accept-changed-data goes with --resume RUN alone")
    settings = given.settings(preset)
    if show_augmented:
        from mlc_cli.jobs.augmented import show_augmented as write

        write(settings, show_augmented)
        screen.note(f"images as training sees them: {show_augmented}")
        return
    from mlc_cli.jobs.train import train as run

    with progress.TrainingBar() as bar:
        _show(run(settings, on_tick=bar), bar)


def _continue(
    resume: Path, given: Given[TrainSettings], preset: str | None, *, accept_changed_data: bool
) -> None:
    from mlc_cli.core.runs.mirror import fetch_run
    from mlc_cli.core.system.addresses import is_remote
    from mlc_cli.jobs.train import RESUMABLE, run_settings
    from mlc_cli.jobs.train import train as run
    from mlc_cli.settings.merge import merge, nested, parse_assignments

    flags = {key: value for key, value in given.flags.items() if value is not None}
    typed = {*flags, *(text.partition("=")[0].strip() for text in given.assignments)}
    if preset or given.config or not typed <= set(RESUMABLE):
        raise UsageError(
            "--resume continues with the settings of the run and takes no other, but --data,"
            " --device and --set data.workers=N",
            f"For more epochs, let it end and go on from its weights: mlc train --weights {resume}"
            " --epochs N ...; so do other settings.",
        )
    if is_remote(resume):
        resume = fetch_run(resume, Path("runs"))
        screen.note(f"the run is in {resume} now")
    settings = run_settings(resume, merge(nested(flags), parse_assignments(given.assignments)))
    with progress.TrainingBar() as bar:
        events = run(settings, resume=resume, accept_changed_data=accept_changed_data, on_tick=bar)
        _show(events, bar)


def _show(events: "Iterator[Event]", bar: progress.TrainingBar) -> None:
    from mlc_cli.core.training.events import Finished
    from mlc_cli.core.training.messages import describe

    for event in events:
        bar.note(describe(event))
        if isinstance(event, Finished):
            screen.show_evaluation(event.evaluation)
            bar.note(f"next: mlc eval --run {quote(str(event.run.path))} --report")
