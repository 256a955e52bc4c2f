"""`mlc compare`."""

from pathlib import Path
from typing import Annotated

import typer

from mlc_cli.commands import flags, screen


def compare(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Run folders, or folders of results; the first is compared with."),
    ] = None,
    split: Annotated[str, typer.Option(help="Split that all were evaluated on.")] = "val",
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Page with the images that are decided otherwise."),
    ] = None,
    as_json: flags.Json = False,
) -> None:
    """Example: mlc compare runs/finetune-1 runs/finetune-2 --html compare.html"""
    from dataclasses import asdict

    from mlc_cli.jobs.compare import compare_runs

    compared = compare_runs(runs or [], split, html)
    for note in compared.notes:
        screen.warn(note)
    if as_json:
        screen.result_json(asdict(compared))
    else:
        screen.tables(compared.tables(), screen.EXTREMES)
    screen.note(f"{compared.images:,} images, {compared.classes:,} classes; 95 % of 1,000 draws")
    if html:
        screen.note(f"page: {html}")
