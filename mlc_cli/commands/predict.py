"""`mlc predict`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mlc_cli.commands import flags, progress, screen
from mlc_cli.commands.flags import Flag, Given, settings_command
from mlc_cli.core.images.suffixes import VIDEO_SUFFIXES
from mlc_cli.settings.predict import PredictSettings
from mlc_cli.text import listing, some

if TYPE_CHECKING:
    from mlc_cli.jobs.predict import Outcome

SOURCES, PICTURES, CLUSTER = "Images", "Pictures", "Cluster"
SHOWN = 10


@settings_command(
    PredictSettings,
    "predict",
    Flag("sources", metavar="SOURCE...", argument=True),
    *flags.ANY_MODEL,
    *flags.VIEWS,
    Flag("thresholds", flags.MODEL),
    Flag("every", SOURCES),
    Flag("videos", SOURCES),
    Flag("strict", SOURCES),
    Flag("format", flags.RESULT),
    Flag("topk", flags.RESULT, ("--topk", "--top")),
    flags.OUTPUT,
    Flag("resume", flags.RESULT),
    Flag("draw", PICTURES, metavar="DIR"),
    Flag("gallery", PICTURES, metavar="FILE.html"),
    Flag("explain", PICTURES),
    Flag("engine", CLUSTER),
    Flag("address", CLUSTER, metavar="auto|HOST:PORT"),
    flags.BATCH_SIZE,
    flags.DEVICE,
)
def predict(given: Given[PredictSettings]) -> None:
    """Example: mlc predict photos/ --output labels.jsonl --gallery labels.html --explain"""
    settings = given.settings()
    from mlc_cli.core.html.words import count
    from mlc_cli.errors import DataError, GateMissed
    from mlc_cli.jobs import predict as job

    prepared = job.prepare(settings)
    screen.note(f"{prepared.model.path}, decided by {prepared.decided_by}")
    screen.warn(prepared.warning)
    if not prepared.model.has_thresholds:
        screen.note("the checkpoint has no thresholds; `mlc thresholds` chooses and stores them")
    with progress.ImagesBar() as bar:
        outcome = job.predict(prepared, sys.stdout, bar if bar.shown else None)
    _sum_up(outcome, settings)
    if settings.strict and outcome.unreadable:
        raise GateMissed(f"--strict: {count(len(outcome.unreadable), 'image')} could not be read")
    if 0 < outcome.images == len(outcome.unreadable):
        raise DataError("no image could be read")


def _sum_up(outcome: "Outcome", settings: PredictSettings) -> None:
    from mlc_cli.core.html.words import count

    again = f", {outcome.continued} of them before" if outcome.continued else ""
    screen.note(f"{count(outcome.images, 'image')}{again}")
    if outcome.passed_over:
        videos = any(Path(name).suffix.lower() in VIDEO_SUFFIXES for name in outcome.passed_over)
        screen.note(
            f"not taken for images: {count(len(outcome.passed_over), 'file')} of the folders,"
            f" {some(outcome.passed_over)}" + ("; --videos takes the videos" if videos else "")
        )
    unreadable = outcome.unreadable
    if unreadable:
        screen.note(f"{count(len(unreadable), 'image')} could not be read:")
        screen.note(listing([f"{image}: {reason}" for image, reason in unreadable]))
        screen.note("They are all named in the output.")
    if outcome.damaged:
        screen.note(f"{count(len(outcome.damaged), 'damaged image')}, predicted as far as they go:")
        screen.note(listing([f"{image}: {what}" for image, what in outcome.damaged]))
    if outcome.undrawn:
        screen.note(
            f"no font has all characters of {some(outcome.undrawn)}; name one with --set font=FILE"
        )
    if outcome.left_out:
        screen.note(
            f"the gallery holds {settings.gallery_most} images and leaves out {outcome.left_out};"
            " --set gallery_most=N changes that"
        )
    written = [place for place in (settings.output, settings.draw, settings.gallery) if place]
    if written:
        screen.note(f"written to {', '.join(written)}")
