"""`mlc export`."""

from typing import TYPE_CHECKING, Annotated

import typer

from mlc_cli.commands import options, screen

if TYPE_CHECKING:
    from mlc_cli.jobs.export import ExportResult

FILES = "Files"


def export(
    run: options.Run = None,
    checkpoint: options.Checkpoint = None,
    data: options.Data = None,
    split: options.Split = None,
    onnx: Annotated[
        bool | None,
        typer.Option(
            "--onnx/--no-onnx",
            help="Write model.onnx (the default).",
            rich_help_panel=FILES,
        ),
    ] = None,
    ir: Annotated[
        bool | None,
        typer.Option("--ir/--no-ir", help="Write OpenVINO IR.", rich_help_panel=FILES),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            help="Of the IR: fp32, fp16, int8; several with commas or repeated. Implies --ir.",
            rich_help_panel=FILES,
        ),
    ] = None,
    fold_thresholds: Annotated[
        bool,
        typer.Option(
            "--fold-thresholds",
            help="Make clients with one threshold of 0.5 decide as mlc does.",
            rich_help_panel=FILES,
        ),
    ] = False,
    saliency: Annotated[
        bool,
        typer.Option(
            "--saliency",
            help="Add an output with a heat map for each class.",
            rich_help_panel=FILES,
        ),
    ] = False,
    check: Annotated[
        bool | None,
        typer.Option(
            "--check/--no-check",
            help="Compare the files with the checkpoint on real images (the default).",
            rich_help_panel=options.RESULT,
        ),
    ] = None,
    output: options.Output = None,
    as_json: options.Json = False,
    config: options.Config = None,
    assignments: options.Assignments = None,
    show_settings: options.ShowSettings = False,
) -> None:
    """Export a checkpoint to ONNX and OpenVINO IR, and prove that the files equal it.

    Example: mlc export --ir --precision fp32,fp16,int8
    """  # fmt: skip
    from mlc_cli.settings.export import ExportSettings

    precisions = [name for text in precision or () for name in text.split(",") if name]
    flags = {
        "run": run,
        "checkpoint": checkpoint,
        "data": data,
        "split": split,
        "onnx": onnx,
        "ir": True if precisions and ir is None else ir,
        "precision": precisions or None,
        "fold_thresholds": fold_thresholds or None,
        "saliency": saliency or None,
        "check": check,
        "output": output,
    }
    settings = options.settings_of(
        ExportSettings, "export", flags, config, assignments, show=show_settings
    )
    from mlc_cli.core.system.files import read_json
    from mlc_cli.errors import GateMissed
    from mlc_cli.jobs.export import export as job

    outcome = job(settings, lambda step: screen.note(f"{step} ..."))
    if as_json:
        screen.result_json(read_json(outcome.folder / "export.json"))
    else:
        _show(outcome)
    for remark in outcome.remarks:
        screen.note(f"note: {remark}")
    if outcome.older:
        screen.warn(f"from an earlier export, not of this one: {', '.join(outcome.older)}")
    screen.note(f"{outcome.checkpoint} exported to {outcome.folder}")
    if not outcome.passed:
        raise GateMissed(
            "files differ from the checkpoint by more than is allowed:\n"
            + "\n".join(
                f"  {file.name}: {fault}" for file in outcome.files for fault in file.faults
            )
        )


def _show(outcome: "ExportResult") -> None:
    """A row for the checkpoint and one for each file."""
    check = outcome.check
    rows = []
    if check:
        rows.append(
            ("torch, fp32", "", screen.cell(check.mean_ap), "", "", "", "", f"{check.rate:.0f}")
        )
    for file in outcome.files:
        found, client = file.difference, file.client
        rows.append(
            (
                file.name + (" (differs)" if file.faults else ""),
                f"{file.bytes / 2**20:.1f}",
                screen.cell(file.mean_ap),
                f"{found.logit:.1e}" if found else "",
                f"{found.probability:.1e}" if found else "",
                f"{100 * found.decisions:.2f}" if found else "",
                f"{client.same_labels}/{client.images}" if client else "",
                f"{file.rate:.0f}" if file.rate else "",
            )
        )
    header = ("", "MiB", "mAP", "logit ±", "probability ±", "decisions %", "client", "images/s")
    screen.table(header, rows)
    if not check:
        screen.note("nothing was compared (--no-check)")
        return
    screen.note(
        f"{check.images} images of {check.source}; ±: largest difference from torch; client: images"
        " that the stock client of OpenVINO Model API gives the same labels, from the file on"
    )
    other = {file.default_arithmetic for file in outcome.files} - {None, "f32"}
    for file in outcome.files:
        if file.default_arithmetic in other and file.default_difference:
            screen.note(
                f"{file.name}: left alone, this CPU computes in {file.default_arithmetic}, where a"
                f" probability differs by up to {file.default_difference.probability:.1e}"
            )
