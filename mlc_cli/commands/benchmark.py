"""`mlc benchmark`."""

from pathlib import Path
from typing import Annotated

import typer

from mlc_cli.commands import options, screen


def benchmark(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Checkpoints, ONNX files, IRs (default: a run's best and its export/).",
            show_default=False,
        ),
    ] = None,
    run: options.Run = None,
    checkpoint: options.Checkpoint = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size", "-b", help="Images handed over at once.", rich_help_panel=options.RESULT
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="Time for each model and measure.", rich_help_panel=options.RESULT),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="Arithmetic: auto, fp32, bf16 or fp16.", rich_help_panel=options.RESULT),
    ] = None,
    device: options.Device = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="JSON file to write.", rich_help_panel=options.RESULT),
    ] = None,
    as_json: options.Json = False,
    config: options.Config = None,
    assignments: options.Assignments = None,
    show_settings: options.ShowSettings = False,
) -> None:
    """Measure latency and throughput of model files on this machine, in turns.

    Example: mlc benchmark --seconds 10
    """  # fmt: skip
    from mlc_cli.settings.benchmark import BenchmarkSettings

    flags = {
        "models": models or None,
        "run": run,
        "checkpoint": checkpoint,
        "batch_size": batch_size,
        "seconds": seconds,
        "precision": precision,
        "device": device,
        "output": output,
    }
    settings = options.settings_of(
        BenchmarkSettings, "benchmark", flags, config, assignments, show=show_settings
    )
    from mlc_cli.jobs.benchmark import benchmark as job

    outcome = job(settings, lambda done, total: screen.note(f"round {done + 1}/{total}"))
    for warning in outcome.warnings:
        screen.warn(warning)
    if as_json:
        screen.result_json(outcome.as_dict())
        return
    rows = [
        (
            Path(speed.model).name,
            f"{speed.bytes / 2**20:.1f}",
            f"{speed.latency_ms:.2f}",
            f"{speed.latency_p95_ms:.2f}",
            f"{speed.rate:.1f}",
            f"{speed.ratio:.2f}",
        )
        for speed in outcome.speeds
    ]
    screen.table(("", "MiB", "latency ms", "p95 ms", "images/s", "ratio"), rows)
    screen.note(
        f"{outcome.machine}; device {outcome.device}, arithmetic {outcome.precision}; latency of"
        f" one image, throughput of {settings.batch_size} handed over at once, reading not counted;"
        " ONNX files run as they are"
    )
