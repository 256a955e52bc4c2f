"""Flags that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

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
