"""`mlc predict`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mlc_cli.commands import options, progress, screen

if TYPE_CHECKING:
    from mlc_cli.jobs.predict import Outcome
    from mlc_cli.settings.predict import PredictSettings

SOURCES = "Images"
SHOWN = 10


def predict(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...",
            show_default=False,
            help="Images, folders, quoted patterns, videos, .txt lists of paths, or - for paths"
            " from standard input.",
        ),
    ] = None,
    run: options.Run = None,
    checkpoint: options.Checkpoint = None,
    thresholds: Annotated[
        str | None,
        typer.Option(
            help="Thresholds in place of the checkpoint's: a file (.npy) or one number.",
            rich_help_panel=options.MODEL,
        ),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(help="Take every n-th frame of a video.", rich_help_panel=SOURCES),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Exit with code 1 if an image is unreadable.", rich_help_panel=SOURCES
        ),
    ] = False,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="jsonl, json, csv or onehot.", rich_help_panel=options.RESULT
        ),
    ] = None,
    topk: Annotated[
        int | None,
        typer.Option(
            help="List only the K largest probabilities; labels do not change.",
            rich_help_panel=options.RESULT,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="File, in place of stdout.", rich_help_panel=options.RESULT
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue an --output that broke off.", rich_help_panel=options.RESULT
        ),
    ] = False,
    draw: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Copies of the pictures with labels.", rich_help_panel="Pictures"
        ),
    ] = None,
    gallery: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.html",
            help="A page to look through the predictions.",
            rich_help_panel="Pictures",
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Heat maps of the labels in --draw and --gallery.",
            rich_help_panel="Pictures",
        ),
    ] = False,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", "-b", help="Images a batch.", rich_help_panel=options.MODEL),
    ] = None,
    device: options.Device = None,
    config: options.Config = None,
    assignments: options.Assignments = None,
    show_settings: options.ShowSettings = False,
) -> None:
    """Say which labels images have: JSON lines, CSV, drawn pictures, a gallery.

    Example: mlc predict photos/ --output labels.jsonl --gallery labels.html --explain
    """  # fmt: skip
    from mlc_cli.settings.predict import PredictSettings

    flags = {
        "sources": sources or None,
        "run": run,
        "checkpoint": checkpoint,
        "thresholds": thresholds,
        "every": every,
        "strict": strict or None,
        "format": form,
        "topk": topk,
        "output": output,
        "resume": resume or None,
        "draw": draw,
        "gallery": gallery,
        "explain": explain or None,
        "batch_size": batch_size,
        "device": device,
    }
    settings = options.settings_of(
        PredictSettings, "predict", flags, config, assignments, show=show_settings
    )
    _predict(settings)


def _predict(settings: "PredictSettings") -> None:
    from mlc_cli.errors import DataError
    from mlc_cli.jobs import predict as job

    prepared = job.prepare(settings)
    screen.note(f"{prepared.model.path}, decided by {prepared.decided_by}")
    screen.warn(prepared.model.warning)
    if not prepared.model.has_thresholds:
        screen.note("the checkpoint has no thresholds; `mlc thresholds` chooses and stores them")
    with progress.ImagesBar() as bar:
        outcome = job.predict(prepared, sys.stdout, bar if bar.shown else None)
    _sum_up(outcome, settings)
    if settings.strict and outcome.unreadable:
        raise DataError(f"--strict: {len(outcome.unreadable)} images could not be read")


def _sum_up(outcome: "Outcome", settings: "PredictSettings") -> None:
    again = f", {outcome.continued} of them before" if outcome.continued else ""
    screen.note(f"{outcome.images} images{again}")
    unreadable = outcome.unreadable
    if unreadable:
        screen.note(f"{len(unreadable)} images could not be read:")
        for image, reason in unreadable[:SHOWN]:
            screen.note(f"  {image}: {reason}")
        if len(unreadable) > SHOWN:
            screen.note(f"  ... and {len(unreadable) - SHOWN} more, all named in the output")
    if outcome.undrawn:
        screen.note(
            f"no font has all characters of {', '.join(outcome.undrawn[:SHOWN])}; name one with"
            " --set font=FILE"
        )
    if outcome.left_out:
        screen.note(
            f"the gallery holds {settings.gallery_most} images and leaves out {outcome.left_out};"
            " --set gallery_most=N changes that"
        )
    written = [place for place in (settings.output, settings.draw, settings.gallery) if place]
    if written:
        screen.note(f"written to {', '.join(written)}")
