"""`mlc train`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlc_cli.commands import options, progress, screen

if TYPE_CHECKING:
    from mlc_cli.core.training.events import Event


def train(
    preset: options.Preset = None,
    config: options.Config = None,
    data: options.Data = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Start from these weights: .safetensors, .pth, or a checkpoint, old ones too.",
            rich_help_panel=options.MODEL,
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the data.", rich_help_panel=options.MODEL)
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", "-b", help="Images a batch.", rich_help_panel=options.MODEL),
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Peak learning rate.", rich_help_panel=options.MODEL)
    ] = None,
    device: options.Device = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder of the run folders (default: runs).",
            rich_help_panel=options.RESULT,
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Continue this run, for example runs/latest.", rich_help_panel=options.RESULT
        ),
    ] = None,
    assignments: options.Assignments = None,
    show_settings: options.ShowSettings = False,
) -> None:
    """Train a multilabel classifier and evaluate its best epoch.

    Example: mlc train --preset finetune --data datasets/mine
    """  # fmt: skip
    from mlc_cli.settings.resolve import gather, validate
    from mlc_cli.settings.train import TrainSettings

    flags = {
        "data.root": data,
        "model.weights": weights,
        "epochs": epochs,
        "batch_size": batch_size,
        "optim.lr": lr,
        "device": device,
        "output": output,
    }
    if resume is not None:
        given = [preset, config, assignments, *flags.values()]
        _continue(resume, given)
        return
    content = gather(
        TrainSettings, "train", preset=preset, config=config, flags=flags, assignments=assignments
    )
    if preset:
        content.setdefault("name", preset)
    settings = validate(TrainSettings, content)
    if show_settings:
        options.show_and_exit(settings)
    from mlc_cli.jobs.train import train as run

    with progress.TrainingBar() as bar:
        _show(run(settings, on_tick=bar), bar)


def _continue(resume: Path, given: Sequence[object]) -> None:
    from mlc_cli.errors import UsageError
    from mlc_cli.jobs.train import run_settings
    from mlc_cli.jobs.train import train as run

    if any(value is not None for value in given):
        raise UsageError(
            "--resume continues with the settings of the run and takes no other",
            "To train further with other settings: mlc train --weights RUN/last.safetensors ...",
        )
    settings = run_settings(resume)
    with progress.TrainingBar() as bar:
        _show(run(settings, resume=resume, on_tick=bar), bar)


def _show(events: "Iterator[Event]", bar: progress.TrainingBar) -> None:
    from mlc_cli.core.training.events import Finished
    from mlc_cli.core.training.messages import describe

    for event in events:
        bar.note(describe(event))
        if isinstance(event, Finished):
            screen.show_evaluation(event.evaluation)
            bar.note(f"next: mlc eval --run {event.run.path} --split test")
