"""`mlc presets`."""

from typing import Annotated, Any

import typer

from mlc_cli.commands import flags, screen

COMMAND = "train"


def presets(
    name: Annotated[str | None, typer.Argument(help="Preset to show in full.")] = None,
    as_json: flags.Json = False,
) -> None:
    """Example: mlc presets effnetv2s-coco"""
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
    numbers = ("gmacs", "gmacs_with_bn", "mparams", "published", "measured")
    screen.table(
        ("preset", "backbone", "head", "size", "GMACs", "with BN", "M params", "paper", "ours"),
        [
            (row["preset"], row["backbone"].partition(".")[0], row["head"], str(row["input_size"]),
             *("-" if row[key] is None else f"{row[key]:.2f}" for key in numbers))
            for row in rows
        ],
        texts=3,
    )  # fmt: skip
    screen.result(
        "paper, ours: mAP in percent, published and measured by us; mlc presets NAME says on what"
    )
