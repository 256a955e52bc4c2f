"""`mlc choose`."""

from shlex import quote
from typing import Annotated

import typer

from mlc_cli.commands import flags, screen
from mlc_cli.commands.flags import Flag, Given, settings_command
from mlc_cli.settings.choose import ChooseSettings
from mlc_cli.text import some


@settings_command(
    ChooseSettings,
    "choose",
    Flag("data.root", flags.DATA, ("--data",)),
    Flag("preset", flags.MODEL, ("--preset", "-p")),
    Flag("backbones", flags.MODEL, metavar="PATTERN"),
    Flag("sizes", flags.MODEL, metavar="PIXELS"),
    Flag("weights_dir", flags.MODEL, metavar="DIR"),
    Flag("restricted", flags.MODEL),
    Flag("latency", flags.RESULT, metavar="MS"),
    Flag("max_mb", flags.RESULT),
    Flag("minutes", flags.RESULT),
    *flags.WHERE,
    flags.OFFLINE,
)
def choose(
    given: Given[ChooseSettings],
    *,
    show_list: Annotated[
        bool, typer.Option("--list", help="Show the table of backbones, and stop.")
    ] = False,
    as_json: flags.Json = False,
) -> None:
    """Example: mlc choose --data datasets/mine --latency 10ms"""
    if show_list:
        _show_table()
        return
    settings = given.settings()
    from mlc_cli.jobs.choose import choose as job

    choice = job(settings, screen.note)
    for warning in choice.warnings:
        screen.warn(warning)
    if as_json:
        screen.result_json(choice.as_dict())
        return
    left = sorted((c for c in choice.candidates if not c.out), key=lambda c: -c.mean_ap)
    rows = [
        (c.name, screen.cell(c.mean_ap), f"{c.interval.low:.4f} to {c.interval.high:.4f}",
         screen.cell(c.val), *c.speeds, f"{c.megabytes:.1f}")
        for c in left
    ]  # fmt: skip
    int8 = ("INT8 ms", "images/s")
    screen.table(("", "mAP", "95 %", "val mAP", "ms", "images/s", *int8, "MB"), rows)
    reasons: dict[str, list[str]] = {}
    for one in choice.candidates:
        reasons.setdefault(one.out.replace(f" of {one.backbone} ", " "), []).append(one.name)
    for reason, names in reasons.items():
        if reason:
            screen.note(f"out: {some(names)}: {reason}")
    assert choice.best
    screen.result(f"recommended: {choice.best.name}, mAP {choice.best.mean_ap:.4f}")
    if choice.alternative:
        screen.result(
            f"as good within noise, and faster: {choice.alternative.name},"
            f" mAP {choice.alternative.mean_ap:.4f}, {choice.alternative.latency_ms:.2f} ms"
        )
    screen.note(
        "mAP of heads on frozen features, out of fold and on validation images; training all"
        f" weights gives more: mlc train --config {quote(str(choice.folder / 'chosen.yaml'))}"
    )


def _show_table() -> None:
    from mlc_cli.settings.backbones import known_backbones

    rows = [
        (e.name, e.licence + (" (restricted)" if e.restricted else ""), f"{e.gmacs:g}",
         f"{e.mparams:g}", f"{e.top1:.1f}", f"{e.pixels}")
        for e in known_backbones()
    ]  # fmt: skip
    screen.table(("backbone", "licence", "GMACs", "Mparams", "ImageNet", "at"), rows, texts=2)
