"""`mlc settings`."""

from typing import Annotated

import typer

from mlc_cli.commands import flags, screen
from mlc_cli.errors import UsageError
from mlc_cli.settings.fields import (
    MODELS,
    Setting,
    model_of,
    partial_schema,
    reference,
    settings_of,
)
from mlc_cli.settings.presets import preset_names, presets_root
from mlc_cli.text import nearest


def settings(
    command: Annotated[
        str | None, typer.Argument(help="Command whose settings are listed.", show_default=False)
    ] = None,
    key: Annotated[
        str | None,
        typer.Argument(help="One setting or section, such as optim.lr.", show_default=False),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="JSON Schema of a preset or --config file.")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="All settings of all commands, in Markdown.")
    ] = False,
    as_json: flags.Json = False,
) -> None:
    """Example: mlc settings train optim"""
    if markdown:
        recipe = (presets_root() / "published.md").read_text(encoding="utf-8")
        screen.result(f"{reference()}\n{recipe.rstrip()}")
        return
    if command not in MODELS:
        near = nearest(command or "", list(MODELS))
        raise UsageError(
            f"'{command}' has no settings{near}" if command else "of which command?",
            f"The commands are: {', '.join(MODELS)}.",
        )
    model = model_of(command)
    if schema:
        screen.result_json(partial_schema(model, preset_names(command)))
        return
    known = list(settings_of(model))
    rows = [one for one in known if not key or one.key == key or one.key.startswith(f"{key}.")]
    if not rows:
        names = [one.key for one in known]
        raise UsageError(
            f"mlc {command} has no setting '{key}'{nearest(key or '', names)}",
            f"List all with: mlc settings {command}",
        )
    if as_json:
        screen.result_json([one._asdict() for one in rows])
    else:
        _show(rows)


def _show(rows: list[Setting]) -> None:
    for one in rows:
        kind = f" ({one.kind})" if one.kind else ""
        default = f" = {one.default}" if one.default else ", must be given"
        screen.result(f"{one.key}{kind}: {one.type}{default}")
        if one.doc:
            screen.result(f"    {one.doc}")
