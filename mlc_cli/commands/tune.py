"""`mlc tune`."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from shlex import quote
from typing import Annotated, Any, Literal

import typer

from mlc_cli.commands import flags, progress, screen
from mlc_cli.commands.flags import Flag, Given, settings_command
from mlc_cli.errors import UsageError
from mlc_cli.settings.train import TrainSettings

SEARCH = "Search"


@settings_command(
    TrainSettings,
    "train",
    Flag("data.root", flags.DATA, ("--data",)),
    Flag("model.weights", flags.MODEL),
    Flag("epochs", flags.MODEL),
    flags.BATCH_SIZE,
    *flags.WHERE,
    *flags.DOWNLOADS,
)
def tune(
    given: Given[TrainSettings],
    *,
    lr: Annotated[
        bool,
        typer.Option("--lr", help="Only plot the loss over the learning rate; needs no range.",
                     rich_help_panel=SEARCH),
    ] = False,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Trainings in all, those before included; 20 without --minutes.",
                     rich_help_panel=SEARCH),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Begin no trial that leaves no time to confirm the best.",
                     rich_help_panel=SEARCH),
    ] = None,
    pruner: Annotated[
        Literal["median", "hyperband", "none"],
        typer.Option(help="How trials that fall behind are stopped.", rich_help_panel=SEARCH),
    ] = "median",
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Database that several machines share, as SQLAlchemy"
                     " names it; by default a file in the folder.", rich_help_panel=SEARCH),
    ] = None,
    preset: flags.Preset = None,
    as_json: flags.Json = False,
) -> None:  # fmt: skip
    """Example: mlc tune --preset quickstart --set 'optim.lr=log:1e-4..1e-2' --minutes 30"""
    from mlc_cli.settings.ranges import split_ranges

    ranges, fixed = split_ranges(TrainSettings, given.assignments)

    def make(values: Mapping[str, str]) -> TrainSettings:
        texts = [*fixed, *(f"{key}={text}" for key, text in values.items())]
        return replace(given, assignments=texts).settings(preset)

    base = make({})
    _check(lr=lr, searches=bool(ranges), limited=bool(trials or minutes or storage))
    from mlc_cli.jobs import tune as job
    from mlc_cli.jobs.train import train

    with progress.TrainingBar() as bar:
        if lr:
            found = job.test_rates(base, bar)
        else:
            limit = trials or (None if minutes else 20)
            search = job.Search(
                partial(train, on_tick=bar), make, ranges, limit, minutes, pruner, storage, bar.note
            )
            found = job.tune(search)
    if as_json:
        screen.result_json(found)
    else:
        _show(found)


def _check(*, lr: bool, searches: bool, limited: bool) -> None:
    if lr and (searches or limited):
        raise UsageError("--lr goes without ranges and limits: it is one short training")
    if not lr and not searches:
        raise UsageError(
            "there is nothing to search for",
            "Give a range, such as --set 'optim.lr=log:1e-4..1e-2', 'epochs=3..7' or"
            " 'loss.name=bce|asl', or --lr alone.",
        )


def _show(found: dict[str, Any]) -> None:
    from mlc_cli.core.training.tuning import tables

    if "trials" in found:
        screen.tables(tables(found))
        screen.note(f"{found['verdict']}\nnext: mlc train --config {quote(found['preset'])}")
    else:
        for name in ("steepest", "lowest", "settings"):
            screen.result(f"learning rate, {name}: {found[name]:.2g}")
    screen.note(f"page: {found['page']}")
