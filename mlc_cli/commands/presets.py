"""`mlc presets`."""

from typing import Annotated, Any

import typer

from mlc_cli.commands import options, screen

COMMAND = "train"


def presets(
    name: Annotated[str | None, typer.Argument(help="Preset to show in full.")] = None,
    as_json: options.Json = False,
) -> None:
    """List the presets, or show one with all that it extends.

    Example: mlc presets effnetv2s-coco
    """
    from mlc_cli.settings.presets import load_card, load_preset, preset_names
    from mlc_cli.settings.yaml_io import dump_yaml

    if name is not None:
        card = load_card(COMMAND, name).model_dump(exclude_none=True)
        content = load_preset(COMMAND, name)
        if as_json:
            screen.result_json({"about": card, **content})
        else:
            screen.result(dump_yaml({"about": card, **content}))
        return
    rows = [_row(preset) for preset in preset_names(COMMAND)]
    if as_json:
        screen.result_json(rows)
    else:
        _show(rows)


def _row(name: str) -> dict[str, Any]:
    from mlc_cli.settings.presets import load_card, load_preset

    content, card = load_preset(COMMAND, name), load_card(COMMAND, name)
    model, loss = content.get("model", {}), content.get("loss", {})
    return {
        "preset": name,
        "backbone": model.get("backbone"),
        "head": model.get("head", {}).get("name", "linear"),
        "loss": loss.get("name", "bce"),
        "input_size": content.get("data", {}).get("input_size"),
        **card.model_dump(),
    }


def _show(rows: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("preset", "model", "size", "GMACs", "M params", "mAP", "for"):
        table.add_column(title, overflow="fold")
    for row in rows:
        published = f"published {row['published']}" if row["published"] else ""
        measured = f"measured {row['measured']}" if row["measured"] else ""
        table.add_row(
            row["preset"],
            f"{row['backbone']}, {row['head']}, {row['loss']}",
            str(row["input_size"]),
            "-" if row["gmacs"] is None else f"{row['gmacs']:.2f}",
            "-" if row["mparams"] is None else f"{row['mparams']:.1f}",
            "\n".join(filter(None, (published, measured))),
            f"{row['summary']} ({row['hardware']}, {row['time']})",
        )
    Console(highlight=False).print(table)
