"""`mlc dataset-download`."""

from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from mlc_cli.commands import flags, progress, screen
from mlc_cli.commands.flags import Flag, Given, settings_command
from mlc_cli.settings.download import DatasetDownloadSettings

if TYPE_CHECKING:
    from mlc_cli.jobs.download import Downloaded


@settings_command(
    DatasetDownloadSettings,
    "dataset-download",
    Flag("links.file", flags.DATA, ("--links",), metavar="FILE"),
    Flag("mirror", flags.DATA, metavar="URL"),
    Flag("jobs", flags.DATA),
    *flags.DOWNLOADS,
)
def dataset_download(
    given: Given[DatasetDownloadSettings],
    *,
    name: Annotated[str, typer.Argument(help="Which data set: coco14, voc07 and others.")],
    dest: Annotated[
        str | None, typer.Argument(help="Folder for it; by default datasets/NAME.")
    ] = None,
) -> None:
    """Example: mlc dataset-download coco14"""
    given.flags["dest"] = dest or f"datasets/{name}"
    settings = given.settings(name)
    from mlc_cli.jobs.download import download

    screen.note(f"{settings.title}, {len(settings.files)} files")
    known = sum(file.bytes or 0 for file in settings.files.values())
    unknown = any(file.bytes is None for file in settings.files.values())
    screen.note(f"size: {known / 1e9:.2f} GB{' and files of unknown size' if unknown else ''}")
    screen.note(f"licence: {settings.licence}")
    with progress.FilesBar() as bar:
        done = download(settings, bar)
    _tell(done, name, settings.dest)


def _tell(done: "Downloaded", name: str, dest: str) -> None:
    from mlc_cli.commands.dataset_convert import tell

    if done.links:
        gone = f"; gone: {len(done.links.gone)} (gone.csv beside them)" if done.links.gone else ""
        screen.note(f"{done.links.there} pictures are there{gone}")
    if done.conversion is None:
        screen.note(f"{dest}: all of {name} is there already")
    else:
        tell(done.conversion, "reference")
    screen.note(f"next: mlc dataset-check {quote(dest)}")
