"""`mlc export`."""

from typing import TYPE_CHECKING

from mlc_cli.commands import flags, screen
from mlc_cli.commands.flags import Flag, Given, settings_command
from mlc_cli.settings.export import ExportSettings

if TYPE_CHECKING:
    from mlc_cli.jobs.export import ExportResult

FILES = "Files"


@settings_command(
    ExportSettings,
    "export",
    *flags.ANY_MODEL,
    *flags.IMAGES,
    Flag("onnx", FILES, ("--onnx/--no-onnx",)),
    Flag("ir", FILES, ("--ir/--no-ir",)),
    Flag("precision", FILES, metavar="fp32,fp16,int8"),
    Flag("fold_thresholds", FILES),
    Flag("fold_rules", FILES),
    Flag("embed_resize", FILES),
    Flag("saliency", FILES),
    Flag("check", flags.RESULT, ("--check/--no-check",)),
    flags.OUTPUT,
)
def export(given: Given[ExportSettings], *, as_json: flags.Json = False) -> None:
    """Example: mlc export --ir --precision fp32,fp16,int8"""
    if given.flags["precision"] and given.flags["ir"] is None:
        given.flags["ir"] = True
    settings = given.settings()
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
