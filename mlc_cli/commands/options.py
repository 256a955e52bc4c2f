"""Flags that several commands share, and the way from flags to settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from mlc_cli.commands import screen

if TYPE_CHECKING:
    from mlc_cli.settings.base import Settings

SettingsT = TypeVar("SettingsT", bound="Settings")

MODEL = "Model"
DATA = "Data"
RESULT = "Result"
SETTINGS = "Settings"

Preset = Annotated[
    str | None,
    typer.Option("--preset", "-p", help="Preset to start from (see mlc presets).",
                 rich_help_panel=SETTINGS),
]  # fmt: skip
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="YAML file laid over the preset.",
                 rich_help_panel=SETTINGS),
]  # fmt: skip
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", rich_help_panel=SETTINGS,
                 help="Any other setting, as section.key=value. May be repeated."),
]  # fmt: skip
ShowSettings = Annotated[
    bool,
    typer.Option("--show-settings", help="Print the settings as put together, and stop.",
                 rich_help_panel=SETTINGS),
]  # fmt: skip
Data = Annotated[
    str | None,
    typer.Option("--data", help="Folder of the data set.", rich_help_panel=DATA),
]
Run = Annotated[
    str | None,
    typer.Option(help="Run folder (default: runs/latest).", rich_help_panel=MODEL),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(help="Checkpoint file, in place of a run's best.", rich_help_panel=MODEL),
]
Split = Annotated[
    str | None,
    typer.Option(
        help="train, val, test, or an annotation file of the data set.", rich_help_panel=DATA
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        help="Folder for the results (default: that of the checkpoint).",
        rich_help_panel=RESULT,
    ),
]
Device = Annotated[
    str | None,
    typer.Option("--device", help="auto, cpu, cuda or cuda:N.", rich_help_panel=RESULT),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON alone.", rich_help_panel=RESULT)]


def settings_of(
    model: type[SettingsT],
    command: str,
    flags: Mapping[str, Any],
    config: Path | None,
    assignments: list[str] | None,
    *,
    show: bool,
) -> SettingsT:
    """Settings of a command from its flags, its file and its assignments.

    Args:
        model: Of the settings.
        command: Its name.
        flags: Values by dotted key; `None` means not given.
        config: YAML file below the flags.
        assignments: Texts `section.key=value` above them.
        show: Print the settings and end the command.

    Raises:
        MlcError: A layer cannot be read, or settings are wrong.
        typer.Exit: They were shown.
    """
    from mlc_cli.settings.resolve import gather, validate

    content = gather(model, command, config=config, flags=flags, assignments=assignments)
    settings = validate(model, content)
    if show:
        show_and_exit(settings)
    return settings


def show_and_exit(settings: "Settings") -> NoReturn:
    """Print settings and end the command.

    Raises:
        typer.Exit: Always.
    """
    from mlc_cli.settings.resolve import as_yaml

    screen.result(as_yaml(settings))
    raise typer.Exit
